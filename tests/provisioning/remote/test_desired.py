"""A gate's configuration by the registry, as the message that it keeps to."""

from __future__ import annotations

import json

from provisioning.registry.tables import GateState
from tests.provisioning.enrolment_kit import Province


def test_everything_that_a_policy_can_say_survives_the_way_to_the_gate(town: Province) -> None:
    """Hours, windows, days, roles: sent as JSON, read as TOML would be."""
    from device.config import parse  # noqa: PLC0415 - beside what it is for
    from provisioning.remote.desired import wanted  # noqa: PLC0415 - the same

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
