"""``unseal``, ``contacts``, ``unseal-log``: for tracing. Nothing is opened before it stands in the record who did it and why."""

from __future__ import annotations

import getpass
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from provisioning.common.errors import Refused
from provisioning.common.ids import SITE, checked
from provisioning.common.output_files import save
from provisioning.common.plan import Step
from provisioning.unsealing import opening, reading, search, trail
from provisioning.unsealing.request import checked_reason, span
from provisioning.verbs.verb import Verbs

Events = Annotated[Path, typer.Option("--events")]
Since = Annotated[str, typer.Option("--from")]
Until = Annotated[str, typer.Option("--until")]
Why = Annotated[str, typer.Option("--reason")]
File = Annotated[Path, typer.Option("--out")]


class UnsealingVerbs(Verbs):
    """``unseal``, ``contacts``, ``unseal-log``."""

    def unseal(
        self, *, events: Events, site: Annotated[str, typer.Option("--site")], since: Since, until: Until, reason: Why, out: File
    ) -> None:
        """Everybody who passed at one place in one span of time."""
        place = self.desk.registry.site(checked(site, SITE)).id
        start, end = span(since, until)
        checked_reason(reason)
        key = self.desk.authority.sealing_key(self.desk.passphrase())
        found = reading.read(events, {place}, start, end)
        checkins = found.places.get(place, [])

        def write() -> int:
            identities = [opening.opened(one, key) for one in checkins]
            save(opening.passages(checkins, identities), out, 0o600)
            return sum(one.how == opening.OPENED for one in identities)

        count = len(checkins)
        facts = {"site": place, "from": start.isoformat(), "until": end.isoformat(), "count": count, "data": found.digests.get(place, "")}
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
        start, end = span(since, until)
        checked_reason(reason)
        phrase, ours = self.desk.passphrase(), self.desk.authority
        key, site_key = ours.sealing_key(phrase), ours.site_keys(phrase)
        sites = [one.id for one in self.desk.registry.sites()] if site is None else [self.desk.registry.site(checked(site, SITE)).id]
        subjects = {one: {person_subject} if person_subject else search.subjects(site_key(one), person or "") for one in sites}
        found = search.look(events, search.Search(subjects, minutes * 60, stay_hours * 3600), start, end)

        def write() -> int:
            rows = list(search.named(found, key))
            save(opening.met(rows), out, 0o600)
            return sum(row[2].how == opening.OPENED for row in rows)

        # The hash, not the number: the record of what was opened names nobody.
        data = found.slice.digests
        who = sorted(subject for one in data for subject in subjects[one])
        facts = {"sites": sorted(data), "person": who, "from": start.isoformat(), "until": end.isoformat(), "count": found.count}
        self._open("contacts", reason, {**facts, "data": data}, write, {"damaged": found.slice.damaged, "path": str(out)})

    def log(self) -> None:
        """Who opened what and why, and whether that record is whole. Exit code 1 when not."""
        rows = trail.rows(self.desk.registry)
        fault = trail.first_fault(rows)
        columns = ("number", "at", "who", "verb", "reason", "facts")
        self.desk.table(({name: getattr(row, name) for name in columns} for row in rows), columns)
        if fault is not None:
            raise Refused("E209", number=fault)

    def _open(self, verb: str, reason: str, facts: dict[str, Any], write: Callable[[], int], more: dict[str, Any]) -> None:
        """``write`` opens, and tells how many could be opened."""
        told: dict[str, Any] = {"count": facts["count"], **more}

        def do() -> None:
            ended = trail.opened(self.desk.registry, getpass.getuser(), verb, reason, facts, ending)
            told.update(ended)

        def ending() -> dict[str, Any]:
            return {"count": facts["count"], "opened": write(), "damaged": more["damaged"]}

        step = Step("step.unseal", {"count": facts["count"], "path": more["path"], "reason": reason}, do)
        self.desk.carry_out(verb, str(facts.get("site", "-"))[:64], [step], lambda: told)
