"""The registry, by one contract on SQLite and PostgreSQL."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy.exc import IntegrityError

from provisioning.common.errors import Refused
from provisioning.registry.registry import FORWARD, Registry
from provisioning.registry.tables import GateState
from tests.provisioning.registry.rows import a_gate, a_site


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
