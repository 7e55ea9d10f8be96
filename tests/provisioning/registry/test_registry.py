"""The registry, by one contract on SQLite and PostgreSQL."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy.exc import IntegrityError

from provisioning.common.errors import Refused
from provisioning.common.ids import GATE, new_id
from provisioning.registry.registry import FORWARD, Registry
from provisioning.registry.sites import NewSite
from provisioning.registry.spreadsheets import read_sites, written
from provisioning.registry.tables import Base, Gate, GateState, Site


def a_site(name: str = "Trường Tiểu học Hoa Phượng", **changes: object) -> Site:
    """A made-up school."""
    told = {"name": name, "kind": "school", "commune": "Pleiku", "contact": "Văn phòng", "hotline": "0269 000 000"}
    more = {"purpose": "đón học sinh", "legal_basis": "nội quy", "broker_host": "broker.example.org"}
    return NewSite.model_validate({**told, **more, **changes}).row()


def a_gate(site: Site, state: GateState = GateState.PLANNED) -> Gate:
    """A gate of it."""
    now = datetime.now(UTC)
    return Gate(id=new_id(GATE), site=site.id, lane="1", direction="in", board="pi4", state=state, created=now, changed=now)


def test_what_was_added_is_there_again(registry: Registry) -> None:
    """With its marks."""
    site = a_site()
    registry.add(site)
    gate = a_gate(site)
    registry.add(gate)
    assert registry.site(site.id).name == "Trường Tiểu học Hoa Phượng"
    assert [one.id for one in registry.gates(site.id)] == [gate.id]
    assert registry.gates("s0000000") == []
    assert registry.site(site.id).network == {"kind": "lan"}


def test_an_id_is_never_given_twice(registry: Registry) -> None:
    """Not even after the gate has gone."""
    site = a_site()
    registry.add(site)
    gate = a_gate(site)
    registry.add(gate)
    registry.move(gate.id, GateState.DECOMMISSIONED)
    again = a_gate(site)
    again.id = gate.id
    with pytest.raises(Refused, match="E114"):
        registry.add(again)
    assert registry.gate(gate.id).state == GateState.DECOMMISSIONED


def test_what_is_unknown_is_named(registry: Registry) -> None:
    """Sites and gates."""
    with pytest.raises(Refused, match="E112"):
        registry.site("s0000000")
    with pytest.raises(Refused, match="E113"):
        registry.gate("g0000000")
    with pytest.raises(Refused, match="E113"):
        registry.move("g0000000", GateState.WRITTEN)


def test_a_gate_goes_only_where_the_table_says(registry: Registry) -> None:
    """Each step from each state."""
    site = a_site()
    registry.add(site)
    for start in GateState:
        for wanted in GateState:
            gate = a_gate(site, start)
            registry.add(gate)
            if wanted in FORWARD[start]:
                registry.move(gate.id, wanted)
                assert registry.gate(gate.id).state == wanted
            else:
                with pytest.raises(Refused, match="E115"):
                    registry.move(gate.id, wanted)
                assert registry.gate(gate.id).state == start


def test_a_gate_that_was_not_accepted_is_not_in_service() -> None:
    """And what has gone stays gone."""
    assert [state for state in GateState if GateState.IN_SERVICE in FORWARD[state]] == [GateState.ACCEPTED]
    assert FORWARD[GateState.DECOMMISSIONED] == frozenset()


def test_the_audit_keeps_who_did_what(registry: Registry) -> None:
    """Oldest first, by subject, the newest where there are too many."""
    for number in range(5):
        registry.note("tech", "gate add", "g1" if number % 2 else "g2", "done", {"number": number})
    assert [row.facts["number"] for row in registry.audit()] == [0, 1, 2, 3, 4]
    assert [row.facts["number"] for row in registry.audit("g1")] == [1, 3]
    assert [row.facts["number"] for row in registry.audit(limit=2)] == [3, 4]


def test_a_change_that_fails_changes_nothing(registry: Registry) -> None:
    """All or nothing."""
    first, second = a_site(), a_site()
    registry.add(first)
    second.id = first.id

    def both() -> None:
        with registry.change() as session:
            session.add(a_gate(first))
            session.add(second)

    with pytest.raises(IntegrityError):
        both()
    assert registry.gates() == []


def test_the_migrations_make_exactly_the_tables_of_the_program(registry: Registry) -> None:
    """Alembic finds no difference."""
    with registry._engine.connect() as connection:  # noqa: SLF001 - the engine is the registry's own affair otherwise
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []


def test_a_newer_registry_is_left_alone(tmp_path: Path) -> None:
    """Its version is named."""
    url = f"sqlite:///{tmp_path / 'r.sqlite'}"
    Registry(url).close()
    with sqlite3.connect(tmp_path / "r.sqlite") as file:
        file.execute("UPDATE alembic_version SET version_num = '9999'")
    file.close()
    with pytest.raises(Refused) as refused:
        Registry(url)
    assert (refused.value.code, refused.value.facts["version"]) == ("E121", "9999")


@pytest.mark.parametrize(
    "url", ["sqlite:////nowhere/r.sqlite", "nonsense", "oracle://x@y/z", "postgresql+psycopg://u:secret@/x?host=/nowhere"]
)
def test_an_address_that_leads_nowhere_is_named_without_its_secret(url: str) -> None:
    """E120."""
    with pytest.raises(Refused) as refused:
        Registry(url)
    assert refused.value.code == "E120"
    assert "secret" not in str(refused.value.facts)


def test_a_file_that_is_no_registry_is_named(tmp_path: Path) -> None:
    """And not written over."""
    path = tmp_path / "r.sqlite"
    path.write_bytes(b"no database at all" * 100)
    with pytest.raises(Refused, match="E120"):
        Registry(f"sqlite:///{path}")
    assert path.read_bytes().startswith(b"no database")


@pytest.mark.parametrize("form", ["csv", "yaml"])
def test_what_goes_out_comes_in_again(tmp_path: Path, form: str) -> None:
    """Every field, marks and formulas included."""
    sites = [a_site(f"Chợ số {number}", kind="market", network={"kind": "4g", "apn": "v-internet"}, address="=1+1") for number in range(3)]
    path = tmp_path / f"sites.{form}"
    text = written(sites, [a_gate(sites[0])], "csv" if form == "csv" else "yaml")
    if form == "csv":
        assert "'=1+1" in text
    path.write_text(text, encoding="utf-8")
    again = [new.row() for new in read_sites(path)]
    for before, after in zip(sites, again, strict=True):
        for column in ("id", "name", "kind", "commune", "address", "hotline", "network", "broker_port", "policy"):
            assert getattr(after, column) == getattr(before, column)


HEAD = "name;kind;commune;contact;hotline;purpose;legal_basis;broker_host"
GOOD = "Chợ Mới;market;Pleiku;Ban quản lý;0269 000 000;kiểm soát;nội quy;b.example.org"


@pytest.mark.parametrize(
    ("text", "code", "facts"),
    [
        (f"{HEAD}\n{GOOD}\n{GOOD.replace('market', 'moon')}\n", "E132", {"row": 3, "column": "kind"}),
        (f"{HEAD}\n\n\n{GOOD.replace('market', 'moon')}\n", "E132", {"row": 4, "column": "kind"}),
        (f"{HEAD}\n{GOOD.replace('0269 000 000', 'gọi')}\n", "E132", {"row": 2, "column": "hotline"}),
        (f"{HEAD};colour\n{GOOD};red\n", "E132", {"row": 2, "column": "colour"}),
        (f'{HEAD}\n"{GOOD}\n', "E132", {}),
        ("name: [", "E130", {}),
        ("sites: 3", "E130", {}),
    ],
)
def test_a_file_with_a_fault_is_refused_with_its_place(tmp_path: Path, text: str, code: str, facts: dict[str, object]) -> None:
    """Row and column."""
    path = tmp_path / ("s.csv" if text.startswith("name;") else "s.yaml")
    path.write_text(text, encoding="utf-8")
    with pytest.raises(Refused) as refused:
        read_sites(path)
    assert refused.value.code == code
    assert facts.items() <= refused.value.facts.items()


def test_a_spreadsheet_in_another_encoding_is_refused(tmp_path: Path) -> None:
    """Before a name loses its marks."""
    path = tmp_path / "s.csv"
    path.write_bytes(f"{HEAD}\nTrường".encode("utf-16"))
    with pytest.raises(Refused, match="E131"):
        read_sites(path)
    with pytest.raises(Refused, match="E130"):
        read_sites(tmp_path / "none.csv")
