"""The kinds of site."""

from __future__ import annotations

import pytest

from provisioning.common.catalogue import Lang
from provisioning.places.kinds import VEHICLES, SiteKind, name_of


@pytest.mark.parametrize("kind", list(SiteKind))
def test_each_kind_of_site_has_a_name_in_both_languages(kind: SiteKind) -> None:
    """And the vehicles are among them."""
    assert name_of(kind, Lang.VI) != name_of(kind, Lang.EN) or kind in VEHICLES


def test_no_two_kinds_have_one_name() -> None:
    """Whoever reads a report knows which it is."""
    for lang in Lang:
        assert len({name_of(kind, lang) for kind in SiteKind}) == len(SiteKind)
