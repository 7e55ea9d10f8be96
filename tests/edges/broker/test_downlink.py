"""Whatever comes on ``down/#``: nothing moves that was not signed, every refusal is recorded, and nothing raises.

``GATE_FUZZ_EXAMPLES`` sets how many messages are tried (a hundred or so by default).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from device.core import wire
from device.core.orders import Order, Refusal
from device.core.types import ClockReading
from device.edges.broker.downlink import REMEMBERED, ConfigVerdict, Downlink
from device.edges.broker.notices import Notices
from device.edges.broker.values import Publication
from device.edges.lists.fetch import ListFetcher
from device.edges.lists.installed import GateList
from device.edges.orders.book import OrderBook
from device.edges.orders.desk import Done, Hand, OrderDesk
from tests.desk import Desk
from tests.edges.broker.uplink_kit import GATE, PushedClock

EXAMPLES: Final = int(os.environ.get("GATE_FUZZ_EXAMPLES", "100"))
DESK: Final = Desk()
NOW_S: Final = 1_800_000_000
NOW: Final = ClockReading(1, 1, NOW_S * 10**9, "b", trusted=True)

GOOD: Final[dict[str, dict[str, Any]]] = {
    "cmd": {"type": "vn.gate.command.v1", "gate": GATE, "id": "c-1", "name": "open", "args": {}, "issued": "2027-01-15T08:00:00Z"}
    | {"expires": "2027-01-15T08:00:20Z"},
    "config": {"type": "vn.gate.config.v1", "gate": GATE, "version": 3, "issued": "2027-01-15T08:00:00Z", "config": {"policy": {}}},
    "list": {"type": "vn.gate.list.v1", "gate": "all", "name": "staff", "version": 2, "issued": "2027-01-15T08:00:00Z"}
    | {"expires": "2028-01-15T08:00:00Z", "snapshot": {"sha256": "ab" * 32, "bytes": 160}, "deltas": []},
    "part": {},
}
ANYTHING: Final = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


class Scene:
    """A downlink with everything behind it, and counters of what moved."""

    def __init__(self, folder: Path) -> None:
        self.opened = 0
        self.configured = 0
        self.audits: list[wire.AuditFact] = []
        clock = PushedClock()
        # So many that no refusal falls to the limit on them.
        self.notices = Notices(clock, self.audits.append)
        self.notices._bucket._tokens = self.notices._bucket._room = 10.0**9  # noqa: SLF001 - the limit has its own test
        self.downlink = Downlink(GATE, "v1", self.notices)
        hands: dict[Order, Hand] = {Order.OPEN: self.open}
        self.downlink.desk = OrderDesk(GATE, DESK.province, OrderBook(folder / "orders"), hands, lambda _: True)
        self.list = GateList("staff", folder / "lists", ageing_ns=1, stale_ns=2)
        self.fetcher = ListFetcher(GATE, {"staff": self.list}, DESK.province, clock, ask=lambda _: None, tell=self.notices.record)
        self.downlink.fetcher = self.fetcher
        self.downlink.judge_config = self.configure
        self.fetcher.start()

    def open(self, _name: str, _args: object) -> Done:
        """The door."""
        self.opened += 1
        return Done()

    def configure(self, payload: bytes) -> ConfigVerdict:
        """The configuration."""
        found = DESK.province.read(wire.DesiredConfig, payload)
        self.configured += not isinstance(found, str)
        return ConfigVerdict(None, "rejected", (found,)) if isinstance(found, str) else ConfigVerdict(found.version, "applied")


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """One for all messages: what one leaves behind the next one meets."""
    one = Scene(tmp_path_factory.mktemp("down"))
    yield one
    one.fetcher.close()


@st.composite
def messages(draw: st.DrawFn) -> tuple[str, bytes]:
    """A good message, changed in one or two members, with no signature, a stranger's, or one of another message."""
    kind = draw(st.sampled_from(sorted(GOOD)))
    message = dict(GOOD[kind])
    for name in draw(st.lists(st.sampled_from([*message, "extra"]) if message else st.just("extra"), max_size=2)):
        message[name] = draw(ANYTHING)
    body = json.dumps(message, separators=(",", ":")).encode()
    how = draw(st.sampled_from(["unsigned", "stranger", "moved", "bytes"]))
    if how == "stranger":
        return kind, Desk().sign(message)
    if how == "moved":
        _, signature = wire.split_signature(DESK.sign({"a": 1}))
        return kind, wire.with_signature(body, str(signature))
    return kind, draw(st.binary(max_size=300)) if how == "bytes" else body


@given(what=messages(), name=st.sampled_from(["c-1", "staff", "x" * 64]), retained=st.booleans())
@settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_no_unsigned_message_moves_anything_and_each_refusal_is_recorded(
    scene: Scene,
    what: tuple[str, bytes],
    name: str,
    retained: bool,  # noqa: FBT001 - drawn
) -> None:
    """Commands and configurations answer as well."""
    kind, payload = what
    before = len(scene.audits)
    known = len(scene.downlink._seen)  # noqa: SLF001 - the same refusal is recorded once
    answer = scene.downlink.receive(wire.Topic(GATE, "down", kind, name), payload, NOW, retained=retained)
    if kind in {"cmd", "config"}:
        assert answer is not None
        assert b'"rejected"' in answer.payload
        assert len(scene.audits) > before or len(scene.downlink._seen) == known  # noqa: SLF001 - as above
    else:
        assert answer is None
    assert (scene.opened, scene.configured, scene.list.members) == (0, 0, None)
    assert scene.downlink.answers(NOW) == []


def test_the_same_messages_signed_move_what_they_name(tmp_path: Path) -> None:
    """So that the test above could fail."""
    one = Scene(tmp_path)
    try:
        for kind in ("cmd", "config"):
            one.downlink.receive(wire.Topic(GATE, "down", kind, "c-1"), DESK.sign(GOOD[kind]), NOW, retained=False)
        assert (one.opened, one.configured) == (1, 1)
    finally:
        one.fetcher.close()


class Hands:
    """Whoever is given orders and lists, and notes what was handed over."""

    names = ("staff",)
    carried_out = 0

    def __init__(self, refusal: Refusal | None = None) -> None:
        self.refusal = refusal
        self.given: list[tuple[object, ...]] = []
        self.done: list[wire.CommandState] = []

    def wake(self, now: ClockReading) -> None:
        """Nothing was left unfinished."""

    def submit(self, name: str, payload: bytes, now: ClockReading, *, retained: bool) -> Refusal | None:
        """An order."""
        self.given.append((name, payload, now, retained))
        return self.refusal

    def answers(self, now: ClockReading) -> list[wire.CommandState]:
        """What became of orders."""
        self.given.append(("answers", now))
        return self.done

    def announced(self, gate: str, name: str, payload: bytes) -> None:
        """A list."""
        self.given.append((gate, name, payload))

    def arrived(self, digest: str, payload: bytes) -> None:
        """A part of one."""
        self.given.append((digest, payload))

    def online(self, *, connected: bool) -> None:
        """The line."""


class Alone:
    """A downlink of which only the messages are seen."""

    def __init__(self) -> None:
        self.audits: list[wire.AuditFact] = []
        self.clock = PushedClock()
        self.downlink = Downlink(GATE, "v1", Notices(self.clock, self.audits.append))

    def take(self, kind: str, name: str, payload: bytes = b"{", *, retained: bool = False) -> Publication | None:
        """One message as it comes."""
        self.clock.advance(60.0)
        return self.downlink.receive(wire.Topic(GATE, "down", kind, name), payload, NOW, retained=retained)


@pytest.fixture
def alone() -> Alone:
    """Nobody behind it yet."""
    return Alone()


@pytest.mark.parametrize(
    ("refusal", "state", "reason"),
    [(None, "rejected", "not_enabled"), (Refusal("expired"), "expired", "expired"), (Refusal("foreign"), "rejected", "foreign")],
)
def test_an_order_that_is_not_begun_is_answered_counted_recorded_and_logged(
    alone: Alone, refusal: Refusal | None, state: wire.CommandStatus, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    """By nobody where there is no desk, by the desk where there is one; under the order's own id."""
    hands = Hands(refusal)
    alone.downlink.desk = hands if refusal else None
    answer = alone.take("cmd", "c-1", b"the order", retained=True)
    assert hands.given == ([("c-1", b"the order", NOW, True)] if refusal else [])
    assert answer is not None
    assert (answer.topic, answer.retain) == (f"gates/v1/{GATE}/up/cmd/c-1", False)
    said = json.loads(answer.payload)
    assert (said["id"], said["state"], said["reason"], said["time"]) == ("c-1", state, reason, "2027-01-15T08:00:00.000Z")
    assert alone.audits == [wire.CommandFate(id="c-1", state=state, reason=reason)]
    assert alone.downlink.refused == 1
    assert [record.getMessage() for record in caplog.records] == [f"from the province: cmd c-1 ({reason})"]


def test_an_order_that_is_begun_is_answered_later(alone: Alone) -> None:
    """With what became of it, each under its own id, when it is asked for."""
    hands = alone.downlink.desk = Hands()
    assert alone.downlink.answers(NOW) == []
    assert alone.take("cmd", "c-1") is None
    assert (alone.downlink.refused, alone.audits) == (0, [])
    hands.done = [wire.CommandState(id=name, state="succeeded", time=wire.time_text(NOW.wall_ns)) for name in ("c-1", "c-2")]
    said = alone.downlink.answers(NOW)
    assert [one.topic for one in said] == [f"gates/v1/{GATE}/up/cmd/{name}" for name in ("c-1", "c-2")]
    assert [json.loads(one.payload)["state"] for one in said] == ["succeeded", "succeeded"]
    assert len({one.token for one in said}) == 2
    assert hands.given[-1] == ("answers", NOW)


def test_lists_and_their_parts_are_handed_on_as_they_came(alone: Alone) -> None:
    """To whoever fetches them; nothing is refused or recorded here."""
    hands = alone.downlink.fetcher = Hands()
    alone.downlink.receive(wire.Topic(wire.ALL, "down", "list", "staff"), b"one", NOW, retained=True)
    assert alone.take("part", "ab" * 32, b"two") is None
    assert hands.given == [(wire.ALL, "staff", b"one"), ("ab" * 32, b"two")]
    assert (alone.downlink.refused, alone.audits) == (0, [])


@pytest.mark.parametrize(
    ("name", "message", "version", "reason"),
    [
        ("staff", DESK.sign(GOOD["list"]), 2, "not_enabled"),
        ("other", DESK.sign(GOOD["list"]), 2, "malformed"),
        ("staff", b"{", None, "malformed"),
    ],
)
def test_a_list_that_nobody_fetches_is_recorded_as_refused(
    alone: Alone, name: str, message: bytes, version: int | None, reason: str
) -> None:
    """With its version where it could be read; one of another name than its topic's is no list."""
    assert alone.take("list", name, message) is None
    assert alone.audits == [wire.ListFate(name=name, version=version, status="rejected", reason=reason)]
    assert alone.downlink.refused == 1


@pytest.mark.parametrize(("message", "version", "reason"), [(DESK.sign(GOOD["config"]), 3, "not_enabled"), (b"{", None, "malformed")])
def test_a_configuration_that_nobody_judges_is_refused(alone: Alone, message: bytes, version: int | None, reason: str) -> None:
    """And the report that stays with the broker says which version was asked for, and which is in force."""
    report = alone.take("config", "", message)
    assert report is not None
    assert (report.topic, report.retain) == (f"gates/v1/{GATE}/up/config", True)
    said = json.loads(report.payload)
    assert (said.get("desired"), said["applied"], said["status"], said["errors"]) == (version, "v1", "rejected", [reason])
    assert alone.audits == [wire.ConfigFate(version=version, status="rejected", reason=reason)]
    assert alone.downlink.refused == 1


def test_a_configuration_is_judged_by_its_judge(alone: Alone) -> None:
    """What was accepted counts as no refusal; of several errors the first is recorded and all are reported."""
    heard: list[bytes] = []
    verdicts = [ConfigVerdict(4, "applied"), ConfigVerdict(5, "rejected", ("first", "second"))]

    def judge(payload: bytes) -> ConfigVerdict:
        heard.append(payload)
        return verdicts[len(heard) - 1]

    alone.downlink.judge_config = judge
    for payload in (b"four", b"five"):
        alone.take("config", "", payload)
    assert heard == [b"four", b"five"]
    assert alone.audits == [
        wire.ConfigFate(version=4, status="applied", reason=None),
        wire.ConfigFate(version=5, status="rejected", reason="first"),
    ]
    assert alone.downlink.refused == 1
    assert json.loads(alone.downlink.report(verdicts[1]).payload)["errors"] == ["first", "second"]


def test_the_same_refusal_is_recorded_once_as_long_as_it_is_remembered(alone: Alone) -> None:
    """Whoever says the same for ever fills no record. Of 256 that are remembered the one seen longest ago goes first."""
    for number in [*range(REMEMBERED), 0]:
        alone.take("cmd", f"c-{number}")
    assert len(alone.audits) == REMEMBERED
    alone.take("cmd", "c-new")
    alone.take("cmd", "c-0")
    assert len(alone.audits) == REMEMBERED + 1
    alone.take("cmd", "c-1")
    assert len(alone.audits) == REMEMBERED + 2
    assert alone.downlink.refused == REMEMBERED + 4


def test_what_is_not_recorded_is_not_logged(alone: Alone, caplog: pytest.LogCaptureFixture) -> None:
    """A broker gone mad drives up neither: beyond the rate it is only counted."""
    for number in range(50):
        alone.downlink.receive(wire.Topic(GATE, "down", "cmd", f"c-{number}"), b"{", NOW, retained=False)
    assert len(caplog.records) == len(alone.audits) < 50
    assert alone.downlink.refused == 50
