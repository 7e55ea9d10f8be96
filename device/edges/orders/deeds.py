"""What the province can have a gate do, each by one short function: the hands of the order desk.

They run in the uplink's thread, so none of them waits for long; what takes
time goes on in a thread of its own and says later how it ended.
"""

from __future__ import annotations

import hashlib
import logging
import re
import shutil
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from device.config import GateConfig
from device.core.orders import Order
from device.core.types import Sign
from device.edges.broker.tls import context_for
from device.edges.machine.log_ring import LogRing
from device.edges.orders.desk import Done, Hand
from device.errors import JournalError
from device.ports import Bounds, Signals

log = logging.getLogger(__name__)

IDENTIFY_TIMES: Final = 5
DRAIN_LIMIT_PER_S: Final = 10_000.0
LOG_LINES: Final = 200
PACKAGE_LIMIT_BYTES: Final = 256 << 20
FETCH_TIMEOUT_S: Final = 30.0
WIPED: Final = "WIPED"
"""Left in the place of what a gate knew: it does not start again until it is set up anew."""

_URL: Final = re.compile(r"https://[!-~]{1,300}/(gate_[0-9A-Za-z.+~-]{1,64}_(?:amd64|arm64)\.deb)")
_READ_BYTES: Final = 1 << 16


class Recall(Protocol):
    """The record, as far as the province may ask for events again."""

    def bounds(self) -> Bounds:
        """See ``ports.Outbox``."""
        ...

    def resend(self, first: int, last: int) -> int:
        """Have confirmed events that are still kept wait again. Returns how many. Raises JournalError."""
        ...


class Drain(Protocol):
    """The uplink, as far as the province may steer it. Neither call waits."""

    def set_drain_rate(self, per_s: float) -> None:
        """Send at most so many old events each second."""
        ...

    def rewind(self) -> None:
        """Begin again with the oldest event that waits."""
        ...


@dataclass(frozen=True, slots=True)
class Reach:
    """What hands can reach. ``stop`` ends the program in order; ``wipe_at_end`` has it leave nothing behind."""

    config: GateConfig
    journal: Recall
    signals: Signals
    uplink: Drain
    ring: LogRing
    problems: Callable[[], list[str]]
    report: Callable[[], bytes]
    """Tries every part as far as a gate at work can, and signs what it found. Takes as long as the storage needs."""
    stop: Callable[[], None]
    wipe_at_end: Callable[[], None]
    finish: Callable[[str, Done], None]


def make_hands(reach: Reach) -> dict[Order, Hand]:
    """A hand for every order that this gate can carry out; ``open`` only where a relay is fitted."""
    reporting = threading.Lock()
    hands: dict[Order, Hand] = {
        Order.IDENTIFY: lambda _, args: _identify(reach, args),
        Order.SELFTEST: lambda _, args: _selftest(reach, args),
        Order.REPORT: lambda name, args: _report(reach, reporting, name, args),
        Order.RESTART: lambda _, args: _restart(reach, args),
        Order.RESEND: lambda _, args: _resend(reach, args),
        Order.SET_DRAIN_RATE: lambda _, args: _set_drain_rate(reach, args),
        Order.SEND_LOG: lambda _, args: _send_log(reach, args),
        Order.UPDATE: lambda name, args: _update(reach, name, args),
        Order.WIPE: lambda _, args: _wipe(reach, args),
    }
    if reach.config.signals.relay is not None:
        hands[Order.OPEN] = lambda _, args: _open(reach, args)
    return hands


def wipe(folder: Path) -> None:
    """Remove everything under ``folder``, and leave the file ``WIPED`` in its place. Raises OSError."""
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    (folder / WIPED).write_text("This gate was wiped by an order of the province. Set it up anew.\n", encoding="ascii")


def _only(args: Mapping[str, Any], *known: str) -> None:
    unknown = sorted(set(args) - set(known))
    if unknown:
        raise ValueError(f"unknown: {ascii(unknown[0])[:40]}")


def _identify(reach: Reach, args: Mapping[str, Any]) -> Done:
    """Show the sign for "see a person" ``IDENTIFY_TIMES`` times: it lets nobody pass who happens to stand there."""
    _only(args)
    for _ in range(IDENTIFY_TIMES):
        reach.signals.show(Sign.REFER, queued=True)
    return Done()


def _open(reach: Reach, args: Mapping[str, Any]) -> Done:
    _only(args)
    reach.signals.open_door()
    return Done()


def _selftest(reach: Reach, args: Mapping[str, Any]) -> Done:
    """Tell what the running gate knows of itself."""
    _only(args)
    found = reach.problems()
    return Done("problems" if found else "well", ", ".join(found) or None)


def _report(reach: Reach, reporting: threading.Lock, name: str, args: Mapping[str, Any]) -> Done:
    """Tell the signed report of a self-test, as an acceptance wants it. One at a time: each writes to the storage."""
    _only(args)
    if not reporting.acquire(blocking=False):
        return Done("busy", failed=True)

    def tell() -> None:
        try:
            done = Done(None, reach.report().decode())
        except Exception as error:
            log.exception("no report can be made")
            done = Done("no_report", ascii(error)[:200], failed=True)
        # Before the end is told: whoever asks again on hearing it is not refused.
        reporting.release()
        reach.finish(name, done)

    threading.Thread(target=tell, name="report", daemon=True).start()
    return Done(later=True)


def _restart(reach: Reach, args: Mapping[str, Any]) -> Done:
    _only(args)
    reach.stop()
    return Done(later=True)


def _resend(reach: Reach, args: Mapping[str, Any]) -> Done:
    _only(args, "epoch", "first", "last")
    first, last = args["first"], args["last"]
    if type(first) is not int or type(last) is not int or not 0 < first <= last < 2**63:
        raise ValueError("first and last are numbers of events, in order")
    try:
        if args["epoch"] != reach.journal.bounds().epoch:
            return Done("another_epoch", failed=True)
        again = reach.journal.resend(first, last)
    except JournalError as error:
        return Done("storage", str(error)[:200], failed=True)
    reach.uplink.rewind()
    return Done(None, f"{again} events")


def _set_drain_rate(reach: Reach, args: Mapping[str, Any]) -> Done:
    _only(args, "per_s")
    per_s = args["per_s"]
    if type(per_s) not in {int, float} or not 0 < per_s <= DRAIN_LIMIT_PER_S:
        raise ValueError(f"per_s is above 0 and at most {DRAIN_LIMIT_PER_S:g}")
    reach.uplink.set_drain_rate(float(per_s))
    return Done()


def _send_log(reach: Reach, args: Mapping[str, Any]) -> Done:
    _only(args, "lines")
    lines = args.get("lines", LOG_LINES)
    if type(lines) is not int or not 0 < lines <= LOG_LINES:
        raise ValueError(f"lines is 1 to {LOG_LINES}")
    return Done(None, reach.ring.text(lines))


def _wipe(reach: Reach, args: Mapping[str, Any]) -> Done:
    """Have the gate wiped at the end of the program, after everything is closed; the answer still goes out."""
    _only(args, "confirm")
    if args.get("confirm") != reach.config.gate.id:
        raise ValueError("confirm names the gate")
    reach.wipe_at_end()
    reach.stop()
    return Done()


def _update(reach: Reach, name: str, args: Mapping[str, Any]) -> Done:
    """Fetch a package and its signature, and hand both in; whether it counts is decided by another program, with other keys."""
    _only(args, "url", "sha256")
    match = _URL.fullmatch(str(args["url"]))
    digest = str(args["sha256"])
    if match is None or re.fullmatch(r"[0-9a-f]{64}", digest) is None:
        raise ValueError("url is https and ends with the name of a package, sha256 its digest")
    folder = reach.config.journal.path.parent / "update"

    def fetch() -> None:
        try:
            _fetch(match[0], folder / match[1], digest, reach.config)
            reach.finish(name, Done("handed_in"))
        except ValueError as error:
            reach.finish(name, Done("wrong_digest", str(error), failed=True))
        except OSError as error:
            reach.finish(name, Done("not_fetched", ascii(error)[:200], failed=True))

    threading.Thread(target=fetch, name="fetch", daemon=True).start()
    return Done(later=True)


def _fetch(url: str, path: Path, digest: str, config: GateConfig) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    context = context_for(None if config.broker is None else config.broker.ca)
    found = _download(url, path, context, PACKAGE_LIMIT_BYTES)
    if found != digest:
        path.unlink()
        raise ValueError("the package is another one")
    _download(f"{url}.sig", path.with_name(f"{path.name}.sig"), context, _READ_BYTES)
    path.with_name(f"{path.name}.ready").touch()


def _download(url: str, path: Path, context: ssl.SSLContext, limit: int) -> str:
    """Fetch a file into ``path``. Returns its SHA-256. Raises OSError, also for more than ``limit`` bytes."""
    digest, size = hashlib.sha256(), 0
    # The form of the address was checked: https alone.
    with urllib.request.urlopen(url, timeout=FETCH_TIMEOUT_S, context=context) as answer, path.open("wb") as file:  # noqa: S310 - see above
        while piece := answer.read(_READ_BYTES):
            size += len(piece)
            if size > limit:
                raise OSError("larger than it may be")
            digest.update(piece)
            file.write(piece)
    return digest.hexdigest()
