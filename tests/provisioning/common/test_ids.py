"""Ids: each wrong character and each exchange of neighbours is found."""

from __future__ import annotations

import re

import pytest

from provisioning.common.errors import Refused
from provisioning.common.ids import ALPHABET, GATE, SITE, checked, new_id


def refused(text: str) -> bool:
    """Whether an id is not taken."""
    try:
        checked(text, GATE)
    except Refused as refusal:
        return refusal.code == "E110"
    return False


def test_an_id_fits_where_the_gate_needs_it() -> None:
    """In topics, as a certificate's name, and without letters that are misread."""
    for _ in range(200):
        made = new_id(GATE)
        assert re.fullmatch(r"[a-z0-9-]{3,32}", made)
        assert set(made[1:]) <= set(ALPHABET)
        assert checked(f" {made[:1]} {made[1:5].upper()} {made[5:]} ", GATE) == made


def test_each_wrong_character_is_found() -> None:
    """At each place, each other letter of the alphabet."""
    for _ in range(5):
        made = new_id(GATE)
        for place in range(1, len(made)):
            for letter in ALPHABET.replace(made[place], ""):
                assert refused(made[:place] + letter + made[place + 1 :]), made


def test_each_exchange_of_neighbours_is_found() -> None:
    """Which is what tired fingers do."""
    for _ in range(200):
        made = new_id(GATE)
        for place in range(1, len(made) - 1):
            if made[place] != made[place + 1]:
                assert refused(made[:place] + made[place + 1] + made[place] + made[place + 2 :]), made


@pytest.mark.parametrize("text", ["", "g", "s4k7m2xp9", "g4k7m2xp9a", "gate-0001", "g\x00", "gilou1234"])
def test_what_was_never_given_out_is_refused(text: str) -> None:
    """A site's id is none of a gate."""
    assert refused(text)
    assert checked(new_id(SITE), SITE)
