"""Every problem has its severity and its two sentences."""

from __future__ import annotations

from device.core.problems import ADVICE, Problem


def test_every_code_says_what_to_do_in_both_languages() -> None:
    """A code without a sentence would end `gate status` with an error."""
    assert set(ADVICE) == set(Problem)
    for advice in ADVICE.values():
        assert advice.vi.endswith(".")
        assert advice.en.endswith(".")
        assert advice.vi != advice.en
