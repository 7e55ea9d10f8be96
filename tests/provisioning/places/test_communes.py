"""The communes and wards."""

from __future__ import annotations

import pytest

from provisioning.common.errors import Refused
from provisioning.places.communes import commune, communes, containing, plain


def test_there_are_110_communes_and_25_wards() -> None:
    """As the resolution counts them; every code once, five digits."""
    kinds = [one.kind for one in communes().values()]
    assert (kinds.count("xã"), kinds.count("phường"), len(kinds)) == (110, 25, 135)
    assert all(code.isdecimal() and len(code) == 5 for code in communes())


@pytest.mark.parametrize("text", ["23575", "Pleiku", "pleiku", "phường Pleiku", "PHƯỜNG PLEIKU", "phuong  pleiku"])
def test_a_commune_is_found_by_code_or_name(text: str) -> None:
    """With or without its marks."""
    assert commune(text).code == "23575"


def test_what_is_near_is_named() -> None:
    """A text that means several, or none."""
    with pytest.raises(Refused) as refused:
        commune("hoai nhon dong bac")
    assert refused.value.facts["near"] == "-"
    with pytest.raises(Refused) as refused:
        commune("an nho")
    assert "phường An Nhơn (21910)" in str(refused.value.facts["near"])


def test_names_that_differ_only_by_their_marks_are_not_mixed_up() -> None:
    """No two are the same without them, so a name is enough."""
    assert len({plain(one.full_name) for one in communes().values()}) == len(communes())


@pytest.mark.parametrize(("text", "count"), [("", 135), ("phuong", 25), ("PLEIKU", 1), ("Atlantis", 0)])
def test_communes_are_looked_up_by_any_part_of_their_full_name(text: str, count: int) -> None:
    """With or without marks; nothing means all."""
    assert len(containing(text)) == count
