"""Looks for the contacts of one person in what places hold of a span of time, and opens who they were."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import x25519

from device.core import identity
from device.core.types import SubjectClass
from provisioning.unsealing import opening, reading
from provisioning.unsealing.contacts import Contact, Passing, contacts, presences
from provisioning.unsealing.opening import Identity
from provisioning.unsealing.reading import CheckIn, Slice


@dataclass(frozen=True, slots=True)
class Search:
    """Whom to look for: the person's hashes at each site, and by what rule."""

    subjects: Mapping[str, Collection[str]]
    least_s: float
    """So long two presences have to share."""
    stay_s: float
    """Whoever was not seen to leave is taken to have stayed so long."""


@dataclass(frozen=True, slots=True)
class Found:
    """What there is of a span, and the contacts in it by site."""

    slice: Slice
    met: Mapping[str, Sequence[Contact]]

    @property
    def count(self) -> int:
        """How many contacts, of all sites."""
        return sum(map(len, self.met.values()))


def subjects(site_key: bytes, number: str) -> set[str]:
    """By what a place may know a number: nobody says of which document it is."""
    return {identity.subject(site_key, kind, number.strip()) for kind in SubjectClass}


def look(events: Path, search: Search, start: datetime, end: datetime) -> Found:
    """All contacts in the span. Raises Refused (E206) for a file that is not the collector's."""
    # Somebody who came in before the span may be there in it.
    found = reading.read(events, set(search.subjects), start - timedelta(seconds=search.stay_s), end)
    return Found(found, {site: _met(checkins, search, site, start) for site, checkins in sorted(found.places.items())})


def named(found: Found, key: x25519.X25519PrivateKey) -> Iterator[tuple[str, Contact, Identity]]:
    """Each contact with its site and who it was: of the person's check-ins there, one that can be opened."""
    for site, met in found.met.items():
        known = _identities(found.slice.places[site], {contact.subject for contact in met}, key)
        yield from ((site, contact, known[contact.subject]) for contact in met)


def _met(checkins: Sequence[CheckIn], search: Search, site: str, start: datetime) -> list[Contact]:
    """Contacts of whoever of the person's hashes was there."""
    passings = [Passing(one.subject, one.way, one.at_s, one.doubt_s) for one in checkins]
    there = list(presences(passings, search.stay_s))
    mine = search.subjects[site]
    both = [contact for subject in sorted(mine) for contact in contacts(there, subject, search.least_s)]
    return [contact for contact in both if contact.subject not in mine and contact.last_s >= start.timestamp()]


def _identities(checkins: Sequence[CheckIn], wanted: Collection[str], key: x25519.X25519PrivateKey) -> Mapping[str, Identity]:
    known: dict[str, Identity] = {}
    for one in checkins:
        if one.subject in wanted and (one.subject not in known or known[one.subject].how != opening.OPENED):
            known[one.subject] = opening.opened(one, key)
    return known
