"""``gate-provision``: the technician's tool and the province's desk; the verbs are in ``verbs``."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import typer

from provisioning.common.catalogue import Lang, words
from provisioning.common.errors import Refused
from provisioning.desk import Desk, Settings
from provisioning.verbs.acceptance import Acceptances
from provisioning.verbs.cards import Cards, Papers
from provisioning.verbs.fleet import Fleet
from provisioning.verbs.lookups import Lookups
from provisioning.verbs.people import Badges, Lists
from provisioning.verbs.places import Gates, Sites
from provisioning.verbs.province import AuthorityVerbs, Brokers, Doctor, Enrolments
from provisioning.verbs.remote import Remote
from provisioning.verbs.service import Commissioning, Leaving, Renewal, Service
from provisioning.verbs.unseal import UnsealingVerbs
from provisioning.verbs.visits import Visits

HOME: Final = "GATE_PROVISION_HOME"
LANG: Final = "GATE_PROVISION_LANG"


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
    # What follows the mark belongs to a command on a gate, whatever it looks like.
    mark = list(argv).index("--") if "--" in argv else len(argv)
    known, rest = parser.parse_known_args(argv[:mark])
    return Settings(known.home.absolute(), known.lang, known.registry, known.json, known.yes), [*rest, *argv[mark:]]


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

    verb(app, "doctor", "doctor", Doctor(desk).run)
    group(
        "authority",
        {
            "init": AuthorityVerbs(desk).init,
            "show": AuthorityVerbs(desk).show,
            "service": AuthorityVerbs(desk).service,
            "rotate": AuthorityVerbs(desk).rotate,
        },
    )
    site = Sites(desk)
    group(
        "site", {"add": site.add, "change": site.change, "list": site.list, "show": site.show, "import": site.bring, "export": site.export}
    )
    gate = Gates(desk)
    group(
        "gate",
        {
            "add": gate.add,
            "change": gate.change,
            "list": gate.list,
            "wiring": gate.wiring,
            "shell": Visits(desk).shell,
            "report": Visits(desk).report,
            "in-service": Service(desk).begin,
        },
    )
    group("commission", {"qr": Commissioning(desk).qr})
    verb(app, "acceptance", "acceptance", Acceptances(desk).hold)
    verb(app, "targets", "targets", Acceptances(desk).targets)
    verb(app, "rotate", "rotate", Renewal(desk).rotate)
    verb(app, "revoke", "revoke", Leaving(desk).revoke)
    verb(app, "decommission", "decommission", Leaving(desk).decommission)
    group("broker", {"mosquitto": Brokers(desk).mosquitto, "access": Leaving(desk).access, "rabbitmq": Brokers(desk).rabbitmq})
    group("enrol", {"serve": Enrolments(desk).serve})
    group("card", {"write": Cards(desk).write, "sheet": Cards(desk).sheet})
    group("packages", {"make": Cards(desk).make_set})
    group("badge", {"issue": Badges(desk).issue, "revoke": Badges(desk).revoke, "list": Badges(desk).list})
    group("list", {"publish": Lists(desk).publish})
    group("config", {"send": Remote(desk).send})
    verb(app, "order", "order", Remote(desk).order)
    group("fleet", {"report": Fleet(desk).report})
    verb(app, "unseal", "unseal", UnsealingVerbs(desk).unseal)
    verb(app, "contacts", "contacts", UnsealingVerbs(desk).contacts)
    verb(app, "unseal-log", "unseal-log", UnsealingVerbs(desk).log)
    verb(app, "label", "label", Papers(desk).label)
    verb(app, "poster", "poster", Papers(desk).poster)
    verb(app, "communes", "communes", Lookups(desk).communes)
    verb(app, "audit", "audit", Lookups(desk).audit)
    return app


if __name__ == "__main__":
    sys.exit(main())
