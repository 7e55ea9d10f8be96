"""The `gate` command: one short function a verb. Other programs read its output and exit codes.

Exit codes: 0 good, 1 the thing asked about is not well, 2 usage or
configuration, 3 (of `renew` alone) a new certificate is there. Errors go to stderr: what, on what, why, what to do.
Each verb imports what it needs when it runs, because a Pi pays for imports.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from device.edges.machine.systemd import SystemdNotifier, under_systemd
from device.errors import ConfigError, GateError, LaptopOnly
from device.laptop import WORKBENCH, need

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

GOOD: Final = 0
UNWELL: Final = 1
USAGE: Final = 2
RENEWED: Final = 3

DEFAULT_CONFIG: Final = Path("/etc/gate/gate.toml")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb. Returns the exit code."""
    options = _parser().parse_args(arguments)
    chatty = options.verb in {"run", "eye"}
    with _said_by_children("INFO" if chatty else "WARNING") as level:
        logging.basicConfig(
            stream=sys.stderr,
            level=level,
            # Under systemd the journal adds its own time.
            format="%(levelname)s %(name)s: %(message)s" if under_systemd() else "%(asctime)s %(levelname)s %(name)s: %(message)s",
        )
        return _run(options)


def _run(options: argparse.Namespace) -> int:
    try:
        verb: Callable[[argparse.Namespace], int] = options.call
        return verb(options)
    except (ConfigError, LaptopOnly) as error:
        return _complain(error, USAGE)
    except GateError as error:
        return _complain(error, UNWELL)
    except KeyboardInterrupt:
        return UNWELL
    except BrokenPipeError:
        # The reader (`head`, a pager) went away: that is not our failure, but nothing more can be said to it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return GOOD


@contextmanager
def _said_by_children(level: str) -> Iterator[str]:
    """The processes that a verb starts say as much as it does: LOG_LEVEL, which whoever calls may have set."""
    before = os.environ.get("LOG_LEVEL")
    os.environ["LOG_LEVEL"] = before or level
    try:
        yield os.environ["LOG_LEVEL"].upper()
    finally:
        if before is None:
            del os.environ["LOG_LEVEL"]


def run(options: argparse.Namespace) -> int:
    """The daemon."""
    from device.gate import run_daemon

    return run_daemon(_config(options))


def eye(options: argparse.Namespace) -> int:
    """The eye alone."""
    from device.eye.main import main as run_eye

    return run_eye(_config(options), SystemdNotifier())


def demo(options: argparse.Namespace) -> int:
    """Everything on this machine; on a laptop, not on a gate."""
    need(WORKBENCH, "demo")
    from device.workbench.demo import run_demo

    return run_demo(seconds=options.seconds, frames=options.frames, as_json=options.json)


def replay(options: argparse.Namespace) -> int:
    """Decode and decide on image files, on a laptop also on a video."""
    from device.verbs.replay import run_replay

    if options.payload and under_systemd():
        print("gate replay: --payload is refused under systemd, because the output would be kept in its journal", file=sys.stderr)
        return USAGE
    full = options.ladder == "full"
    return run_replay(options.path, as_json=options.json, payload=options.payload, full=full, explained=options.explain)


def check_config(options: argparse.Namespace) -> int:
    """Check a configuration and every file that it names."""
    from device.config import load
    from device.settings.checks import check_files

    config = load(options.file)
    check_files(config, str(options.file))
    print(f"{options.file}: good: gate {config.gate.id} of site {config.gate.site}, direction {config.gate.direction}")
    return GOOD


def events(options: argparse.Namespace) -> int:
    """What stands in the record."""
    from device.config import load
    from device.edges.certificate.renew import PAST
    from device.verbs.events import print_events, print_verdict

    config = load(_config(options))
    if options.verify:
        cert = None if config.broker is None else config.broker.cert
        return print_verdict(config.journal.path, cert, _config(options).parent / PAST, as_json=options.json)
    return print_events(config.journal.path, as_json=options.json, limit=options.limit, explained=options.explain)


def status(options: argparse.Namespace) -> int:
    """How the running gate is."""
    from device.config import load
    from device.verbs.status import print_status

    return print_status(load(_config(options)).gate.runtime_dir, as_json=options.json)


def selftest(options: argparse.Namespace) -> int:
    """Try every part once."""
    from device.settings.commissioned import load
    from device.verbs.selftest import run_selftest

    return run_selftest(load(_config(options)), as_json=options.json, report=options.report)


def update(options: argparse.Namespace) -> int:
    """Install a newer version, if it is signed."""
    from device.verbs.update import run_handed_in, run_update

    if options.handed_in is not None:
        return run_handed_in(options.handed_in)
    return run_update(options.package, older=options.older)


def enrol(options: argparse.Namespace) -> int:
    """A first boot: get the gate's own certificate with what is on the card."""
    from device.verbs.enrol import run_enrol

    return run_enrol(options.card, options.etc, options.store, options.wait)


def renew(options: argparse.Namespace) -> int:
    """Get the next certificate when it is due. Exit code 3 says that there is a new one, with which the gate has to start again."""
    from device.edges.certificate.renew import renew as get_next

    found = get_next(options.etc, options.store, options.wait, early=options.early)
    print(f"{found.gate}: {'renewed' if found.done else 'not due'}; valid until {found.ends:%Y-%m-%d}")
    return RENEWED if found.done else GOOD


def bench(options: argparse.Namespace) -> int:
    """Measure; on a laptop, not on a gate."""
    need(WORKBENCH, "bench")
    from device.workbench.bench import run_bench

    result = run_bench(options.part, options.events, options.people, options.photographs)
    print(json.dumps(result) if options.json else json.dumps(result, indent=2))
    return GOOD


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="gate",
        description="The unattended gate: reads a code, decides, records, answers, reports.",
        # An abbreviation that works today may be ambiguous tomorrow, and other programs rely on this command line.
        allow_abbrev=False,
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for call, with_config, with_json in (
        (run, True, False),
        (eye, True, False),
        (demo, False, True),
        (replay, False, True),
        (check_config, False, False),
        (events, True, True),
        (status, True, True),
        (selftest, True, True),
        (update, False, False),
        (enrol, False, False),
        (renew, False, False),
        (bench, False, True),
    ):
        summary = (call.__doc__ or "").strip()
        verb = verbs.add_parser(call.__name__.replace("_", "-"), help=summary, description=summary, allow_abbrev=False)
        verb.set_defaults(call=call)
        if with_config:
            verb.add_argument("--config", type=Path, metavar="FILE", help=f"configuration (default: {DEFAULT_CONFIG})")
        if with_json:
            verb.add_argument("--json", action="store_true", help="machine-readable output")
        _ARGUMENTS.get(call.__name__, lambda _: None)(verb)
    return parser


def _demo_arguments(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--seconds", type=_positive, default=20.0, metavar="N", help="how long (default: 20)")
    verb.add_argument("--frames", type=Path, metavar="FOLDER", help="a folder of pictures instead of made ones")


def _replay_arguments(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("path", type=Path, metavar="PATH", help="a picture, a folder of pictures or a video")
    verb.add_argument("--payload", action="store_true", help="print what the codes hold: personal data")
    verb.add_argument("--ladder", choices=("one-shot", "full"), default="full", help="one-shot judges each file alone in a single pass")
    _explain_argument(verb)


def _explain_argument(verb: argparse.ArgumentParser) -> None:
    words = "say in one sentence why each decision fell (default: vi)"
    verb.add_argument("--explain", nargs="?", choices=("vi", "en"), const="vi", metavar="LANGUAGE", help=words)


def _check_config_arguments(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("file", type=Path, metavar="FILE")


def _events_arguments(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--limit", type=int, default=50, metavar="N", help="the newest N (default: 50; 0 for all)")
    verb.add_argument("--verify", action="store_true", help="check that nothing in the record was changed, moved, put in or taken out")
    _explain_argument(verb)


def _update_arguments(verb: argparse.ArgumentParser) -> None:
    which = verb.add_mutually_exclusive_group(required=True)
    which.add_argument("package", type=Path, nargs="?", metavar="PACKAGE", help="a gate_VERSION_ARCH.deb with its .sig beside it")
    which.add_argument("--handed-in", type=Path, metavar="FOLDER", help="what the daemon handed in")
    verb.add_argument("--older", action="store_true", help="also a version that is not newer")


def _bench_arguments(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("part", nargs="?", choices=("stages", "eye", "drain", "memory", "start", "idle"), help="one part only")
    verb.add_argument("--events", type=int, default=10_000, metavar="N", help="events of the drain and memory parts (default: 10000)")
    verb.add_argument("--people", type=int, default=10, metavar="N", help="codes held up for each point of the eye's curves (default: 10)")
    verb.add_argument(
        "--photographs", type=Path, metavar="FOLDER", help="pictures with NAME.payload beside each: read by the eye and its rivals"
    )


def _enrol_arguments(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--card", type=Path, default=Path("/boot/firmware/gate"), metavar="FOLDER", help="the card's bundle")
    verb.add_argument("--etc", type=Path, default=DEFAULT_CONFIG.parent, metavar="FOLDER", help="for configuration and public keys")
    verb.add_argument("--store", type=Path, default=Path("/etc/credstore"), metavar="FOLDER", help="for the certificate and keys")
    verb.add_argument("--wait", type=float, default=float("inf"), metavar="SECONDS", help="how long to try (default: until it works)")


def _selftest_arguments(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--report", action="store_true", help="print the signed report that an acceptance needs")


def _renew_arguments(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--etc", type=Path, default=DEFAULT_CONFIG.parent, metavar="FOLDER", help="configuration and public keys")
    verb.add_argument("--store", type=Path, default=Path("/etc/credstore"), metavar="FOLDER", help="the certificate and keys")
    verb.add_argument("--wait", type=float, default=3600.0, metavar="SECONDS", help="how long to try (default: 3600)")
    verb.add_argument("--early", action="store_true", help="now, although it is not due")


_ARGUMENTS: Final = {
    "demo": _demo_arguments,
    "replay": _replay_arguments,
    "check_config": _check_config_arguments,
    "events": _events_arguments,
    "bench": _bench_arguments,
    "enrol": _enrol_arguments,
    "selftest": _selftest_arguments,
    "renew": _renew_arguments,
    "update": _update_arguments,
}


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return value


def _config(options: argparse.Namespace) -> Path:
    path: Path | None = options.config
    return DEFAULT_CONFIG if path is None else path


def _complain(error: GateError, code: int) -> int:
    print(f"gate: {error}\n  {error.advice}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
