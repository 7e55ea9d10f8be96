"""Publishes a site's list of revoked badges to its gates: signed, in versions, as a change from what they hold."""

from __future__ import annotations

import base64
import queue
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import select

from device.core import broker_codes, identity
from device.core.hash_lists import snapshot
from device.core.types import SubjectClass
from device.edges.mqtt_client import Connection
from device.edges.mqtt_values import Answered, Connected, Ended, Event, Peer, Publication
from provisioning.errors import Refused
from provisioning.lists import Release, release
from provisioning.registry.store import Registry
from provisioning.registry.tables import GONE, Badge, Gate, GateState, Published

REVOKED: Final = "revoked"
"""The list's name; a card's configuration names it, unless the site has a policy of its own."""
OLDER: Final = 5
"""So many earlier versions are offered as changes."""
DESK: Final = "desk"
ANSWER_S: Final = 20.0
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


def edition(registry: Registry, gates: Sequence[Gate], site_key: bytes, key: Ed25519PrivateKey, life: timedelta) -> Edition:
    """All badges of the gates' site that were revoked and have not ended by themselves.

    Raises Refused (E173) where none of the gates could hear of it.
    """
    now = datetime.now(UTC).replace(microsecond=0)
    site = gates[0].site
    told = [gate for gate in gates if gate.state not in _DEAF]
    if not told:
        raise Refused("E173", id=site)
    with registry.change() as session:
        older = session.scalars(
            select(Published).where(Published.site == site, Published.name == REVOKED).order_by(Published.version.desc()).limit(OLDER)
        ).all()
        badges = session.scalars(select(Badge).where(Badge.site == site, Badge.revoked.is_not(None), Badge.expires > now)).all()
    subjects = [bytes.fromhex(identity.subject(site_key, SubjectClass.BADGE, badge.subject)) for badge in badges]
    version = older[0].version + 1 if older else 1
    valid = (int(now.timestamp()), int((now + life).timestamp()))
    before = {row.version: row.entries for row in older}

    def sign(body: bytes) -> str:
        return base64.b64encode(key.sign(body)).decode()

    made = [release(sign, subjects, name=REVOKED, version=version, valid_s=valid, gate=gate.id, older=before) for gate in told]
    row = Published(site=site, name=REVOKED, version=version, entries=snapshot(subjects), issued=now, expires=now + life)
    return Edition(row, len(subjects), made)


def publish(peer: Peer, messages: Iterable[tuple[str, bytes]]) -> None:
    """Leave retained messages with the broker, one after another. Raises Refused (E174) unless it has taken all of them."""
    got: queue.SimpleQueue[Event] = queue.SimpleQueue()
    connection = Connection(peer, got.put)
    connection.start()
    try:
        _wait(got, peer, lambda event: isinstance(event, Connected))
        for topic, payload in messages:
            connection.publish(Publication(topic, topic, payload, retain=True))
            _wait(got, peer, lambda event, topic=topic: isinstance(event, Answered) and event.token == topic)  # type: ignore[misc] # a default binds the loop's value
    finally:
        connection.disconnect()
        connection.join(5.0)


def _wait(got: queue.SimpleQueue[Event], peer: Peer, wanted: Callable[[Event], bool]) -> None:
    end_s = time.monotonic() + ANSWER_S
    while True:
        try:
            event = got.get(timeout=max(0.0, end_s - time.monotonic()))
        except queue.Empty:
            raise Refused("E174", host=peer.host, port=peer.port, why="no answer") from None
        if isinstance(event, Ended):
            raise Refused("E174", host=peer.host, port=peer.port, why=event.reason)
        if isinstance(event, Answered) and broker_codes.is_refusal(event.code):
            raise Refused("E174", host=peer.host, port=peer.port, why=broker_codes.name(event.code))
        if wanted(event):
            return
