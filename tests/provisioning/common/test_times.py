"""Times: with their zone, in whole seconds, and on the wire as gates read them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

from device.core import wire
from provisioning.common import times


def test_a_time_without_a_zone_is_utc_and_one_with_a_zone_stays() -> None:
    """As SQLite gives it back, and PostgreSQL."""
    naive = datetime(2026, 11, 27, 6, 0)  # noqa: DTZ001 - it is what SQLite gives
    assert times.aware(naive) == datetime(2026, 11, 27, 6, 0, tzinfo=UTC)
    local = datetime(2026, 11, 27, 13, 0, tzinfo=timezone(timedelta(hours=7)))
    assert times.aware(local) is local


def test_now_is_in_whole_seconds() -> None:
    """Certificates know no others, and a page with the same content has the same bytes."""
    before, now = datetime.now(UTC), times.now()
    assert now.microsecond == 0
    assert timedelta() <= before - now + timedelta(seconds=1) <= timedelta(seconds=60)


def test_a_moment_on_the_wire_is_cut_down_to_the_second_and_read_again() -> None:
    """By the gate's own reader."""
    moment = datetime(2026, 11, 27, 13, 0, 1, 999_999, tzinfo=times.HERE)
    assert wire.seconds_of(times.on_the_wire(moment)) == datetime(2026, 11, 27, 6, 0, 1, tzinfo=UTC).timestamp()
