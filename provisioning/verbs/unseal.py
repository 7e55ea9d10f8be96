"""``unseal``, ``contacts``, ``unseal-log``: for tracing. Nothing is opened before it stands in the record who did it and why."""

from __future__ import annotations

import getpass
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from cryptography.hazmat.primitives.asymmetric import x25519

from device.core import identity
from device.core.types import SubjectClass
from provisioning.authority.authority import Purpose
from provisioning.desk.errors import Refused
from provisioning.desk.ids import SITE, checked
from provisioning.desk.plan import Step
from provisioning.fleet.known import HERE
from provisioning.paper import printing
from provisioning.unsealing import contacts, opening, reading, trail
from provisioning.unsealing.contacts import Contact, Passing
from provisioning.unsealing.opening import Identity
from provisioning.unsealing.reading import CheckIn
from provisioning.verbs.verb import Verbs

MOST: Final = timedelta(days=31)
LEAST_REASON: Final = 10
MOST_REASON: Final = 200

Events = Annotated[Path, typer.Option("--events")]
Since = Annotated[str, typer.Option("--from")]
Until = Annotated[str, typer.Option("--until")]
Why = Annotated[str, typer.Option("--reason")]
File = Annotated[Path, typer.Option("--out")]


@dataclass(frozen=True, slots=True)
class Search:
    """Whom to look for: the person's hash at each site, and by what rule."""

    subjects: dict[str, set[str]]
    least_s: float
    stay_s: float


class UnsealingVerbs(Verbs):
    """``unseal``, ``contacts``, ``unseal-log``."""

    def unseal(
        self, *, events: Events, site: Annotated[str, typer.Option("--site")], since: Since, until: Until, reason: Why, out: File
    ) -> None:
        """Everybody who passed at one place in one span of time."""
        place = self.desk.registry.site(checked(site, SITE)).id
        start, end = _span(since, until)
        _checked_reason(reason)
        key = self._key(self.desk.passphrase())
        found = reading.read(events, {place}, start, end)
        checkins = found.places.get(place, [])

        def write() -> dict[str, Any]:
            identities = [opening.opened(one, key) for one in checkins]
            printing.save(opening.passages(checkins, identities), out, 0o600)
            return {"opened": sum(one.how == "opened" for one in identities)}

        facts = {
            "site": place,
            "from": start.isoformat(),
            "until": end.isoformat(),
            "count": len(checkins),
            "data": found.digests.get(place, ""),
        }
        self._open("unseal", reason, facts, write, {"damaged": found.damaged, "path": str(out)})

    def contacts(  # noqa: PLR0913 - a search has so many sides
        self,
        *,
        events: Events,
        since: Since,
        until: Until,
        reason: Why,
        out: File,
        person: Annotated[str | None, typer.Option("--person")] = None,
        person_subject: Annotated[str | None, typer.Option("--person-subject")] = None,
        site: Annotated[str | None, typer.Option("--site")] = None,
        minutes: Annotated[float, typer.Option("--minutes", min=0, max=24 * 60)] = 15,
        stay_hours: Annotated[float, typer.Option("--stay-hours", min=0.1, max=24)] = 4,
    ) -> None:
        """Who was at the same place at the same time as one person."""
        if (person is None) == (person_subject is None):
            raise Refused("E133", value="--person", why="--person | --person-subject")
        start, end = _span(since, until)
        _checked_reason(reason)
        phrase = self.desk.passphrase()
        key, site_key = self._key(phrase), self.desk.authority.site_keys(phrase)
        sites = [one.id for one in self.desk.registry.sites()] if site is None else [self.desk.registry.site(checked(site, SITE)).id]
        subjects = {one: {person_subject} if person_subject else _subjects(site_key(one), person or "") for one in sites}
        search = Search(subjects, minutes * 60, stay_hours * 3600)
        # Somebody who came in before the span may be there in it.
        found = reading.read(events, set(sites), start - timedelta(seconds=search.stay_s), end)
        met = {one: _met(checkins, search, one, start) for one, checkins in sorted(found.places.items())}

        def write() -> dict[str, Any]:
            rows = [(one, contact, who) for one in met for contact, who in _named(found.places[one], met[one], key)]
            printing.save(opening.met(rows), out, 0o600)
            return {"opened": sum(row[2].how == "opened" for row in rows)}

        count = sum(map(len, met.values()))
        # The hash, not the number: the record of what was opened names nobody.
        data = found.digests
        who = sorted(subject for one in data for subject in subjects[one])
        facts = {"sites": sorted(data), "person": who, "from": start.isoformat(), "until": end.isoformat(), "count": count, "data": data}
        self._open("contacts", reason, facts, write, {"damaged": found.damaged, "path": str(out)})

    def log(self) -> None:
        """Who opened what and why, and whether that record is whole. Exit code 1 when not."""
        rows = trail.rows(self.desk.registry)
        fault = trail.first_fault(rows)
        columns = ("number", "at", "who", "verb", "reason", "facts")
        self.desk.table(({name: getattr(row, name) for name in columns} for row in rows), columns)
        if fault is not None:
            raise Refused("E209", number=fault)

    def _key(self, phrase: str) -> x25519.X25519PrivateKey:
        found = self.desk.authority.key(Purpose.SEALING, phrase)
        if not isinstance(found, x25519.X25519PrivateKey):
            raise Refused("E141", path=self.desk.authority.folder, why=type(found).__name__)
        return found

    def _open(self, verb: str, reason: str, facts: dict[str, Any], write: Callable[[], dict[str, Any]], more: dict[str, Any]) -> None:
        """The row first, durable; then the deed; then a row of how it ended."""
        told: dict[str, Any] = {"count": facts["count"], **more}
        registry, who = self.desk.registry, getpass.getuser()

        def do() -> None:
            trail.note(registry, who, f"{verb} begins", reason, facts)
            try:
                told.update(write())
            except BaseException:
                # Whatever it was, an interrupt too: that somebody tried stands in the record, and the error goes on.
                trail.note(registry, who, f"{verb} fails", reason, {})
                raise
            trail.note(registry, who, f"{verb} ends", reason, {name: told[name] for name in ("count", "opened", "damaged")})

        step = Step("step.unseal", {"count": facts["count"], "path": more["path"], "reason": reason}, do)
        self.desk.carry_out(verb, str(facts.get("site", "-"))[:64], [step], lambda: told)


def _met(checkins: Sequence[CheckIn], search: Search, site: str, start: datetime) -> list[Contact]:
    """Contacts of whoever of the person's hashes was there."""
    passings = [Passing(one.subject, one.way, one.at_s, one.doubt_s) for one in checkins]
    there = list(contacts.presences(passings, search.stay_s))
    mine = search.subjects[site]
    both = [contact for subject in sorted(mine) for contact in contacts.contacts(there, subject, search.least_s)]
    return [contact for contact in both if contact.subject not in mine and contact.last_s >= start.timestamp()]


def _named(checkins: Sequence[CheckIn], met: Sequence[Contact], key: x25519.X25519PrivateKey) -> Iterator[tuple[Contact, Identity]]:
    """Each contact with who it was: of the person's check-ins, one that can be opened."""
    wanted = {contact.subject for contact in met}
    known: dict[str, Identity] = {}
    for one in checkins:
        if one.subject in wanted and (one.subject not in known or known[one.subject].how != "opened"):
            known[one.subject] = opening.opened(one, key)
    yield from ((contact, known[contact.subject]) for contact in met)


def _subjects(site_key: bytes, number: str) -> set[str]:
    """By what a place may know a number: nobody says of which document it is."""
    return {identity.subject(site_key, kind, number.strip()) for kind in SubjectClass}


def _span(since: str, until: str) -> tuple[datetime, datetime]:
    start, end = _moment("--from", since), _moment("--until", until)
    if not start < end <= start + MOST:
        raise Refused("E207", since=since, until=until, days=MOST.days)
    return start, end


def _moment(option: str, text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise Refused("E133", value=f"{option} {text}", why="2026-11-01T06:00") from error
    return found if found.tzinfo is not None else found.replace(tzinfo=timezone(HERE))


def _checked_reason(reason: str) -> None:
    if not LEAST_REASON <= len(reason.strip()) <= MOST_REASON or not reason.isprintable():
        raise Refused("E208", least=LEAST_REASON, most=MOST_REASON)
