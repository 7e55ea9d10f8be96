"""What has to be said before anything is opened."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from provisioning.common.errors import Refused
from provisioning.unsealing.request import MOST, checked_reason, span


def test_a_time_without_a_zone_is_viet_nams() -> None:
    """And another one is what it says."""
    assert span("2026-11-20T06:00", "2026-11-20T12:00+00:00") == (
        datetime(2026, 11, 19, 23, 0, tzinfo=UTC),
        datetime(2026, 11, 20, 12, 0, tzinfo=UTC),
    )


@pytest.mark.parametrize(
    ("days", "fits"), [(timedelta(0), False), (timedelta(days=-1), False), (MOST, True), (MOST + timedelta(seconds=1), False)]
)
def test_a_span_goes_forward_and_is_no_longer_than_a_month(days: timedelta, fits: bool) -> None:  # noqa: FBT001 - a parameter of the case
    """E207."""
    start = datetime(2026, 11, 1, tzinfo=UTC)
    words = start.isoformat(), (start + days).isoformat()
    if fits:
        assert span(*words) == (start, start + days)
        return
    with pytest.raises(Refused, match="E207"):
        span(*words)


@pytest.mark.parametrize("words", [("hôm qua", "2026-11-20"), ("2026-11-20", "2026-13-01")])
def test_what_is_no_time_is_named_with_its_option(words: tuple[str, str]) -> None:
    """E133."""
    with pytest.raises(Refused) as refused:
        span(*words)
    assert str(refused.value.facts["value"]) in {"--from hôm qua", "--until 2026-13-01"}


@pytest.mark.parametrize(
    ("reason", "good"),
    [("x" * 9, False), (" " * 20, False), ("x" * 10, True), ("x" * 200, True), ("x" * 201, False), ("một\nlý do dài", False)],
)
def test_a_reason_is_one_line_that_says_something(reason: str, good: bool) -> None:  # noqa: FBT001 - a parameter of the case
    """E208."""
    if good:
        assert checked_reason(reason) == reason
        return
    with pytest.raises(Refused, match="E208"):
        checked_reason(reason)
