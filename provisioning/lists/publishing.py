"""Publishes a site's lists to its gates: signed, in versions, as a change from what they hold."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import select

from device.core.hash_lists import snapshot
from device.edges.broker.values import Peer
from provisioning.broker.talk import leave
from provisioning.common import times
from provisioning.common.errors import Refused
from provisioning.lists.list_release import Release, release
from provisioning.registry.registry import Registry
from provisioning.registry.tables import GONE, Gate, GateState, Published

OLDER: Final = 5
"""So many earlier versions are offered as changes."""
_DEAF: Final = GONE | {GateState.PLANNED}


@dataclass(frozen=True, slots=True)
class Edition:
    """The next version of a site's list, for each of its gates."""

    row: Published
    count: int
    releases: Sequence[Release]


def hearing(registry: Registry, site: str) -> Sequence[Gate]:
    """The gates of a site that could hear of a list. Raises Refused (E173) where there is none."""
    gates = [gate for gate in registry.gates(site) if gate.state not in _DEAF]
    if not gates:
        raise Refused("E173", id=site)
    return gates


def edition(
    registry: Registry, gates: Sequence[Gate], name: str, subjects: Sequence[bytes], key: Ed25519PrivateKey, life: timedelta
) -> Edition:
    """The next version of the list ``name`` of the site of these gates: the keyed hashes of 32 bytes of everybody on it."""
    now = times.now()
    site = gates[0].site
    with registry.change() as session:
        older = session.scalars(
            select(Published).where(Published.site == site, Published.name == name).order_by(Published.version.desc()).limit(OLDER)
        ).all()
    version = older[0].version + 1 if older else 1
    valid = (int(now.timestamp()), int((now + life).timestamp()))
    before = {row.version: row.entries for row in older}

    def sign(body: bytes) -> str:
        return base64.b64encode(key.sign(body)).decode()

    made = [release(sign, subjects, name=name, version=version, valid_s=valid, gate=gate.id, older=before) for gate in gates]
    row = Published(site=site, name=name, version=version, entries=snapshot(subjects), issued=now, expires=now + life)
    return Edition(row, len(set(subjects)), made)


def keep(registry: Registry, made: Edition) -> None:
    """Note an edition that is about to go out: a version of which a gate may have heard is never given to another content."""
    with registry.change() as session:
        session.add(made.row)


def send(peers: Iterable[Peer], made: Edition) -> None:
    """Leave an edition with each of the brokers. Raises Refused (E174) unless each has taken all of it."""
    for peer in peers:
        for one in made.releases:
            leave(peer, one.messages())
