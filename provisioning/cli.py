"""``gate-provision``: the technician's tool and the province's desk, one short function a verb."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final, Literal, cast

import typer
from pydantic import ValidationError

from device.edges.mqtt_values import Peer
from device.edges.tls import TlsFiles
from provisioning import authority, badge_desk, doctor, publishing
from provisioning.authority import BADGE_KID, PUBLIC, Purpose
from provisioning.badges import Issuer
from provisioning.broker.files import ENROL_PORT, PRIVATE, mosquitto_files, service
from provisioning.card.writer import Card
from provisioning.card.writer import steps as card_steps
from provisioning.catalogue import Lang, words
from provisioning.desk import Desk, Settings
from provisioning.enrolment.claims import Enrolment
from provisioning.enrolment.issuing import FilesIssuer
from provisioning.enrolment.worker import WORKER, Worker
from provisioning.enrolment.worker import Desk as Bureau
from provisioning.errors import Refused
from provisioning.ids import GATE, SITE, checked, new_id
from provisioning.paper import printing, sheets
from provisioning.places.communes import communes, plain
from provisioning.places.kinds import SiteKind, name_of
from provisioning.plan import Step
from provisioning.registry.exchange import BOARDS, NewSite, read_sites, written
from provisioning.registry.tables import Badge, Gate, GateState, Site

HOME: Final = "GATE_PROVISION_HOME"
LANG: Final = "GATE_PROVISION_LANG"
WIFI: Final = "GATE_PROVISION_WIFI"
Out = Annotated[Path, typer.Option("--out")]


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit code: 0 good, 1 not well or not wanted, 2 usage."""
    settings, rest = settings_of(sys.argv[1:] if argv is None else argv)
    desk = Desk(settings)
    try:
        program(desk)(rest, prog_name="gate-provision")
    except Refused as refused:
        return desk.refuse(refused)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0
    finally:
        desk.close()
    return 0


def settings_of(argv: Sequence[str]) -> tuple[Settings, list[str]]:
    """What every verb shares, wherever it stands on the line, and the rest."""
    parser = argparse.ArgumentParser(prog="gate-provision", add_help=False, allow_abbrev=False)
    parser.add_argument("--lang", type=Lang, choices=list(Lang), default=Lang(os.environ.get(LANG, Lang.VI)))
    parser.add_argument("--home", type=Path, default=Path(os.environ.get(HOME, Path.home() / ".local" / "share" / "gate-provision")))
    parser.add_argument("--registry", default=os.environ.get("GATE_PROVISION_REGISTRY"))
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--yes", action="store_true")
    known, rest = parser.parse_known_args(argv)
    return Settings(known.home.absolute(), known.lang, known.registry, known.json, known.yes), rest


def program(desk: Desk) -> typer.Typer:
    """The verbs, with their help in the desk's language."""
    lang = desk.settings.lang
    common = words(lang, "say.common")
    app = typer.Typer(no_args_is_help=True, add_completion=False, help=words(lang, "help.program"), epilog=common)
    app.callback()(lambda: None)

    def verb(parent: typer.Typer, name: str, key: str, function: Callable[..., Any]) -> None:
        parent.command(name, help=words(lang, f"help.{key}"), epilog=common)(function)

    def group(name: str, verbs: Mapping[str, Callable[..., Any]]) -> None:
        below = typer.Typer(no_args_is_help=True, help=words(lang, f"help.{name}"), epilog=common)
        for one, function in verbs.items():
            verb(below, one, f"{name}_{one}", function)
        app.add_typer(below, name=name)

    verb(app, "doctor", "doctor", _Doctor(desk).run)
    group("authority", {"init": _Authority(desk).init, "show": _Authority(desk).show, "service": _Authority(desk).service})
    site = _Sites(desk)
    group("site", {"add": site.add, "list": site.list, "show": site.show, "import": site.bring, "export": site.export})
    group("gate", {"add": _Gates(desk).add, "list": _Gates(desk).list})
    group("broker", {"mosquitto": _Broker(desk).mosquitto})
    group("enrol", {"serve": _Enrol(desk).serve})
    group("card", {"write": _Cards(desk).write})
    group("badge", {"issue": _Badges(desk).issue, "revoke": _Badges(desk).revoke, "list": _Badges(desk).list})
    group("list", {"publish": _Lists(desk).publish})
    verb(app, "label", "label", _Paper(desk).label)
    verb(app, "poster", "poster", _Paper(desk).poster)
    verb(app, "communes", "communes", _Lookups(desk).communes)
    verb(app, "audit", "audit", _Lookups(desk).audit)
    return app


class _Verbs:
    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    def _commune(self, code: str) -> str:
        found = communes().get(code)
        return code if found is None or self.desk.settings.json else found.full_name

    def _kind(self, kind: str) -> str:
        return kind if self.desk.settings.json else name_of(SiteKind(kind), self.desk.settings.lang)

    def _write(self, verb: str, subject: str, made: Mapping[str, bytes], out: Path) -> None:
        steps = [Step("step.write", {"path": out / name}, partial(_keep, out / name, content)) for name, content in made.items()]
        self.desk.carry_out(verb, subject[:64], steps, lambda: {"files": [str(out / name) for name in made]})


def _keep(path: Path, content: bytes) -> None:
    printing.save(content, path, 0o600 if path.name.endswith(PRIVATE) else 0o644)


class _Doctor(_Verbs):
    def run(self) -> None:
        """Each check in a row; exit code 1 when one fails."""
        rows = list(doctor.checks(self.desk))
        self.desk.table(({**row, "check": self.desk.words(f"check.{row['check']}")} for row in rows), ("outcome", "check", "value"))
        if any(row["outcome"] == "fail" for row in rows):
            raise typer.Exit(1)


class _Authority(_Verbs):
    def init(self, name: Annotated[str, typer.Option("--name")] = "Gia Lai gates") -> None:
        """Make it, and its sheet."""
        home = self.desk.settings.home
        if self.desk.authority.exists or self.desk.authority.folder.exists():
            raise Refused("E143", path=self.desk.authority.folder)
        sheet = home / "fingerprints.pdf"
        now = sheets.now()
        phrase = self.desk.passphrase(twice=True)
        if len(phrase) < authority.LEAST_PASSPHRASE:
            raise Refused("E144", least=authority.LEAST_PASSPHRASE)

        def make() -> None:
            home.mkdir(parents=True, exist_ok=True, mode=0o700)
            authority.make(self.desk.authority.folder, name, phrase, now)

        def draw() -> None:
            printing.save_pdf(sheets.fingerprints(name, self.desk.authority.fingerprints(), self.desk.settings.lang, now), sheet)

        steps = [Step("step.authority", {"path": self.desk.authority.folder}, make), Step("step.sheet", {"path": sheet}, draw)]
        told = {"folder": str(self.desk.authority.folder), "path": str(sheet), "next": self.desk.words("say.offline_root")}
        self.desk.carry_out("authority init", name[:64], steps, lambda: told)

    def service(
        self,
        name: str,
        host: Annotated[list[str] | None, typer.Option("--host")] = None,
        out: Out = Path(),
    ) -> None:
        """A certificate and its key, as files."""
        made = service(self.desk.authority, self.desk.passphrase(), name, tuple(host or ()))
        self._write("authority service", name, made, out)

    def show(self) -> None:
        """The fingerprints."""
        prints = self.desk.authority.fingerprints()
        self.desk.table(({"name": name, "fingerprint": digits} for name, digits in prints.items()), ("name", "fingerprint"))


class _Sites(_Verbs):
    def add(  # noqa: PLR0913 - a site has so many sides
        self,
        *,
        name: Annotated[str, typer.Option("--name")],
        kind: Annotated[SiteKind, typer.Option("--kind")],
        commune: Annotated[str, typer.Option("--commune")],
        contact: Annotated[str, typer.Option("--contact")],
        hotline: Annotated[str, typer.Option("--hotline")],
        purpose: Annotated[str, typer.Option("--purpose")],
        legal_basis: Annotated[str, typer.Option("--legal-basis")],
        broker: Annotated[str, typer.Option("--broker")],
        address: Annotated[str, typer.Option("--address")] = "-",
        port: Annotated[int, typer.Option("--port")] = 8883,
    ) -> None:
        """One site, under a new id."""
        told = {"name": name, "kind": kind, "commune": commune, "contact": contact, "hotline": hotline, "purpose": purpose}
        try:
            new = NewSite.model_validate(
                {**told, "legal_basis": legal_basis, "broker_host": broker, "address": address, "broker_port": port}
            )
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            raise Refused("E133", value="--" + str(first["loc"][0]).replace("_", "-"), why=first["msg"]) from error
        row = new.row()
        facts = {"id": row.id, "name": row.name, "kind": self._kind(row.kind), "commune": self._commune(row.commune)}
        self.desk.carry_out("site add", row.id, [Step("step.site", facts, partial(self.desk.registry.add, row))], lambda: facts)

    def list(self) -> None:
        """All of them."""
        self.desk.table((self._row(site) for site in self.desk.registry.sites()), ("id", "name", "kind", "commune", "hotline"))

    def show(self, site: str) -> None:
        """One, with its gates."""
        row = self.desk.registry.site(checked(site, SITE))
        gates = [f"{gate.id} ({gate.lane}, {gate.direction}, {gate.state})" for gate in self.desk.registry.gates(row.id)]
        more = {name: getattr(row, name) for name in ("address", "contact", "purpose", "legal_basis", "network")}
        self.desk.tell({**self._row(row), **more, "broker": f"{row.broker_host}:{row.broker_port}", "gates": gates})

    def bring(self, path: Path) -> None:
        """From a file: all or none."""
        rows = [new.row() for new in read_sites(path)]
        for row in rows:
            if row.id != checked(row.id, SITE):
                raise Refused("E110", id=row.id)
        doubled = next((row.id for row in rows if sum(other.id == row.id for other in rows) > 1), None)
        if doubled is not None:
            raise Refused("E114", id=doubled)
        there = {site.id: _facts(site) for site in self.desk.registry.sites()}
        for row in rows:
            if row.id in there and there[row.id] != _facts(row):
                raise Refused("E114", id=row.id)
        new = [row for row in rows if row.id not in there]

        def keep() -> None:
            with self.desk.registry.change() as session:
                session.add_all(new)

        steps = [Step("step.import", {"count": len(new), "path": path}, keep)] if new else []
        self.desk.carry_out("site import", path.name[:64], steps, lambda: {"count": len(new), "sites": [row.id for row in new]})

    def export(
        self,
        form: Annotated[str, typer.Option("--form")] = "yaml",
        out: Annotated[Path | None, typer.Option("--out")] = None,
    ) -> None:
        """To a file, or to standard output."""
        if form not in {"csv", "yaml"}:
            raise Refused("E133", value=f"--form {form}", why="csv | yaml")
        text = written(self.desk.registry.sites(), self.desk.registry.gates(), cast("Literal['csv', 'yaml']", form))
        if out is None:
            self.desk.out.print(text, end="", markup=False)
        else:
            printing.save(text.encode(), out)
            self.desk.tell({"path": str(out)})

    def _row(self, site: Site) -> dict[str, Any]:
        told = {"id": site.id, "name": site.name, "kind": self._kind(site.kind), "commune": self._commune(site.commune)}
        return {**told, "hotline": site.hotline}


def _facts(site: Site) -> dict[str, Any]:
    return {column.name: getattr(site, column.name) for column in Site.__table__.columns if column.name != "created"}


class _Gates(_Verbs):
    def add(
        self,
        site: Annotated[str, typer.Option("--site")],
        lane: Annotated[str, typer.Option("--lane")] = "1",
        direction: Annotated[str, typer.Option("--direction")] = "in",
        board: Annotated[str, typer.Option("--board")] = "pi4",
    ) -> None:
        """One gate, under a new id, planned."""
        place = self.desk.registry.site(checked(site, SITE))
        for value, allowed in ((direction, ("in", "out", "both")), (board, tuple(BOARDS))):
            if value not in allowed:
                raise Refused("E133", value=value, why=" | ".join(allowed))
        if not 0 < len(lane) <= 16 or not all(letter in "abcdefghijklmnopqrstuvwxyz0123456789-" for letter in lane):  # noqa: PLR2004 - as the gate's own configuration
            raise Refused("E133", value=f"--lane {lane}", why="a-z 0-9 -, 1-16")
        now = datetime.now(UTC)
        row = Gate(id=new_id(GATE), site=place.id, lane=lane, direction=direction, board=board, state=GateState.PLANNED)
        row.created = row.changed = now
        facts = {"id": row.id, "site": place.id, "lane": lane, "direction": direction, "board": board}
        step = Step("step.gate", {**facts, "site": place.name}, partial(self.desk.registry.add, row))
        self.desk.carry_out("gate add", row.id, [step], lambda: facts)

    def list(self, site: Annotated[str | None, typer.Option("--site")] = None) -> None:
        """All, or those of a site."""
        gates = self.desk.registry.gates(None if site is None else checked(site, SITE))
        columns = ("id", "site", "lane", "direction", "board", "state")
        self.desk.table(({name: getattr(gate, name) for name in columns} for gate in gates), columns)


class _Broker(_Verbs):
    def mosquitto(
        self,
        host: Annotated[list[str], typer.Option("--host")],
        out: Out = Path("mosquitto"),
        data: Annotated[Path, typer.Option("--data")] = Path("/var/lib/mosquitto"),
    ) -> None:
        """Two brokers of one machine."""
        made = mosquitto_files(self.desk.authority, self.desk.passphrase(), host, out.absolute(), data)
        self._write("broker mosquitto", host[0], made, out.absolute())


class _Enrol(_Verbs):
    def serve(
        self,
        *,
        host: Annotated[str, typer.Option("--host")],
        cert: Annotated[Path, typer.Option("--cert")],
        key: Annotated[Path, typer.Option("--key")],
        port: Annotated[int, typer.Option("--port")] = ENROL_PORT,
    ) -> None:
        """The worker, until SIGTERM or SIGINT."""
        logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
        phrase = self.desk.passphrase()
        ours = self.desk.authority
        peer = Peer(host, port, TlsFiles(ours.folder / PUBLIC / "root.pem", cert, key), WORKER)
        worker = Worker(peer, Bureau(self.desk.registry, FilesIssuer.of(ours, phrase), ours.site_keys(phrase)))
        stop = threading.Event()

        def end(*_: object) -> None:
            stop.set()
            worker.wake()

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, end)
        self.desk.err.print(self.desk.words("say.serving", host=host, port=port), markup=False)
        worker.run(stop)


class _Cards(_Verbs):
    def write(
        self,
        *,
        gate: Annotated[str, typer.Option("--gate")],
        boot: Annotated[Path, typer.Option("--boot")],
        form: Annotated[str, typer.Option("--form")] = "cloud-init",
        ssh_key: Annotated[Path | None, typer.Option("--ssh-key")] = None,
        package: Annotated[Path | None, typer.Option("--package")] = None,
        enrol_host: Annotated[str | None, typer.Option("--enrol-host")] = None,
        enrol_port: Annotated[int, typer.Option("--enrol-port")] = ENROL_PORT,
    ) -> None:
        """A gate's card."""
        if form not in {"cloud-init", "firstrun"}:
            raise Refused("E133", value=f"--form {form}", why="cloud-init | firstrun")
        row = self.desk.registry.gate(checked(gate, GATE))
        host = self.desk.registry.site(row.site).broker_host if enrol_host is None else enrol_host
        card = Card(
            row,
            boot,
            Enrolment(host, enrol_port),
            cast("Literal['cloud-init', 'firstrun']", form),
            () if ssh_key is None else _ssh_keys(ssh_key),
            package,
            os.environ.get(WIFI),
        )
        steps = card_steps(card, self.desk.registry, self.desk.authority, self.desk.passphrase())
        told = {"id": row.id, "path": str(boot), "next": self.desk.words("say.eject")}
        self.desk.carry_out("card write", row.id, steps, lambda: told)


def _ssh_keys(path: Path) -> tuple[str, ...]:
    try:
        return tuple(line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip())
    except (OSError, UnicodeDecodeError) as error:
        raise Refused("E152", key=path) from error


class _Badges(_Verbs):
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
        place, names = self.desk.registry.site(checked(site, SITE)), badge_desk.labels(path)
        ends = badge_desk.end_of(until, datetime.now(UTC))
        issuer = Issuer(self.desk.authority.signer(Purpose.BADGES, self.desk.passphrase()), BADGE_KID)
        try:
            made = badge_desk.issue(place, names, ends, role, zone, issuer)
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


class _Lists(_Verbs):
    def publish(
        self,
        *,
        site: Annotated[str, typer.Option("--site")],
        cert: Annotated[Path, typer.Option("--cert")],
        key: Annotated[Path, typer.Option("--key")],
        days: Annotated[int, typer.Option("--days", min=1, max=365)] = 30,
    ) -> None:
        """The next version of a site's list of revoked badges, to each of its gates."""
        place = self.desk.registry.site(checked(site, SITE))
        ours, phrase, gates = self.desk.authority, self.desk.passphrase(), self.desk.registry.gates(place.id)
        signer, site_key = ours.signer(Purpose.LISTS, phrase), ours.site_keys(phrase)(place.id)
        if not gates:
            raise Refused("E173", id=place.id)
        made = publishing.edition(self.desk.registry, gates, site_key, signer, timedelta(days=days))
        peer = Peer(
            place.broker_host,
            place.broker_port,
            TlsFiles(ours.folder / PUBLIC / "root.pem", cert, key),
            publishing.DESK,
            session_expiry_s=0,
        )

        def send() -> None:
            for one in made.releases:
                publishing.publish(peer, one.messages())

        def keep() -> None:
            with self.desk.registry.change() as session:
                session.add(made.row)

        told = {"version": made.row.version, "count": made.count, "gates": [one.gate for one in made.releases]}
        where = {"count": len(made.releases), "host": peer.host, "port": peer.port}
        note = {"version": made.row.version, "name": made.row.name, "count": made.count}
        # Noted first: a version of which some gates may have heard is never given to another content.
        steps = [Step("step.list_note", note, keep), Step("step.list_send", where, send)]
        self.desk.carry_out("list publish", place.id, steps, lambda: told)


class _Paper(_Verbs):
    def label(self, gate: str, out: Out = Path()) -> None:
        """The label of a gate."""
        row = self.desk.registry.gate(checked(gate, GATE))
        sheet = sheets.label(self.desk.registry.site(row.site), row, sheets.now())
        self._save("label", row.id, sheet, out / f"{row.id}-label")

    def poster(self, site: str, out: Out = Path()) -> None:
        """The poster of a site."""
        row = self.desk.registry.site(checked(site, SITE))
        self._save("poster", row.id, sheets.poster(row, sheets.now()), out / f"{row.id}-poster")

    def _save(self, verb: str, subject: str, sheet: sheets.Sheet, stem: Path) -> None:
        pdf, png = stem.with_suffix(".pdf"), stem.with_suffix(".png")
        steps = [
            Step("step.write", {"path": pdf}, partial(printing.save_pdf, sheet, pdf)),
            Step("step.write", {"path": png}, partial(printing.save_png, sheet, png)),
        ]
        self.desk.carry_out(verb, subject, steps, lambda: {"files": [str(pdf), str(png)]})


class _Lookups(_Verbs):
    def communes(self, text: Annotated[str, typer.Argument()] = "") -> None:
        """All, or those whose name holds a text, with or without its marks."""
        found = [one for one in communes().values() if plain(text) in plain(one.full_name)]
        self.desk.table(({"code": one.code, "kind": one.kind, "name": one.name} for one in found), ("code", "kind", "name"))

    def audit(self, subject: Annotated[str | None, typer.Argument()] = None, limit: Annotated[int, typer.Option("--limit")] = 200) -> None:
        """The newest rows."""
        columns = ("number", "at", "who", "verb", "subject", "outcome")
        rows = self.desk.registry.audit(subject, limit)
        told = ({**{name: getattr(row, name) for name in columns}, "at": f"{row.at:%Y-%m-%d %H:%M:%S}"} for row in rows)
        self.desk.table(told, columns)


if __name__ == "__main__":
    sys.exit(main())
