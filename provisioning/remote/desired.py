"""What a gate's configuration should be by the registry now, as the signed, versioned message that the gate keeps to."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import ValidationError
from sqlalchemy import select

from device.config import JournalSection, PolicySection
from device.core import wire
from device.core.wire import topics
from device.edges.broker.values import Arrived, Peer, Publication, Subscription
from device.settings.desired import CHANGEABLE
from provisioning.broker.talk import talk_to
from provisioning.common import times
from provisioning.common.errors import Refused
from provisioning.common.signing import signed
from provisioning.places.site_policy import policy_tree
from provisioning.registry.registry import Registry
from provisioning.registry.tables import CERTIFIED, Gate, GateState, Sent, Site


def at_work(registry: Registry, site: str) -> Sequence[Gate]:
    """The gates of a site that can be told. Raises Refused (E173) where there is none."""
    gates = [gate for gate in registry.gates(site) if GateState(gate.state) in CERTIFIED]
    if not gates:
        raise Refused("E173", id=site)
    return gates


def wanted(site: Site, gate: Gate) -> Mapping[str, Any]:
    """The sections of the gate's configuration that the registry decides, key by key: what a policy leaves out is its default.

    What hangs on which pin is not among them: whoever moves a wire stands at the gate, and the boot lines come with a new card.
    """
    policy = policy_tree(site.policy)
    journal = JournalSection.model_validate(policy.get("journal", {})).model_dump(mode="json", include=set(CHANGEABLE["journal"] or ()))
    return {
        "gate": {"lane": gate.lane, "direction": gate.direction},
        "policy": PolicySection.model_validate(policy.get("policy", {})).model_dump(mode="json"),
        "journal": journal,
        "privacy": {"purpose": site.purpose, "legal_basis": site.legal_basis},
        "broker": {"host": site.broker_host, "port": site.broker_port},
    }


def next_version(registry: Registry, gate: Gate, config: Mapping[str, Any], key: Ed25519PrivateKey) -> Sent:
    """The message for a gate: the last one again where nothing has changed since, else the next version, not kept yet."""
    content = json.dumps(config, sort_keys=True)
    with registry.change() as session:
        last = session.scalars(select(Sent).where(Sent.gate == gate.id).order_by(Sent.version.desc()).limit(1)).first()
    if last is not None and last.config == content:
        return last
    now = times.now()
    version = 1 if last is None else last.version + 1
    told = {
        "type": "vn.gate.config.v1",
        "gate": gate.id,
        "version": version,
        "issued": times.on_the_wire(now),
        "config": config,
    }
    return Sent(gate=gate.id, version=version, sent=now, config=content, message=signed(told, key))


def keep(registry: Registry, rows: Sequence[Sent]) -> None:
    """Note what is about to be sent: a version of which a gate may have heard is never given to another content."""
    with registry.change() as session:
        for row in rows:
            session.merge(row)


def send(peer: Peer, rows: Sequence[Sent], wait_s: float) -> Mapping[str, str]:
    """Leave each message for its gate and wait for what they say: ``applied``, ``rejected: …``, ``rolled_back: …`` or ``silent``.

    Raises Refused (E174) where the broker has not taken all of them.
    """
    topic_of = {topics.up(row.gate, topics.UP_CONFIG): row for row in rows}
    answers = tuple(Subscription(topic) for topic in topic_of)
    found = dict.fromkeys((row.gate for row in rows), "silent")
    with talk_to(replace(peer, subscriptions=answers)) as talk:
        for row in rows:
            topic = topics.down(row.gate, topics.DOWN_CONFIG)
            talk.deliver(Publication(topic, topic, row.message, retain=True))
        end_s = time.monotonic() + wait_s
        while "silent" in found.values() and (event := talk.next(end_s)):
            if isinstance(event, Arrived) and event.topic in topic_of:
                asked = topic_of[event.topic]
                found[asked.gate] = _said(event.payload, asked.version) or found[asked.gate]
    return found


def check_taken(said: Mapping[str, str]) -> None:
    """Raises Refused (E196), naming each gate that does not take what it was sent, with why."""
    refusals = [f"{gate} ({state})" for gate, state in said.items() if state not in {"applied", "silent"}]
    if refusals:
        raise Refused("E196", gates=", ".join(refusals))


def _said(payload: bytes, version: int) -> str | None:
    """What a gate says of this version; None where it speaks of another."""
    try:
        report = wire.ConfigReport.model_validate_json(payload)
    except ValidationError:
        return None
    if report.desired != version:
        return None
    return ": ".join((report.status, ", ".join(report.errors))) if report.errors else report.status
