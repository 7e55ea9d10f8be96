"""Sites as people describe them: what cannot be is named by its option, and a change is what is different afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError

from provisioning.common.errors import Refused
from provisioning.registry import sites
from provisioning.registry.registry import Registry
from provisioning.registry.sites import NewSite
from tests.provisioning.registry.rows import a_site

TOLD: dict[str, Any] = {
    "name": "Chợ Mới",
    "kind": "market",
    "commune": "Pleiku",
    "contact": "Ban quản lý",
    "hotline": "0269 000 000",
    "purpose": "kiểm soát",
    "legal_basis": "nội quy",
    "broker_host": "b.example.org",
}


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Registry]:
    """An empty registry."""
    made = Registry(f"sqlite:///{tmp_path / 'registry.sqlite'}")
    yield made
    made.close()


@pytest.mark.parametrize(
    ("changes", "option"),
    [
        ({"broker_host": "a b"}, "--broker"),
        ({"broker_port": 0}, "--port"),
        ({"legal_basis": ""}, "--legal-basis"),
        ({"network": {"kind": "wifi", "ssid": ""}}, "--ssid"),
        ({"policy": "[camera]"}, "--policy"),
        ({"name": "a\nb"}, "--name"),
    ],
)
def test_what_cannot_be_is_named_as_it_was_typed(changes: dict[str, Any], option: str) -> None:
    """By its option on the command line."""
    with pytest.raises(Refused) as refused:
        sites.described({**TOLD, **changes})
    assert (refused.value.code, refused.value.facts["value"]) == ("E133", option)


def test_a_commune_is_kept_by_its_code_and_with_the_list_that_it_is_of() -> None:
    """Codes outlive lists."""
    row = sites.described(TOLD)
    assert (row.commune, row.commune_list) == ("23575", "2025-07-01")
    with pytest.raises(Refused, match="E111"):
        sites.described({**TOLD, "commune": "Atlantis"})


def test_only_what_is_told_and_different_is_a_change() -> None:
    """What nobody told stays, and the same again is none."""
    row = sites.described(TOLD)
    told = {"hotline": "0269 111 222", "name": "Chợ Mới", "contact": None, "network": {"kind": "4g", "ssid": None, "apn": "v-internet"}}
    assert sites.changes(row, told) == {"hotline": "0269 111 222", "network": {"kind": "4g", "apn": "v-internet"}}
    assert sites.changes(row, {}) == {}
    with pytest.raises(Refused, match="E133"):
        sites.changes(row, {"hotline": "call me"})


def test_a_change_is_kept_and_the_id_stays(kept: Registry) -> None:
    """Another site is as it was."""
    one, other = sites.described(TOLD), sites.described(TOLD)
    sites.add_all(kept, [one, other])
    sites.change(kept, one.id, {"hotline": "0269 111 222", "broker_port": 8893})
    assert (kept.site(one.id).hotline, kept.site(one.id).broker_port) == ("0269 111 222", 8893)
    assert kept.site(other.id).hotline == "0269 000 000"


def test_sites_are_added_all_or_none(kept: Registry) -> None:
    """One id that is there spoils the rest."""
    there = a_site()
    kept.add(there)
    again = NewSite.model_validate({**TOLD, "id": there.id}).row()
    with pytest.raises(IntegrityError):
        sites.add_all(kept, [a_site("Trạm Y tế"), again])
    assert [site.name for site in kept.sites()] == [there.name]
