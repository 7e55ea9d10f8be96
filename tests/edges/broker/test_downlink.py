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
from device.core.orders import Order
from device.core.types import ClockReading
from device.edges.broker.downlink import ConfigVerdict, Downlink
from device.edges.broker.notices import Notices
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
