"""Everything that an event can say has words for people, in both languages."""

from __future__ import annotations

from itertools import product

from device.core import policy
from device.core.credentials import plausibility
from device.core.plain_words import ASSURANCES, KINDS, VIEWS, WARNINGS
from device.core.rules import ListUse, Standing
from device.core.types import Assurance, Kind, View


def test_everything_that_an_event_can_say_has_words() -> None:
    """In both languages, and no two the same."""
    assert set(KINDS) == set(Kind)
    assert set(ASSURANCES) == set(Assurance)
    assert set(VIEWS) == set(View)
    known = {value for name, value in vars(policy).items() if name.startswith("WARN_")} | set(plausibility.WARNINGS)
    lists = {f"{use.value}_list_{standing.value}" for use, standing in product(ListUse, Standing) if standing is not Standing.FRESH}
    assert set(WARNINGS) == known | lists
    for table in (KINDS, ASSURANCES, VIEWS, WARNINGS):
        assert len({sentence.vi for sentence in table.values()}) == len({sentence.en for sentence in table.values()}) == len(table)
