"""Badges, and the lists that speak of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from provisioning.authority.creation import BADGE_KID
from provisioning.authority.keys import Purpose
from provisioning.badges import batch
from provisioning.badges.issuer import BadgeIssuer
from provisioning.broker.nodes import nodes
from provisioning.common import times
from provisioning.common.errors import Refused
from provisioning.common.ids import SITE, checked
from provisioning.common.plan import Step
from provisioning.lists import publishing
from provisioning.lists.subjects import REVOKED, subjects_of
from provisioning.paper import printing, sheets
from provisioning.registry.tables import Badge
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
        cards = [(row.label, text, row.expires) for row, text in made]
        keep = partial(batch.keep, self.desk.registry, [row for row, _ in made])
        # On paper first: a badge that is registered and nowhere printed would be nobody's.
        draw = printing.pdf_step(partial(sheets.badges, place, cards, times.now()), out, 0o600)
        steps = [draw, Step("step.badges", {"count": len(made), "site": place.name, "date": until}, keep)] if made else []
        self.desk.carry_out("badge issue", place.id, steps, lambda: {"count": len(made), "path": str(out)})

    def revoke(self, badge: str, reason: Annotated[str, typer.Option("--reason")]) -> None:
        """One badge."""
        batch.checked_reason(reason)
        row = self.desk.registry.badge(badge.strip().lower())
        mark = Step("step.revoke", {"id": row.subject, "reason": reason}, partial(batch.revoke, self.desk.registry, row.subject, reason))
        told = {"id": row.subject, "site": row.site, "next": self.desk.words("say.publish_next", site=row.site)}
        self.desk.carry_out("badge revoke", row.subject, [] if row.revoked else [mark], lambda: told)

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
        name: Annotated[str, typer.Option("--name")] = REVOKED,
        people: Annotated[Path | None, typer.Option("--people")] = None,
        days: Annotated[int, typer.Option("--days", min=1, max=365)] = 30,
        also: Also = None,
    ) -> None:
        """The next version of a list, to each of a site's gates: the revoked badges, or whom a file names."""
        place = self.desk.registry.site(checked(site, SITE))
        phrase, registry = self.desk.passphrase(), self.desk.registry
        signer, site_key = self.desk.authority.signer(Purpose.LISTS, phrase), self.desk.authority.site_keys(phrase)(place.id)
        gates = publishing.hearing(registry, place.id)
        subjects = subjects_of(registry, place, name, people, site_key)
        made = publishing.edition(registry, gates, name, subjects, signer, timedelta(days=days))
        peers = nodes(place, self.tls(cert, key), also)
        row, count = made.row, len(made.releases)
        told = {"name": name, "version": row.version, "count": made.count, "gates": [one.gate for one in made.releases]}
        where = {"count": count, "host": ", ".join(peer.host for peer in peers), "port": place.broker_port}
        # Noted first: a version of which some gates may have heard is never given to another content.
        note = Step("step.list_note", {"version": row.version, "name": name, "count": made.count}, partial(publishing.keep, registry, made))
        send = Step("step.list_send", where, partial(publishing.send, peers, made))
        self.desk.carry_out("list publish", place.id, [note, send], lambda: told)
