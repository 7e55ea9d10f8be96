"""Every problem has its severity and its two sentences, and where it has a figure, its limits."""

from __future__ import annotations

import pytest

from device.core.problems import ADVICE, HEAT, LIMITS, SPACE, Grade, Limit, Problem


def test_every_code_says_what_to_do_in_both_languages() -> None:
    """A code without a sentence would end `gate status` with an error."""
    assert set(ADVICE) == set(Problem)
    for advice in ADVICE.values():
        assert advice.vi.endswith(".")
        assert advice.en.endswith(".")
        assert advice.vi != advice.en


@pytest.mark.parametrize("limit", LIMITS.values(), ids=LIMITS)
def test_a_limit_warns_before_it_fails(limit: Limit) -> None:
    """A gate is named as not well before it is refused, and at its limits exactly."""
    step = 1 if limit.high else -1
    at = 0 if limit.high else -1
    assert limit.grade(limit.warn - step) is Grade.PASS
    assert limit.grade(limit.warn + at) is Grade.WARN
    if limit.fail is not None:
        assert (limit.fail > limit.warn) is limit.high
        assert limit.grade(limit.fail + at) is Grade.FAIL
        assert limit.grade(limit.fail + at - step) is Grade.WARN


def test_a_value_at_a_limit_that_must_not_be_undercut_is_still_good() -> None:
    """128 MiB free are enough, a byte less is not; 80 °C are too hot."""
    assert not LIMITS[SPACE].is_wrong(128 << 20)
    assert LIMITS[SPACE].is_wrong((128 << 20) - 1)
    assert LIMITS[HEAT].is_wrong(80.0)
    assert not LIMITS[HEAT].is_wrong(79.9)


def test_what_is_not_known_is_no_problem() -> None:
    """A machine without a thermometer is not hot."""
    assert not any(limit.is_wrong(None) for limit in LIMITS.values())
