"""Opens sealed identities with the authority's key, and writes them down for whoever has to trace."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cryptography.hazmat.primitives.asymmetric import x25519

from device.edges.keys.seal import SEAL_INFO, SealBroken, open_sealed
from provisioning.common.output_files import csv_table
from provisioning.common.times import HERE
from provisioning.unsealing.contacts import Contact
from provisioning.unsealing.reading import CheckIn

FACTS: Final = ("kind", "number", "name", "birth", "sex")
OPENED: Final = "opened"
"""Of an identity: it was sealed, and has been opened."""
_SEALED_LIMIT: Final = 16_384


@dataclass(frozen=True, slots=True, repr=False)
class Identity:
    """What a code said of a person. ``how`` is ``opened``, ``not sealed`` or ``cannot be opened``."""

    how: str
    facts: tuple[str, ...] = ("",) * len(FACTS)


def opened(checkin: CheckIn, key: x25519.X25519PrivateKey) -> Identity:
    """Never raises: what a gate did not seal right is told as such."""
    if checkin.sealed is None:
        return Identity("not sealed")
    try:
        if len(checkin.sealed) > _SEALED_LIMIT:
            return Identity("cannot be opened")
        told = json.loads(open_sealed(key, checkin.sealed, (SEAL_INFO + checkin.gate).encode()))
        return Identity(OPENED, tuple("" if told.get(name) is None else str(told[name])[:300] for name in FACTS))
    except (SealBroken, ValueError, AttributeError, RecursionError):
        return Identity("cannot be opened")


def passages(checkins: Sequence[CheckIn], identities: Sequence[Identity]) -> bytes:
    """A table of who passed, in Viet Nam's time."""
    rows = (
        (_local(one.at_s), f"{one.doubt_s:g}", one.gate, one.lane, one.way, identity.how, *identity.facts)
        for one, identity in zip(checkins, identities, strict=True)
    )
    return csv_table(("time", "doubt_s", "gate", "lane", "direction", "identity", *FACTS), rows)


def met(found: Iterable[tuple[str, Contact, Identity]]) -> bytes:
    """A table of contacts: site, contact, and who it was."""
    rows = (
        (
            *(site, _local(contact.first_s), _local(contact.last_s), f"{contact.seconds / 60:.0f}"),
            *("certain" if contact.certain else "possible", identity.how, *identity.facts),
        )
        for site, contact, identity in found
    )
    return csv_table(("site", "first", "last", "minutes", "sure", "identity", *FACTS), rows)


def _local(second: float) -> str:
    return f"{datetime.fromtimestamp(second, HERE):%Y-%m-%d %H:%M:%S}"
