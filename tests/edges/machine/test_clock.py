"""The machine's clocks, and whether the wall clock can be believed."""

from __future__ import annotations

import ctypes
import logging
import math
import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from device.edges.machine import clock as clock_module
from device.edges.machine.clock import BUILD_TIME_NS, Discipline, SystemClock, certificate_floor_ns, kernel_discipline, saved_clock_ns

SECOND = 1_000_000_000


class Kernel:
    """What the kernel says of its clock, as a test sets it; counts how often it is asked."""

    def __init__(self, *, synced: bool, error_ms: int = 3) -> None:
        """`failure`, when set, is raised instead of an answer."""
        self.answer = Discipline(synced, error_ms)
        self.failure: OSError | None = None
        self.asked = 0

    def __call__(self) -> Discipline:
        """One question."""
        self.asked += 1
        if self.failure is not None:
            raise self.failure
        return self.answer


class Times:
    """Stands in for the `time` module: three clocks that move together, and a wall clock that can be set."""

    CLOCK_BOOTTIME = time.CLOCK_BOOTTIME

    def __init__(self) -> None:
        """Begins on a day after the making of this software."""
        self.up_ns = 100 * SECOND
        self.wall_ns = BUILD_TIME_NS + 86_400 * SECOND

    def advance(self, seconds: float) -> None:
        """Let all clocks run."""
        self.up_ns += round(seconds * SECOND)
        self.wall_ns += round(seconds * SECOND)

    def monotonic_ns(self) -> int:
        """CLOCK_MONOTONIC."""
        return self.up_ns

    def clock_gettime_ns(self, which: int) -> int:
        """CLOCK_BOOTTIME, and nothing else."""
        assert which == time.CLOCK_BOOTTIME
        return self.up_ns + SECOND

    def time_ns(self) -> int:
        """CLOCK_REALTIME."""
        return self.wall_ns


@pytest.fixture
def times(monkeypatch: pytest.MonkeyPatch) -> Times:
    """Clocks that move when told."""
    fake = Times()
    monkeypatch.setattr(clock_module, "time", fake)
    return fake


def make(tmp_path: Path, kernel: Kernel, floor_ns: int = BUILD_TIME_NS) -> SystemClock:
    """A clock of a made-up boot, where no time daemon has left a mark."""
    (tmp_path / "boot_id").write_text("8c5a1f0e-0000-4000-8000-000000000001\n")
    return SystemClock(floor_ns, discipline=kernel, synchronized=tmp_path / "synchronized", boot_id=tmp_path / "boot_id")


def test_a_reading_holds_all_clocks_of_one_moment(tmp_path: Path, times: Times) -> None:
    """Monotonic, boot and wall time, the boot's id and the kernel's own bound of error."""
    reading = make(tmp_path, Kernel(synced=True, error_ms=7)).reading()
    assert (reading.monotonic_ns, reading.boot_ns, reading.wall_ns) == (times.up_ns, times.up_ns + SECOND, times.wall_ns)
    assert reading.boot_id == "8c5a1f0e-0000-4000-8000-000000000001"
    assert (reading.trusted, reading.held_over, reading.uncertainty_ms) == (True, False, 7)


def test_a_clock_that_was_never_synchronised_is_not_trusted(tmp_path: Path, times: Times) -> None:
    """Without a word from a time server the wall clock is only a number."""
    assert times.wall_ns > BUILD_TIME_NS
    reading = make(tmp_path, Kernel(synced=False)).reading()
    assert (reading.trusted, reading.held_over, reading.uncertainty_ms) == (False, False, 0)


def test_the_mark_of_the_time_daemon_counts_as_held_over(tmp_path: Path, times: Times) -> None:
    """After a restart of the gate, a clock set earlier in this boot is believed, with the drift since then as doubt."""
    clock = make(tmp_path, Kernel(synced=False))
    mark(tmp_path, times)
    times.advance(36_000)
    reading = clock.reading()
    assert (reading.trusted, reading.held_over, reading.uncertainty_ms) == (True, True, 1_000 + 3_600)


@pytest.mark.parametrize(("passed_s", "held_over"), [(600, False), (6_144, False), (6_145, True)])
def test_where_the_kernel_may_not_be_asked_the_mark_of_the_time_daemon_says_how_old_the_time_is(
    tmp_path: Path, times: Times, passed_s: int, *, held_over: bool
) -> None:
    """In the service's sandbox: synchronised while the daemon keeps touching its mark, held over after three silent rounds."""
    kernel = Kernel(synced=True)
    kernel.failure = PermissionError(1, "Operation not permitted")
    clock = make(tmp_path, kernel)
    mark(tmp_path, times)
    times.advance(passed_s)
    reading = clock.reading()
    assert (reading.trusted, reading.held_over, reading.uncertainty_ms) == (True, held_over, 1_000 + math.ceil(passed_s / 10))


def mark(folder: Path, times: Times) -> None:
    """systemd-timesyncd sets the clock now."""
    (folder / "synchronized").touch()
    os.utime(folder / "synchronized", ns=(times.wall_ns, times.wall_ns))


def test_a_clock_that_lost_its_server_is_held_over_with_growing_doubt(tmp_path: Path, times: Times) -> None:
    """From the last synchronised look on, a hundred parts in a million are added."""
    kernel = Kernel(synced=True, error_ms=20)
    clock = make(tmp_path, kernel)
    clock.reading()
    kernel.answer = Discipline(synced=False, error_ms=16_000)
    times.advance(10_000)
    reading = clock.reading()
    assert (reading.trusted, reading.held_over, reading.uncertainty_ms) == (True, True, 20 + 1_000)
    kernel.answer = Discipline(synced=True, error_ms=4)
    times.advance(1)
    assert (clock.reading().held_over, clock.reading().uncertainty_ms) == (False, 4)


def test_a_wall_clock_below_the_floor_is_never_trusted(tmp_path: Path, times: Times) -> None:
    """Whatever the kernel says: before its own making this software cannot have run."""
    clock = make(tmp_path, Kernel(synced=True))
    times.wall_ns = BUILD_TIME_NS - 1
    assert not clock.reading().trusted
    times.wall_ns = BUILD_TIME_NS
    assert clock.reading().trusted


def test_the_floor_only_rises_and_not_into_the_far_future(tmp_path: Path, times: Times, caplog: pytest.LogCaptureFixture) -> None:
    """A newer event raises it; an older one does not lower it; one decades ahead is an error and said so."""
    clock = make(tmp_path, Kernel(synced=True))
    clock.raise_floor(times.wall_ns + 1)
    assert not clock.reading().trusted
    clock.raise_floor(5)
    assert clock.floor_ns == times.wall_ns + 1
    clock.raise_floor(BUILD_TIME_NS + 30 * 365 * 86_400 * SECOND)
    assert clock.floor_ns == times.wall_ns + 1
    assert "far future" in caplog.text


def test_the_kernel_is_asked_at_most_once_a_second(tmp_path: Path, times: Times) -> None:
    """Readings are cheap enough for each frame."""
    kernel = Kernel(synced=True)
    clock = make(tmp_path, kernel)
    for _ in range(30):
        clock.reading()
        times.advance(0.1)
    assert kernel.asked == 3


def test_a_kernel_that_does_not_answer_is_said_once(tmp_path: Path, times: Times, caplog: pytest.LogCaptureFixture) -> None:
    """In a jail that forbids the question the clock is not trusted, and the log says why, once."""
    kernel = Kernel(synced=True)
    kernel.failure = PermissionError(1, "Operation not permitted")
    clock = make(tmp_path, kernel)
    with caplog.at_level(logging.INFO):
        for _ in range(3):
            assert not clock.reading().trusted
            times.advance(2)
    assert [record.levelname for record in caplog.records] == ["INFO"]


def test_the_real_kernel_answers() -> None:
    """`adjtimex` may be asked by anybody, and its bound of error is a sane number."""
    assert 0 <= kernel_discipline().error_ms < 10**9


def test_an_error_of_the_real_kernel_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A failing call raises with the kernel's own reason and is never taken for an answer."""

    class Refusing:
        def __init__(self, *_: object, **__: object) -> None:
            pass

        def adjtimex(self, _timex: object) -> int:
            return -1

    monkeypatch.setattr(ctypes, "CDLL", Refusing)
    monkeypatch.setattr(ctypes, "get_errno", lambda: 1)
    with pytest.raises(PermissionError, match="adjtimex"):
        kernel_discipline()


def test_the_machine_clock_reads_the_machine() -> None:
    """With nothing replaced, the reading is of this boot and of now."""
    clock = SystemClock()
    before = time.monotonic_ns()
    reading = clock.reading()
    assert before <= reading.monotonic_ns <= clock.monotonic_ns()
    assert reading.boot_id == Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    assert abs(reading.wall_ns - time.time_ns()) < 60 * SECOND


def test_a_saved_clock_is_the_files_date(tmp_path: Path) -> None:
    """The date of modification proves a time past; no file proves nothing."""
    saved = tmp_path / "clock"
    assert saved_clock_ns(saved) == 0
    saved.touch()
    os.utime(saved, ns=(0, BUILD_TIME_NS + 5))
    assert saved_clock_ns(saved) == BUILD_TIME_NS + 5


def test_a_certificate_gives_the_start_of_its_validity(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A certificate was signed after its `notBefore`; a file that is none gives no floor, and the log says so."""
    start = datetime(2026, 11, 5, 6, 7, 8, tzinfo=UTC)
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "gate-01")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
    certificate = builder.not_valid_before(start).not_valid_after(start + timedelta(days=1)).sign(key, hashes.SHA256())
    file = tmp_path / "gate.crt"
    file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    assert certificate_floor_ns(file) == int(start.timestamp()) * SECOND
    file.write_bytes(b"nothing")
    assert certificate_floor_ns(file) == 0
    assert certificate_floor_ns(tmp_path / "missing") == 0
    assert caplog.text.count("no floor") == 2
