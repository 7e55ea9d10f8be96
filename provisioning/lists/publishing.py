"""Publishes a site's lists to its gates: signed, in versions, as a change from what they hold."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import select

from device.core import identity
from device.core.hash_lists import snapshot
from device.core.types import SubjectClass
from device.edges.broker.values import Peer, Publication
from provisioning.desk.errors import Refused
from provisioning.lists.list_release import Release, release
from provisioning.registry.registry import Registry
from provisioning.registry.tables import GONE, Badge, Gate, GateState, Published
from provisioning.remote.broker_talk import talk_to

REVOKED: Final = "revoked"
"""The list that is made of the registry; a card's configuration names it, unless the site has a policy of its own."""
OLDER: Final = 5
"""So many earlier versions are offered as changes."""
_DEAF: Final = GONE | {GateState.PLANNED}


@dataclass(frozen=True, slots=True)
class Edition:
    """The next version of a site's list, for each of its gates."""

    row: Published
    count: int
    releases: Sequence[Release]


def revoke(registry: Registry, subject: str, reason: str) -> None:
    """Mark a badge; twice is the same as once. Raises Refused (E172) for an unknown one."""
    with registry.change() as session:
        row = session.get(Badge, subject)
        if row is None:
            raise Refused("E172", id=subject)
        if row.revoked is None:
            row.revoked, row.reason = datetime.now(UTC), reason


def revoked(registry: Registry, site: str, site_key: bytes) -> Sequence[bytes]:
    """The keyed hashes of a site's badges that were revoked and have not ended by themselves."""
    now = datetime.now(UTC)
    with registry.change() as session:
        badges = session.scalars(select(Badge).where(Badge.site == site, Badge.revoked.is_not(None), Badge.expires > now)).all()
    return [bytes.fromhex(identity.subject(site_key, SubjectClass.BADGE, badge.subject)) for badge in badges]


def edition(
    registry: Registry, gates: Sequence[Gate], name: str, subjects: Sequence[bytes], key: Ed25519PrivateKey, life: timedelta
) -> Edition:
    """The next version of the list ``name`` of the gates' site: the keyed hashes of 32 bytes of everybody on it.

    Raises Refused (E173) where none of the gates could hear of it.
    """
    now = datetime.now(UTC).replace(microsecond=0)
    site = gates[0].site
    told = [gate for gate in gates if gate.state not in _DEAF]
    if not told:
        raise Refused("E173", id=site)
    with registry.change() as session:
        older = session.scalars(
            select(Published).where(Published.site == site, Published.name == name).order_by(Published.version.desc()).limit(OLDER)
        ).all()
    version = older[0].version + 1 if older else 1
    valid = (int(now.timestamp()), int((now + life).timestamp()))
    before = {row.version: row.entries for row in older}

    def sign(body: bytes) -> str:
        return base64.b64encode(key.sign(body)).decode()

    made = [release(sign, subjects, name=name, version=version, valid_s=valid, gate=gate.id, older=before) for gate in told]
    row = Published(site=site, name=name, version=version, entries=snapshot(subjects), issued=now, expires=now + life)
    return Edition(row, len(set(subjects)), made)


def publish(peer: Peer, messages: Iterable[tuple[str, bytes]]) -> None:
    """Leave retained messages with the broker, one after another. Raises Refused (E174) unless it has taken all of them."""
    with talk_to(peer) as talk:
        for topic, payload in messages:
            talk.deliver(Publication(topic, topic, payload, retain=True))
