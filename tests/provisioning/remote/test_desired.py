"""A gate's configuration by the registry, as the message that it keeps to."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from device.config import parse
from device.edges.keys.trust_files import Province
from device.settings.desired import forbidden
from provisioning.common.errors import Refused
from provisioning.registry.registry import Registry
from provisioning.registry.tables import CERTIFIED, Gate, GateState
from provisioning.remote.desired import at_work, check_taken, keep, next_version, wanted
from tests.provisioning import enrolment_kit
from tests.provisioning.registry.rows import a_gate, a_site


def test_wires_are_not_moved_from_afar() -> None:
    """A gate that was fitted anew is sent what it was sent before: its pins and boot lines come with a card."""
    site = a_site()
    gate = a_gate(site, GateState.ENROLLED)
    before = wanted(site, gate)
    gate.kit, gate.door, gate.power_loss = "basic", "relay", "open"
    assert wanted(site, gate) == before
    assert "signals" not in before
    for key in ("relay", "button", "kit", "green"):
        assert forbidden({"signals": {key: {}}}) is not None


def test_everything_that_a_policy_can_say_survives_the_way_to_the_gate(town: enrolment_kit.Province) -> None:
    """Hours, windows, days, roles: sent as JSON, read as TOML would be."""
    gate = town.gate(GateState.ENROLLED)
    site = town.site(gate)
    site.policy = """
[policy]
opening_hours = [{ days = ["mon", "tue"], start = "05:30", end = "18:00" }]
holidays = [2026-09-02]
swapped_days = { 2026-09-05 = "wed" }
roles = [1, 2]
capacity = 40
[policy.passback]
[journal]
retention_days = 30
"""
    sections = json.loads(json.dumps(wanted(site, gate)))
    base: dict[str, dict[str, object]] = {
        "gate": {"id": gate.id, "site": gate.site},
        "camera": {"source": "picamera2"},
        "privacy": {"site_key": "key"},
    }
    merged: dict[str, object] = {name: {**base.get(name, {}), **sections.get(name, {})} for name in (*base, "policy", "journal")}
    policy = parse(merged, "sent").policy
    assert policy.capacity == 40
    assert [str(one.start) for one in policy.opening_hours] == ["05:30:00"]
    assert [day.isoformat() for day in policy.holidays] == ["2026-09-02"]
    assert policy.roles == (1, 2)


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[tuple[Registry, Gate]]:
    """An enrolled gate."""
    registry, site = Registry(f"sqlite:///{tmp_path / 'registry.sqlite'}"), a_site()
    registry.add(site)
    gate = a_gate(site, GateState.ENROLLED)
    registry.add(gate)
    yield registry, gate
    registry.close()


def test_the_same_configuration_is_the_same_message_and_another_one_the_next_version(kept: tuple[Registry, Gate]) -> None:
    """Whatever the order of its keys; a version that was not kept is given again."""
    registry, gate = kept
    key = Ed25519PrivateKey.generate()
    first = next_version(registry, gate, {"a": 1, "b": 2}, key)
    assert first.version == next_version(registry, gate, {"a": 2}, key).version == 1
    keep(registry, [first])
    keep(registry, [first])
    assert next_version(registry, gate, {"b": 2, "a": 1}, key).message == first.message
    second = next_version(registry, gate, {"a": 2}, key)
    assert second.version == 2
    assert Province((key.public_key(),)).vouches(second.message)


def test_each_gate_has_versions_of_its_own(kept: tuple[Registry, Gate]) -> None:
    """One that was away is not behind by others' numbers."""
    registry, gate = kept
    other = a_gate(registry.site(gate.site), GateState.IN_SERVICE)
    registry.add(other)
    key = Ed25519PrivateKey.generate()
    keep(registry, [next_version(registry, gate, {"a": 1}, key)])
    first = next_version(registry, other, {"a": 1}, key)
    assert (first.gate, first.version) == (other.id, 1)


def test_only_gates_that_hold_a_certificate_are_told(kept: tuple[Registry, Gate]) -> None:
    """E173 where there is none."""
    registry, gate = kept
    site = registry.site(gate.site)
    for state in GateState:
        registry.add(a_gate(site, state))
    assert {one.state for one in at_work(registry, site.id)} == CERTIFIED
    empty = a_site("Trạm Y tế")
    registry.add(empty)
    with pytest.raises(Refused, match="E173"):
        at_work(registry, empty.id)


def test_a_gate_that_refuses_is_named_and_one_that_is_silent_is_not() -> None:
    """E196: the silent one hears of it later."""
    check_taken({"g1": "applied", "g2": "silent"})
    with pytest.raises(Refused) as refused:
        check_taken({"g1": "applied", "g2": "rejected: old_version", "g3": "rolled_back"})
    assert refused.value.facts["gates"] == "g2 (rejected: old_version), g3 (rolled_back)"
