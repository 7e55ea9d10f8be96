"""Badges, and the lists that speak of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from provisioning.authority.authority import BADGE_KID, Purpose
from provisioning.badges import batch
from provisioning.badges.issuer import BadgeIssuer
from provisioning.desk.errors import Refused
from provisioning.desk.ids import SITE, checked
from provisioning.desk.plan import Step
from provisioning.lists import publishing
from provisioning.lists.subjects import read_subjects
from provisioning.paper import printing, sheets
from provisioning.registry.tables import Badge
from provisioning.remote.site_policy import lists_of
from provisioning.verbs.verb import Also, Key, Out, Paper, Verbs


class Badges(Verbs):
    """``badge``."""

    def issue(
        self,
        path: Path,
        *,
        site: Annotated[str, typer.Option("--site")],
        until: Annotated[str, typer.Option("--until")],
        role: Annotated[int, typer.Option("--role")] = 0,
        zone: Annotated[int, typer.Option("--zone")] = 0,
        out: Out = Path("badges.pdf"),
    ) -> None:
        """Badges for the lines of a file."""
        place, names = self.desk.registry.site(checked(site, SITE)), batch.labels(path)
        ends = batch.end_of(until, datetime.now(UTC))
        issuer = BadgeIssuer(self.desk.authority.signer(Purpose.BADGES, self.desk.passphrase()), BADGE_KID)
        try:
            made = batch.issue(place, names, ends, role, zone, issuer)
        except ValueError as error:
            raise Refused("E133", value="--role, --zone", why=error) from error

        def keep() -> None:
            with self.desk.registry.change() as session:
                session.add_all([row for row, _ in made])

        def draw() -> None:
            printing.save_pdf(sheets.badges(place, [(row.label, text, row.expires) for row, text in made], sheets.now()), out, 0o600)

        # On paper first: a badge that is registered and nowhere printed would be nobody's.
        facts = {"count": len(made), "site": place.name, "date": until}
        steps = [Step("step.write", {"path": out}, draw), Step("step.badges", facts, keep)] if made else []
        self.desk.carry_out("badge issue", place.id, steps, lambda: {"count": len(made), "path": str(out)})

    def revoke(self, badge: str, reason: Annotated[str, typer.Option("--reason")]) -> None:
        """One badge."""
        if not 0 < len(reason) <= 100 or not reason.isprintable():  # noqa: PLR2004 - what the registry holds
            raise Refused("E133", value="--reason", why="1-100")
        row = self.desk.registry.badge(badge.strip().lower())
        facts = {"id": row.subject, "reason": reason}
        steps = [] if row.revoked else [Step("step.revoke", facts, partial(publishing.revoke, self.desk.registry, row.subject, reason))]
        told = {"id": row.subject, "site": row.site, "next": self.desk.words("say.publish_next", site=row.site)}
        self.desk.carry_out("badge revoke", row.subject, steps, lambda: told)

    def list(self, site: Annotated[str, typer.Option("--site")]) -> None:
        """All of a site."""
        found = self.desk.registry.badges(checked(site, SITE))
        columns = ("label", "role", "zone")
        rows = [{"id": row.subject, **{name: getattr(row, name) for name in columns}, **_days(row)} for row in found]
        self.desk.table(rows, ("id", *columns, "expires", "revoked"))


def _days(badge: Badge) -> dict[str, str]:
    return {"expires": f"{badge.expires:%Y-%m-%d}", "revoked": f"{badge.revoked:%Y-%m-%d}" if badge.revoked else "-"}


class Lists(Verbs):
    """``list``."""

    def publish(
        self,
        *,
        site: Annotated[str, typer.Option("--site")],
        cert: Paper,
        key: Key,
        name: Annotated[str, typer.Option("--name")] = publishing.REVOKED,
        people: Annotated[Path | None, typer.Option("--people")] = None,
        days: Annotated[int, typer.Option("--days", min=1, max=365)] = 30,
        also: Also = None,
    ) -> None:
        """The next version of a list, to each of a site's gates: the revoked badges, or whom a file names."""
        place = self.desk.registry.site(checked(site, SITE))
        ours, phrase, gates = self.desk.authority, self.desk.passphrase(), self.desk.registry.gates(place.id)
        signer, site_key = ours.signer(Purpose.LISTS, phrase), ours.site_keys(phrase)(place.id)
        if not gates:
            raise Refused("E173", id=place.id)
        named = lists_of(place.policy)
        if name not in named:
            raise Refused("E192", id=place.id, name=name, known=", ".join(named) or "-")
        if (people is None) != (name == publishing.REVOKED):
            raise Refused("E133", value="--people", why=f"--name {name}")
        if people is None:
            subjects = publishing.revoked(self.desk.registry, place.id, site_key)
        else:
            subjects = read_subjects(people, named[name], site_key)
        made = publishing.edition(self.desk.registry, gates, name, subjects, signer, timedelta(days=days))
        peers = self.nodes(place, cert, key, also)

        def send() -> None:
            for peer in peers:
                for one in made.releases:
                    publishing.publish(peer, one.messages())

        def keep() -> None:
            with self.desk.registry.change() as session:
                session.add(made.row)

        told = {"name": name, "version": made.row.version, "count": made.count, "gates": [one.gate for one in made.releases]}
        where = {"count": len(made.releases), "host": ", ".join(peer.host for peer in peers), "port": place.broker_port}
        note = {"version": made.row.version, "name": made.row.name, "count": made.count}
        # Noted first: a version of which some gates may have heard is never given to another content.
        steps = [Step("step.list_note", note, keep), Step("step.list_send", where, send)]
        self.desk.carry_out("list publish", place.id, steps, lambda: told)
