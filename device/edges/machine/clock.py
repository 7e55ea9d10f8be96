"""The clocks of the machine, and whether its wall clock can be believed.

A Pi has no battery clock: after a power cut it starts somewhere in the past
and is right only once a time server has been heard. The kernel knows: NTP
daemons clear STA_UNSYNC in ``adjtimex(2)`` when they have set the clock, and
the kernel sets it again when 16 s of error may have gathered, nearly nine
hours after the last word from a server. Inside the service's sandbox, which
also forbids to set the clock, the kernel cannot be asked: there the file that
systemd-timesyncd touches at each synchronisation says when the last one was.
"""

from __future__ import annotations

import ctypes
import logging
import os
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cryptography import x509

from device.core.timeline import drift_ms
from device.core.types import ClockReading

log = logging.getLogger(__name__)

BUILD_TIME_NS: Final = int(datetime(2026, 11, 1, tzinfo=UTC).timestamp()) * 1_000_000_000
"""Nanoseconds since 1970 at which this software was made: none of its events is older."""

BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
SYNCHRONIZED: Final = Path("/run/systemd/timesync/synchronized")
"""Touched by systemd-timesyncd at each synchronisation in this boot (systemd-timesyncd.service(8))."""

MARK_FRESH_NS: Final = 3 * 2_048 * 1_000_000_000
"""systemd-timesyncd asks its server every 2,048 s at the longest: three silent rounds, and the clock is running free."""

SAVED_CLOCK: Final = Path("/var/lib/systemd/timesync/clock")
"""Touched by systemd-timesyncd as time goes by; at boot the clock starts from its date of modification."""

_STA_UNSYNC: Final = 0x0040
_TIME_ERROR: Final = 5
_TIMEX_START: Final = struct.Struct("@Illlli")
"""``struct timex`` up to its status: modes, offset, freq, maxerror (microseconds), esterror, status."""
_TIMEX_BYTES: Final = 256
"""More than the whole structure takes (208 bytes on a 64-bit machine)."""
_RECHECK_NS: Final = 1_000_000_000
_FIRST_DOUBT_MS: Final = 1_000
_FAR_FUTURE_NS: Final = BUILD_TIME_NS + 25 * 365 * 86_400 * 1_000_000_000


@dataclass(frozen=True, slots=True)
class Discipline:
    """What the kernel says of its clock: whether it is synchronised, and how far it may be off."""

    synced: bool
    error_ms: int


def kernel_discipline() -> Discipline:
    """Ask ``adjtimex(2)``. Raises OSError where the kernel refuses even to be asked."""
    timex = ctypes.create_string_buffer(_TIMEX_BYTES)
    state = ctypes.CDLL(None, use_errno=True).adjtimex(timex)
    if state < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), "adjtimex")
    _, _, _, maxerror_us, _, status = _TIMEX_START.unpack_from(timex)
    return Discipline(state != _TIME_ERROR and not status & _STA_UNSYNC, -(-maxerror_us // 1_000))


class SystemClock:
    """``ports.Clock`` on the machine's own clocks. May be read from any thread.

    ``floor_ns`` is a wall time that is certainly past; a clock that shows less
    is never trusted, whatever the kernel says. Whether the clock is
    synchronised is looked up at most once a second.
    """

    def __init__(
        self,
        floor_ns: int = BUILD_TIME_NS,
        *,
        discipline: Callable[[], Discipline] = kernel_discipline,
        synchronized: Path = SYNCHRONIZED,
        boot_id: Path = BOOT_ID,
    ) -> None:
        """The last three say where to ask, for tests. Raises OSError where the boot has no id."""
        self._floor_ns = floor_ns
        self._discipline = discipline
        self._synchronized = synchronized
        self._boot_id = boot_id.read_text(encoding="ascii").strip()
        self._asked_ns: int | None = None
        self._now = Discipline(synced=False, error_ms=0)
        self._synced_at: tuple[int, int] | None = None
        self._complained = False

    def monotonic_ns(self) -> int:
        """Nanoseconds of CLOCK_MONOTONIC, the time line shared with the eye."""
        return time.monotonic_ns()

    def reading(self) -> ClockReading:
        """All clocks at one moment (some microseconds apart)."""
        monotonic = time.monotonic_ns()
        boot = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        wall = time.time_ns()
        self._ask(monotonic, boot)
        trusted = self._synced_at is not None and wall >= self._floor_ns
        held_over = trusted and not self._now.synced
        return ClockReading(monotonic, boot, wall, self._boot_id, trusted, held_over, self._doubt_ms(boot) if trusted else 0)

    @property
    def floor_ns(self) -> int:
        """The wall time, in nanoseconds since 1970, below which the clock is not believed."""
        return self._floor_ns

    def raise_floor(self, floor_ns: int) -> None:
        """A later moment is known to be past, such as the newest event on record. A lower one changes nothing.

        A moment decades after the making of this software is an error of
        somebody's and is not taken, for it would make every true time look old.
        """
        if floor_ns > _FAR_FUTURE_NS:
            log.warning("a floor for the clock in the far future is not taken: %s s since 1970", floor_ns // 1_000_000_000)
            return
        self._floor_ns = max(self._floor_ns, floor_ns)

    def _ask(self, monotonic: int, boot: int) -> None:
        if self._asked_ns is not None and monotonic - self._asked_ns < _RECHECK_NS:
            return
        self._asked_ns = monotonic
        self._now = self._ask_kernel()
        if self._now.synced:
            self._synced_at = (boot, self._now.error_ms)
        elif self._synced_at is None and (age_ns := self._mark_age_ns()) is not None:
            self._synced_at = (max(0, boot - age_ns), _FIRST_DOUBT_MS)

    def _ask_kernel(self) -> Discipline:
        try:
            return self._discipline()
        except OSError as error:
            if not self._complained:
                log.info("the kernel does not say whether the clock is synchronised (%s); systemd-timesyncd's mark is looked at", error)
            self._complained = True
            age_ns = self._mark_age_ns()
            if age_ns is None or age_ns > MARK_FRESH_NS:
                return Discipline(synced=False, error_ms=0)
            return Discipline(synced=True, error_ms=_FIRST_DOUBT_MS + drift_ms(age_ns))

    def _mark_age_ns(self) -> int | None:
        """How long ago systemd-timesyncd set the clock; None where it did not in this boot."""
        try:
            marked_ns = self._synchronized.stat().st_mtime_ns
        except OSError:
            return None
        return max(0, time.time_ns() - marked_ns)

    def _doubt_ms(self, boot: int) -> int:
        if self._now.synced or self._synced_at is None:
            return self._now.error_ms
        since, error_ms = self._synced_at
        return error_ms + drift_ms(boot - since)


def saved_clock_ns(path: Path = SAVED_CLOCK) -> int:
    """The wall time that a file's date of modification proves to be past; 0 where there is no such file."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def certificate_floor_ns(path: Path) -> int:
    """The start of validity of the certificate in a PEM file as a floor for the clock; 0 where it cannot be read."""
    try:
        start = x509.load_pem_x509_certificate(path.read_bytes()).not_valid_before_utc
    except (OSError, ValueError) as error:
        log.warning("%s: no floor for the clock from this certificate: %s", path, error)
        return 0
    return int(start.timestamp()) * 1_000_000_000
