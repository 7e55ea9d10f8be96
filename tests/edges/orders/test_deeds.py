"""What an order has a gate do, each deed by its own words: what it takes, what it reaches, how it ends."""

from __future__ import annotations

import hashlib
import logging
import queue
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from device.config import GateConfig, parse
from device.core.orders import Order
from device.core.types import Sign
from device.edges.machine.log_ring import LogRing
from device.edges.orders import deeds
from device.edges.orders.deeds import LOG_LINES, WIPED, Reach, make_hands, wipe
from device.edges.orders.desk import Done
from device.errors import JournalError
from device.ports import Bounds
from tests.edges.https_kit import shelf

GATE = "gate-07"
EPOCH = "11111111-1111-1111-1111-111111111111"
PACKAGE = b"a package" * 10_000
DIGEST = hashlib.sha256(PACKAGE).hexdigest()
NAME = "gate_9.9.9_arm64.deb"


@dataclass
class Machine:
    """Everything that hands can reach; it keeps what was done with it, in order."""

    found: list[str] = field(default_factory=list)
    broken: bool = False
    done: list[tuple[object, ...]] = field(default_factory=list)
    ends: queue.Queue[tuple[str, Done]] = field(default_factory=queue.Queue)
    ring: LogRing = field(default_factory=LogRing)
    ready: threading.Event = field(default_factory=threading.Event)

    def show(self, sign: Sign, *, queued: bool = False) -> None:
        """``ports.Signals``."""
        self.done.append(("show", sign, queued))

    def open_door(self) -> None:
        """``ports.Signals``."""
        self.done.append(("open",))

    def close(self) -> None:
        """``ports.Signals``."""
        raise AssertionError("no order closes the pins")

    def bounds(self) -> Bounds:
        """The record holds events 3 to 9."""
        return Bounds(EPOCH, 3, 9, 7)

    def resend(self, first: int, last: int) -> int:
        """All that are asked for are still kept."""
        if self.broken:
            raise JournalError("x" * 300)
        self.done.append(("resend", first, last))
        return last - first + 1

    def rewind(self) -> None:
        """The uplink reads from the beginning."""
        self.done.append(("rewind",))

    def set_drain_rate(self, per_s: float) -> None:
        """The uplink's cap."""
        self.done.append(("rate", per_s))

    def report(self) -> bytes:
        """A report, when the test lets it be ready."""
        assert self.ready.wait(30)
        if self.broken:
            raise JournalError("no epoch")
        return '{"gate":"cổng"}'.encode()

    def reach(self, config: GateConfig) -> Reach:
        """What the hands are given."""
        return Reach(
            config,
            self,
            self,
            self,
            self.ring,
            lambda: self.found,
            self.report,
            stop=lambda: self.done.append(("stop",)),
            wipe_at_end=lambda: self.done.append(("wipe",)),
            finish=lambda name, done: self.ends.put((name, done)),
        )


def configured(folder: Path, *, relay: bool = True, ca: Path | None = None) -> GateConfig:
    """A gate in a folder, with a relay where one is fitted."""
    tree: dict[str, Any] = {
        "gate": {"id": GATE, "site": "site-1"},
        "privacy": {"site_key": "site.key"},
        "journal": {"path": "state/journal.sqlite"},
        "signals": {"relay": {"pin": 26}} if relay else {},
    }
    if ca is not None:
        tree["broker"] = {"host": "broker.example", "ca": str(ca), "cert": "gate.pem", "key": "gate.key"}
    return parse(tree, "test", folder)


@pytest.fixture
def machine() -> Machine:
    """A gate that is well."""
    return Machine()


def do(machine: Machine, order: Order, /, **args: object) -> Done:
    """Carry out one order on a gate without a broker."""
    return make_hands(machine.reach(configured(Path("/nowhere"))))[order]("o-1", args)


def test_there_is_a_hand_for_every_order_and_a_door_only_where_there_is_a_relay(machine: Machine, tmp_path: Path) -> None:
    """What has no hand is refused as not fitted."""
    assert set(make_hands(machine.reach(configured(tmp_path)))) == set(Order)
    assert set(make_hands(machine.reach(configured(tmp_path, relay=False)))) == set(Order) - {Order.OPEN}


@pytest.mark.parametrize(
    ("order", "args"),
    [
        (Order.IDENTIFY, {}),
        (Order.OPEN, {}),
        (Order.SELFTEST, {}),
        (Order.REPORT, {}),
        (Order.RESTART, {}),
        (Order.RESEND, {"epoch": EPOCH, "first": 1, "last": 2}),
        (Order.SET_DRAIN_RATE, {"per_s": 1}),
        (Order.SEND_LOG, {}),
        (Order.UPDATE, {"url": f"https://example.org/{NAME}", "sha256": DIGEST}),
        (Order.WIPE, {"confirm": GATE}),
    ],
)
def test_an_argument_that_an_order_does_not_know_stops_it_before_anything_happens(
    machine: Machine, order: Order, args: dict[str, object]
) -> None:
    """It may be of a newer province, and mean something that this gate would not do. Only its name is told, cut short."""
    with pytest.raises(ValueError, match=r"unknown: 'z{39}$"):
        do(machine, order, **args, **{"z" * 50: 1})
    assert (machine.done, machine.ends.empty()) == ([], True)


def test_a_gate_that_is_to_show_itself_lets_nobody_pass(machine: Machine) -> None:
    """Five times the sign that sends people to a person, one behind the other."""
    assert do(machine, Order.IDENTIFY) == Done()
    assert machine.done == [("show", Sign.REFER, True)] * 5


def test_the_door_is_opened_once(machine: Machine) -> None:
    """No sign is shown with it, because nobody was judged."""
    assert do(machine, Order.OPEN) == Done()
    assert machine.done == [("open",)]


def test_what_is_wrong_with_the_gate_is_told_by_its_codes(machine: Machine) -> None:
    """In the order in which the gate names them."""
    assert do(machine, Order.SELFTEST) == Done("well")
    machine.found = ["disk", "clock"]
    assert do(machine, Order.SELFTEST) == Done("problems", "disk, clock")


def test_a_report_is_made_aside_one_at_a_time_and_told_when_it_is_ready(machine: Machine) -> None:
    """The hand does not wait for it; whoever asks meanwhile is told so; after the end it can be asked for again."""
    hand = make_hands(machine.reach(configured(Path("/nowhere"))))[Order.REPORT]
    assert hand("o-1", {}) == Done(later=True)
    assert hand("o-2", {}) == Done("busy", failed=True)
    machine.ready.set()
    assert machine.ends.get(timeout=30) == ("o-1", Done(None, '{"gate":"cổng"}'))
    assert hand("o-3", {}) == Done(later=True)
    assert machine.ends.get(timeout=30)[0] == "o-3"
    assert machine.done == [], "no lamp, no door"


def test_a_report_that_cannot_be_made_ends_its_order_and_not_the_next(machine: Machine) -> None:
    """Whatever is in its way."""
    hand = make_hands(machine.reach(configured(Path("/nowhere"))))[Order.REPORT]
    machine.ready.set()
    machine.broken = True
    assert hand("o-1", {}) == Done(later=True)
    assert machine.ends.get(timeout=30) == ("o-1", Done("no_report", "JournalError('no epoch')", failed=True))
    machine.broken = False
    assert hand("o-2", {}) == Done(later=True)
    assert not machine.ends.get(timeout=30)[1].failed


def test_a_restart_is_ended_by_the_next_start(machine: Machine) -> None:
    """Until the program starts again the order is still being carried out."""
    assert do(machine, Order.RESTART) == Done(later=True)
    assert machine.done == [("stop",)]


def test_events_that_are_asked_for_again_wait_again(machine: Machine) -> None:
    """From the first to the last, and the uplink begins with the oldest; how many there are is told."""
    assert do(machine, Order.RESEND, epoch=EPOCH, first=3, last=5) == Done(None, "3 events")
    assert machine.done == [("resend", 3, 5), ("rewind",)]
    assert do(machine, Order.RESEND, epoch=EPOCH, first=1, last=1) == Done(None, "1 events")


def test_events_of_another_file_or_a_broken_one_are_not_sent(machine: Machine) -> None:
    """Numbers mean something only within one epoch."""
    assert do(machine, Order.RESEND, epoch="another", first=3, last=5) == Done("another_epoch", failed=True)
    machine.broken = True
    assert do(machine, Order.RESEND, epoch=EPOCH, first=3, last=5) == Done("storage", "x" * 200, failed=True)
    assert machine.done == []


@pytest.mark.parametrize(("first", "last"), [(0, 1), (2, 1), (1, 2**63), ("1", 2), (1, 2.0), (True, 2)])
def test_only_whole_numbers_in_order_name_events(machine: Machine, first: object, last: object) -> None:
    """From 1 to the largest that the record's file can hold."""
    with pytest.raises(ValueError, match="first and last are numbers of events, in order"):
        do(machine, Order.RESEND, epoch=EPOCH, first=first, last=last)
    assert do(machine, Order.RESEND, epoch=EPOCH, first=2**63 - 1, last=2**63 - 1).failed is False


@pytest.mark.parametrize(("order", "missing"), [(Order.RESEND, "first"), (Order.SET_DRAIN_RATE, "per_s"), (Order.UPDATE, "url")])
def test_a_missing_argument_is_a_key_error(machine: Machine, order: Order, missing: str) -> None:
    """The desk tells it as a bad argument."""
    with pytest.raises(KeyError, match=missing):
        do(machine, order)


def test_the_rate_of_the_backlog_is_a_number_above_zero(machine: Machine) -> None:
    """At most 10,000 events each second."""
    for per_s in (3, 0.5, 10_000):
        assert do(machine, Order.SET_DRAIN_RATE, per_s=per_s) == Done()
    assert machine.done == [("rate", 3.0), ("rate", 0.5), ("rate", 10_000.0)]
    for wrong in (0, -1, 10_001, "3", True, None):
        with pytest.raises(ValueError, match="per_s is above 0 and at most 10000"):
            do(machine, Order.SET_DRAIN_RATE, per_s=wrong)


def test_the_log_comes_in_so_many_lines_as_are_asked_for(machine: Machine) -> None:
    """200 where no number is named, and never more."""
    machine.ring.setFormatter(logging.Formatter("%(message)s"))
    for number in range(LOG_LINES + 5):
        machine.ring.emit(logging.LogRecord("part", logging.INFO, "", 0, str(number), None, None))
    assert do(machine, Order.SEND_LOG, lines=2) == Done(None, "203\n204")
    told = do(machine, Order.SEND_LOG).detail
    assert told is not None
    assert told.split("\n") == [str(number) for number in range(5, 205)]
    assert do(machine, Order.SEND_LOG, lines=LOG_LINES).detail == told
    assert do(machine, Order.SEND_LOG, lines=1) == Done(None, "204")
    for wrong in (0, LOG_LINES + 1, "2", True, 1.0):
        with pytest.raises(ValueError, match="lines is 1 to 200"):
            do(machine, Order.SEND_LOG, lines=wrong)


def test_a_gate_is_wiped_only_when_it_is_named(machine: Machine) -> None:
    """At the end of the program, which stops in order; the answer goes out before."""
    for wrong in ({}, {"confirm": "gate-08"}, {"confirm": None}):
        with pytest.raises(ValueError, match="confirm names the gate"):
            do(machine, Order.WIPE, **wrong)
    assert machine.done == []
    assert do(machine, Order.WIPE, confirm=GATE) == Done()
    assert machine.done == [("wipe",), ("stop",)]


def test_nothing_is_left_of_a_wiped_folder_but_the_mark(tmp_path: Path) -> None:
    """Files, folders and links go; what a link leads to stays."""
    state, elsewhere = tmp_path / "state", tmp_path / "elsewhere"
    (state / "orders").mkdir(parents=True)
    elsewhere.mkdir()
    (elsewhere / "kept").touch()
    (state / "orders" / "o-1.json").touch()
    (state / "journal.sqlite").touch()
    (state / "link").symlink_to(elsewhere)
    wipe(state)
    assert [path.name for path in state.rglob("*")] == [WIPED]
    assert "Set it up anew" in (state / WIPED).read_text()
    assert (elsewhere / "kept").exists()
    with pytest.raises(FileNotFoundError):
        wipe(tmp_path / "none")


# ----------------------------------------------------------------- updates


@dataclass
class Depot:
    """Where packages are fetched from, and the gate that fetches."""

    url: str
    config: GateConfig
    blobs: dict[str, bytes]
    machine: Machine

    def update(self, name: str = NAME, digest: str = DIGEST) -> Done:
        """Order an update, and wait for its end."""
        hand = make_hands(self.machine.reach(self.config))[Order.UPDATE]
        assert hand("o-1", {"url": f"{self.url}/{name}", "sha256": digest}) == Done(later=True)
        order, done = self.machine.ends.get(timeout=30)
        assert order == "o-1"
        return done

    @property
    def handed_in(self) -> dict[str, bytes]:
        """What lies in the folder of updates."""
        return {path.name: path.read_bytes() for path in (self.config.journal.path.parent / "update").iterdir()}


@pytest.fixture
def depot(tmp_path: Path, machine: Machine) -> Iterator[Depot]:
    """A package with its signature, on a server of the province's own authority."""
    blobs = {NAME: PACKAGE, f"{NAME}.sig": b"a signature"}
    with shelf(tmp_path, blobs, []) as (url, ca):
        yield Depot(url, configured(tmp_path, ca=ca), blobs, machine)


def test_a_package_is_handed_in_with_its_signature(depot: Depot) -> None:
    """The mark that it is ready comes last; whether it counts is decided by another program."""
    assert depot.update() == Done("handed_in")
    assert depot.handed_in == {NAME: PACKAGE, f"{NAME}.sig": b"a signature", f"{NAME}.ready": b""}
    assert (depot.config.journal.path.parent / "update").stat().st_mode & 0o777 == 0o700


def test_another_package_than_the_one_that_was_named_is_not_kept(depot: Depot) -> None:
    """A package is told by its digest, and one with another digest is removed."""
    assert depot.update(digest="0" * 64) == Done("wrong_digest", "the package is another one", failed=True)
    assert depot.handed_in == {}


def test_what_cannot_be_fetched_is_told(depot: Depot, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package that is not there, one without a signature, one larger than may be: none is marked as ready."""
    done = depot.update("gate_1_amd64.deb")
    assert (done.reason, done.failed, "404" in str(done.detail)) == ("not_fetched", True, True)
    del depot.blobs[f"{NAME}.sig"]
    assert depot.update().reason == "not_fetched"
    monkeypatch.setattr(deeds, "PACKAGE_LIMIT_BYTES", len(PACKAGE) - 1)
    done = depot.update()
    assert done == Done("not_fetched", "OSError('larger than it may be')", failed=True)
    assert not [name for name in depot.handed_in if name.endswith(".ready")]
    monkeypatch.setattr(deeds, "PACKAGE_LIMIT_BYTES", len(PACKAGE))
    depot.blobs[f"{NAME}.sig"] = b"a signature"
    assert depot.update() == Done("handed_in")


def test_a_server_of_another_authority_is_not_believed(depot: Depot, tmp_path: Path) -> None:
    """Only the machine's own authorities and the province's count."""
    depot.config = configured(tmp_path)
    done = depot.update()
    assert (done.reason, "CERTIFICATE_VERIFY_FAILED" in str(done.detail)) == ("not_fetched", True)


@pytest.mark.parametrize(
    ("url", "digest"),
    [
        (f"http://example.org/{NAME}", DIGEST),
        (f"https://example.org/x y/{NAME}", DIGEST),
        ("https://example.org/gate_9_riscv64.deb", DIGEST),
        ("https://example.org/gate_../../x_arm64.deb", DIGEST),
        (f"https://example.org/{NAME}?x", DIGEST),
        (f"https://{'x' * 301}/{NAME}", DIGEST),
        (7, DIGEST),
        (f"https://example.org/{NAME}", DIGEST[:-1]),
        (f"https://example.org/{NAME}", DIGEST.upper()),
        (f"https://example.org/{NAME}", None),
    ],
)
def test_only_a_package_by_https_and_with_its_digest_is_fetched(machine: Machine, url: object, digest: object) -> None:
    """Anything else is a bad argument, before a line is opened or a file made."""
    with pytest.raises(ValueError, match="url is https and ends with the name of a package, sha256 its digest"):
        do(machine, Order.UPDATE, url=url, sha256=digest)
    assert machine.ends.empty()
