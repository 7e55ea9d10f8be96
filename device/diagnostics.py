"""The parts of a gate, each tried once without disturbing it: for ``gate selftest``, and for a gate at work that is asked for a report.

A gate that runs has its camera, pins and line to the broker in use: those rows
come from its status. Each row is pass, warn or fail with a value.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from device.core import wire
from device.core.plain_words import VIEWS
from device.core.problems import CERTIFICATE, HEAT, LIMITS, SPACE, SYNCED_WRITE, Grade
from device.core.types import Channel
from device.core.wire import time_text
from device.edges.keys.signer import Signer
from device.edges.machine import health
from device.edges.record.reader import JournalReader
from device.errors import ConfigError, GateError, KeyUnusable
from device.settings.checks import check_files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from device.config import GateConfig
    from device.ports import Clock

SYNC_TIMES: Final = 20
SYSTEM_SLICE: Final = Path("/sys/fs/cgroup/system.slice")
SERVICES: Final = ("gate.service", "gate-eye.service")
SIGNATURE_LIMIT_BYTES: Final = 1_100
"""No signature makes a report longer by more."""


@dataclass(frozen=True, slots=True)
class Row:
    """One part, tried: what it is, how it came out, and the value or the reason."""

    part: str
    grade: Grade
    value: str


Part: TypeAlias = "tuple[str, Callable[[], Row]]"
"""A part's name, and how it is tried."""


def tried(parts: Iterable[Part]) -> Iterator[Row]:
    """Every part in turn. A part that raises is a failed row, never the end of the test."""
    for name, part in parts:
        try:
            yield part()
        except (GateError, OSError) as error:
            yield Row(name, Grade.FAIL, str(error))


def machine_parts(config: GateConfig, clock: Clock) -> list[Part]:
    """The machine itself: nothing of it is in anybody's way."""
    folder = config.journal.path.parent
    return [
        ("storage", lambda: _storage(folder, clock)),
        ("space", lambda: _space(folder)),
        ("clock", lambda: _clock(clock)),
        ("temperature", _temperature),
        ("power", _power),
        ("memory", _memory),
    ]


def certificate_parts(config: GateConfig, clock: Clock) -> list[Part]:
    """The gate's certificate, where it has one."""
    cert = None if config.broker is None else config.broker.cert
    return [] if cert is None else [("certificate", lambda: _certificate(cert, clock))]


def running_rows(config: GateConfig, clock: Clock, status: Mapping[str, Any]) -> list[Row]:
    """Every part of the gate that runs, by its ``status``: no lamp is lit, no frame taken, no connection made.

    Takes as long as the storage needs for some synced writes, so not for the decision's own thread.
    """
    parts: list[Part] = [
        ("files", lambda: files(config)),
        ("decoders", lambda: _decoders_of(status)),
        ("camera", lambda: eye_of(status)),
        ("signals", lambda: signals_of(status)),
        *machine_parts(config, clock),
        *certificate_parts(config, clock),
    ]
    if config.broker is not None:
        parts.append(("broker", lambda: uplink_of(status)))
    return list(tried(parts))


def signed_report(config: GateConfig, rows: Sequence[Row], clock: Clock, limit_bytes: int | None = None) -> bytes:
    """The rows and what stands in the record, under the gate's signature; of more than ``limit_bytes`` the newest deeds.

    Raises KeyUnusable for a gate without a key, JournalError.
    """
    if config.broker is None or config.broker.key is None:
        raise KeyUnusable("broker.key: without a key of its own the gate cannot sign a report")
    signer = Signer(config.broker.key)
    now_ns = clock.reading().wall_ns
    with JournalReader(config.journal.path) as journal:
        told = wire.SelftestReport(
            gate=config.gate.id,
            version=version("gate-device"),
            time=time_text(now_ns),
            epoch=journal.epoch,
            rows=[wire.Tried(part=row.part, grade=row.grade.value, value=row.value[:1_000]) for row in rows],
            deeds=list(_deeds(journal, now_ns)),
        )
    body = wire.encode(told)
    while limit_bytes is not None and len(body) > limit_bytes - SIGNATURE_LIMIT_BYTES and told.deeds:
        told = told.model_copy(update={"deeds": told.deeds[len(told.deeds) // 10 + 1 :]})
        body = wire.encode(told)
    return wire.with_signature(body, signer.sign(body))


def _deeds(journal: JournalReader, now_ns: int) -> Iterator[wire.Deed]:
    since_ns = now_ns - wire.DEEDS_H * 3_600_000_000_000
    for recorded in journal.events(wire.DEEDS_LIMIT):
        if recorded.stamp.time_ns < since_ns:
            continue
        data = recorded.stored.data
        if recorded.stored.channel is Channel.CHECKIN:
            yield wire.Deed(seq=recorded.stored.seq, what="checkin", decision=str(data["decision"]), reason=str(data["reason"]))
        elif data["what"] == "start":
            previous = data.get("previous")
            yield wire.Deed(seq=recorded.stored.seq, what="start", previous=None if previous is None else str(previous))


def files(config: GateConfig) -> Row:
    """Whether everything that the configuration names can be used."""
    try:
        check_files(config, "configuration")
    except ConfigError as error:
        return Row("files", Grade.FAIL, "; ".join(str(error).splitlines()))
    return Row("files", Grade.PASS, "keys, certificates and lists can be used")


def _storage(folder: Path, clock: Clock) -> Row:
    """The median and the worst of some small synced writes, beside the journal."""
    times_ms = sorted(_synced_write_ms(folder, clock) for _ in range(SYNC_TIMES))
    median, worst = times_ms[len(times_ms) // 2], times_ms[-1]
    limit = LIMITS[SYNCED_WRITE]
    # A card that is slow once is worth a word; only one that is slow as a rule keeps people waiting.
    grade = Grade.FAIL if limit.grade(median) is Grade.FAIL else Grade.WARN if limit.is_wrong(worst) else Grade.PASS
    return Row("storage", grade, f"a synced write takes {median:.1f} ms, the worst of {SYNC_TIMES} {worst:.1f} ms")


def _synced_write_ms(folder: Path, clock: Clock) -> float:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    started_ns = clock.monotonic_ns()
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(b"\0" * 4096)
        file.flush()
        os.fdatasync(file.fileno())
    return (clock.monotonic_ns() - started_ns) / 1e6


def _space(folder: Path) -> Row:
    free = health.disk_free_bytes(folder)
    if free is None:
        return Row("space", Grade.FAIL, f"{folder}: cannot be asked")
    return Row("space", LIMITS[SPACE].grade(free), f"{free >> 20} MiB free")


def _clock(clock: Clock) -> Row:
    reading = clock.reading()
    how = "synchronised" if reading.trusted else "not synchronised"
    return Row("clock", Grade.PASS if reading.trusted else Grade.WARN, f"{time_text(reading.wall_ns)}, {how}")


def _temperature() -> Row:
    celsius = health.cpu_temperature_celsius()
    if celsius is None:
        return Row("temperature", Grade.WARN, "this machine does not say")
    return Row("temperature", LIMITS[HEAT].grade(celsius), f"{celsius:.0f} °C")


def _power() -> Row:
    bits = health.throttled_bits()
    if bits is None:
        return Row("power", Grade.WARN, "this machine does not say")
    if bits & health.UNDER_VOLTAGE_NOW:
        return Row("power", Grade.FAIL, "under-voltage now: use the official power supply and a short cable")
    return Row("power", Grade.WARN if bits else Grade.PASS, f"throttling bits 0x{bits:x}")


def _memory() -> Row:
    """Whether the kernel holds the services to their limits: then a leak ends one of them, and not the machine."""
    if not SYSTEM_SLICE.exists():
        return Row("memory", Grade.WARN, "the services do not run under this machine's systemd")
    limits = {unit: health.memory_limit_bytes(unit) for unit in SERVICES if (SYSTEM_SLICE / unit).exists()}
    free = [unit for unit, limit in limits.items() if limit is None]
    if free or not limits:
        unlimited = ", ".join(free) or "no service of the gate runs"
        return Row("memory", Grade.FAIL, f"no limit holds: {unlimited}; cmdline.txt needs cgroup_enable=memory")
    return Row("memory", Grade.PASS, ", ".join(f"{unit} {limit >> 20} MiB at most" for unit, limit in limits.items() if limit is not None))


def _certificate(path: Path, clock: Clock) -> Row:
    """Of the gate. Where the time is not known nothing can be said about it."""
    reading = clock.reading()
    days = health.certificate_days(path, reading.wall_ns)
    if days is None:
        return Row("certificate", Grade.FAIL, f"{path}: cannot be read")
    if not reading.trusted:
        return Row("certificate", Grade.WARN, f"the time is not known; by this machine's clock {days} days are left")
    return Row("certificate", LIMITS[CERTIFICATE].grade(days), f"{days} days are left")


def _decoders_of(status: Mapping[str, Any]) -> Row:
    """The eye tries them at each of its starts, and does not start without."""
    if "eye_silent" in status["problems"]:
        return Row("decoders", Grade.FAIL, f"the running gate says: {status['state']}")
    return Row("decoders", Grade.PASS, "the running gate's eye has tried them at its start")


def eye_of(status: Mapping[str, Any]) -> Row:
    """The camera, as the running gate sees it."""
    if "eye_silent" in status["problems"]:
        return Row("camera", Grade.FAIL, f"the running gate says: {status['state']}")
    if "view" in status["problems"]:
        return Row("camera", Grade.WARN, f"{status['eye']['view']}: {VIEWS[status['eye']['view']].en}")
    return Row("camera", Grade.PASS, f"the running gate says: {status['state']}")


def signals_of(status: Mapping[str, Any]) -> Row:
    """Lamps and buzzer, as far as the running gate can drive them."""
    well = "signals" not in status["problems"]
    return Row("signals", Grade.PASS if well else Grade.FAIL, f"the running gate shows: {status['signals']['sign']}")


def uplink_of(status: Mapping[str, Any]) -> Row:
    """The line to the broker, as the running gate has it."""
    well = "offline" not in status["problems"]
    return Row("broker", Grade.PASS if well else Grade.FAIL, f"the running gate is {'connected' if well else 'not connected'}")
