"""A clock that moves only when told."""

from __future__ import annotations

from device.core.types import ClockReading

SECOND_NS = 1_000_000_000
START_WALL_NS = 1_790_000_000 * SECOND_NS


class FakeClock:
    """`ports.Clock` for tests.

    All clocks move together by `advance`. `wall_ns`, `boot_id` and `trusted`
    may be set at any time, as a time server or a restart would; the monotonic
    clocks never go back within one boot.
    """

    def __init__(
        self,
        monotonic_ns: int = 1_000 * SECOND_NS,
        wall_ns: int = START_WALL_NS,
        boot_id: str = "boot-1",
        *,
        trusted: bool = True,
        boot_ns: int | None = None,
    ) -> None:
        """`boot_ns` is CLOCK_BOOTTIME; by default equal to `monotonic_ns`, as on a machine that never slept."""
        self.now_ns = monotonic_ns
        self.boot_ns = monotonic_ns if boot_ns is None else boot_ns
        self.wall_ns = wall_ns
        self.boot_id = boot_id
        self.trusted = trusted

    def monotonic_ns(self) -> int:
        """CLOCK_MONOTONIC as last set."""
        return self.now_ns

    def reading(self) -> ClockReading:
        """All clocks at this moment."""
        return ClockReading(self.now_ns, self.boot_ns, self.wall_ns, self.boot_id, self.trusted)

    def advance(self, seconds: float) -> None:
        """Move all clocks forward by `seconds`, rounded to whole nanoseconds."""
        self.advance_ns(round(seconds * SECOND_NS))

    def advance_ns(self, nanoseconds: int) -> None:
        """Move all clocks forward, exactly."""
        if nanoseconds < 0:
            raise ValueError("monotonic time never goes back; use set_wall for the wall clock or restart for a new boot")
        self.now_ns += nanoseconds
        self.boot_ns += nanoseconds
        self.wall_ns += nanoseconds

    def set_wall(self, wall_ns: int, *, trusted: bool | None = None) -> None:
        """Step the wall clock, forward or back; `trusted` stays as it is unless given."""
        self.wall_ns = wall_ns
        self.trusted = self.trusted if trusted is None else trusted

    def restart(self, boot_id: str, *, trusted: bool = False, off_s: float = 0.0) -> None:
        """Begin a new boot: monotonic clocks at one second, the wall clock moved by the time switched off."""
        self.now_ns = self.boot_ns = SECOND_NS
        self.wall_ns += round(off_s * SECOND_NS)
        self.boot_id = boot_id
        self.trusted = trusted
