"""A made-up school and its gates."""

from __future__ import annotations

from datetime import UTC, datetime

from provisioning.places.wiring import Fitting
from provisioning.registry.gates import planned
from provisioning.registry.sites import NewSite
from provisioning.registry.tables import Gate, GateState, Site


def a_site(name: str = "Trường Tiểu học Hoa Phượng", **changes: object) -> Site:
    """A made-up school."""
    told = {"name": name, "kind": "school", "commune": "Pleiku", "contact": "Văn phòng", "hotline": "0269 000 000"}
    more = {"purpose": "đón học sinh", "legal_basis": "nội quy", "broker_host": "broker.example.org"}
    return NewSite.model_validate({**told, **more, **changes}).row()


def a_gate(site: Site, state: GateState = GateState.PLANNED, fitting: Fitting | None = None) -> Gate:
    """A gate of it."""
    now = datetime.now(UTC)
    made = planned(site, "1", "in", "pi4", fitting or Fitting())
    made.state, made.created, made.changed = state, now, now
    return made
