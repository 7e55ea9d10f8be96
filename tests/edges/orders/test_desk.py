"""Orders: carried out at most once, and always with a result, whatever happens in between."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from device.core import wire
from device.core.orders import LIFE_S, Order, Refusal
from device.core.types import ClockReading
from device.edges.keys.trust_files import Province
from device.edges.orders import book
from device.edges.orders.book import KEPT_S, OrderBook, OrderNote
from device.edges.orders.desk import Done, Hand, OrderDesk
from tests.desk import Desk

GATE = "gate-07"
START_S = 1_800_000_000
DESK = Desk()


def at(seconds: float = 0, *, trusted: bool = True, doubt_ms: int = 0) -> ClockReading:
    """So long after the orders were issued."""
    ns = int(seconds * 1e9)
    return ClockReading(ns, ns, START_S * 10**9 + ns, "b1", trusted, uncertainty_ms=doubt_ms)


def order(name: str = "c-1", order: str = "open", gate: str = GATE, desk: Desk = DESK, *, life_s: float = 20, **changes: object) -> bytes:
    """A signed order."""
    return desk.order(gate, name, order, issued_s=START_S, life_s=life_s, **changes)


class Scene:
    """A desk with a book on the disk, a door that counts, and a record."""

    def __init__(self, folder: Path, province: Province | None = None) -> None:
        self.folder = folder / "orders"
        self.opened: list[str] = []
        self.facts: list[wire.AuditFact] = []
        self.durable = True
        self.province = province or DESK.province
        self.begin()

    def begin(self) -> None:
        """As after a start."""
        hands: dict[Order, Hand] = {
            Order.OPEN: self.open,
            Order.RESTART: lambda *_: Done(later=True),
            Order.UPDATE: lambda *_: Done(later=True),
        }
        self.desk = OrderDesk(GATE, self.province, OrderBook(self.folder), hands, self.record)

    def open(self, name: str, args: Mapping[str, Any]) -> Done:
        """The door."""
        if "fail" in args:
            raise {"form": ValueError("no such form"), "key": KeyError("per_s"), "type": TypeError("x" * 300), "card": OSError(5, "EIO")}[
                args["fail"]
            ]
        self.opened.append(name)
        return Done()

    def record(self, fact: wire.AuditFact) -> bool:
        """The record."""
        self.facts.append(fact)
        return self.durable

    def take(self, payload: bytes, name: str = "c-1", now: ClockReading | None = None, *, retained: bool = False) -> str | None:
        """One message; the reason of a refusal."""
        refusal = self.desk.submit(name, payload, now or at(), retained=retained)
        return None if refusal is None else refusal.reason

    def said(self) -> list[tuple[str, str, str | None]]:
        """What is said to the province."""
        return [(state.id, state.state, state.reason) for state in self.desk.answers(at())]


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    """A desk with an empty book."""
    return Scene(tmp_path)


def test_an_order_is_carried_out_and_its_result_is_said_and_recorded(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    """One order is one opening, one answer and one fact in the record."""
    caplog.set_level("INFO")
    assert scene.take(order()) is None
    assert caplog.messages == ["order c-1: open"]
    assert scene.opened == ["c-1"]
    assert scene.said() == [("c-1", "succeeded", None)]
    assert scene.facts == [wire.CommandFate(id="c-1", order="open", state="succeeded")]


def test_a_hundred_times_the_same_order_is_one_opening_and_a_hundred_answers(scene: Scene) -> None:
    """A restart in between changes nothing, and the record names the order once."""
    for number in range(100):
        assert scene.take(order()) is None
        assert scene.said() == [("c-1", "succeeded", None)]
        if number == 50:
            scene.begin()
            scene.desk.wake(at())
    assert scene.opened == ["c-1"]
    assert len(scene.facts) == 1


@pytest.mark.parametrize(
    ("payload", "now", "reason"),
    [
        (order(gate="gate-08"), at(), "foreign"),
        (order(desk=Desk()), at(), "unsigned"),
        (order().replace(b'"open"', b'"wipe"'), at(), "unsigned"),
        (order()[:-1], at(), "malformed"),
        (b"open the door", at(), "malformed"),
        (b"", at(), "malformed"),
        (order(name="c-2"), at(), "malformed"),
        (order(order="fly"), at(), "unknown_order"),
        (order(order="send-log"), at(), "not_fitted"),
        (order(), at(20), "expired"),
        (order(), at(19.5, doubt_ms=600), "expired"),
        (order(), at(-31), "not_yet"),
        (order(), at(trusted=False), "clock_unknown"),
        (order(life_s=31), at(), "life_too_long"),
        (order(life_s=-1), at(), "life_too_long"),
        (order(order="restart", life_s=86_401), at(), "life_too_long"),
        (order(expires="2026-02-30T00:00:00Z"), at(), "malformed"),
        (order(issued=7), at(), "malformed"),
        (order(name="../../etc/passwd"), at(), "malformed"),
    ],
)
def test_whatever_does_not_count_moves_nothing_and_leaves_no_line(scene: Scene, payload: bytes, now: ClockReading, reason: str) -> None:
    """Every refusal has a reason of its own, and is for the caller to say."""
    assert scene.take(payload, now=now) == reason
    assert (scene.opened, scene.said(), scene.facts, list(scene.folder.iterdir())) == ([], [], [], [])


def test_a_retained_order_is_refused_however_good_it_is(scene: Scene) -> None:
    """A broker could hand it out to whoever connects, for ever."""
    assert scene.take(order(), retained=True) == "retained"
    assert scene.opened == []


def test_without_the_key_of_the_province_nothing_is_carried_out(tmp_path: Path) -> None:
    """A gate that knows no province takes no order, whoever signed it."""
    assert Scene(tmp_path, Province()).take(order()) == "not_enabled"


def test_an_order_keeps_its_life_to_the_last_moment(scene: Scene) -> None:
    """An order counts until it expires by the clock at its worst: half a minute for a door, a day for upkeep."""
    assert scene.take(order(), now=at(19.9)) is None
    assert LIFE_S[Order.OPEN] == 30
    assert scene.take(order("c-2", "restart", life_s=86_400), "c-2", at(80_000)) is None


@pytest.mark.parametrize("where", ["after executing", "after the result", "before the record"])
def test_a_crash_anywhere_leaves_one_opening_at_most_and_always_a_result(
    tmp_path: Path, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Said and recorded at the next start, where it was not before."""
    scene = Scene(tmp_path)
    writes: list[OrderNote] = []
    whole = OrderBook.write

    def crash(book: OrderBook, line: OrderNote) -> None:
        writes.append(line)
        steps = {"after executing": 1, "after the result": 2, "before the record": 2}
        if len(writes) > steps[where]:
            raise KeyboardInterrupt
        whole(book, line)
        if where == "after the result" and len(writes) == steps[where]:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(OrderBook, "write", crash)
        with pytest.raises(KeyboardInterrupt):
            scene.take(order())
    before = len(scene.opened)
    scene.begin()
    scene.desk.wake(at())
    assert scene.take(order()) is None
    assert len(scene.opened) == before == 1
    state = "interrupted" if where == "after executing" else "succeeded"
    assert {told[1] for told in scene.said()} == {state}
    assert [fact.state for fact in scene.facts if isinstance(fact, wire.CommandFate)][-1] == state


def test_a_restart_is_ended_by_the_start(scene: Scene) -> None:
    """It was what was asked for."""
    assert scene.take(order(order="restart")) is None
    assert scene.said() == [("c-1", "executing", None)]
    scene.begin()
    scene.desk.wake(at())
    assert scene.said() == [("c-1", "succeeded", None)]


def test_an_order_that_goes_on_is_ended_from_another_thread(scene: Scene) -> None:
    """Its first end counts, and a second one changes nothing."""
    assert scene.take(order(order="update")) is None
    scene.desk.finish("c-1", Done("not_fetched", "no such host", failed=True))
    scene.desk.finish("c-1", Done("handed_in"))
    begun, ended = scene.desk.answers(at())
    assert (begun.state, begun.reason, begun.detail) == ("executing", None, None)
    assert (ended.state, ended.reason, ended.detail) == ("failed", "not_fetched", "no such host")
    assert scene.said() == []


def test_what_could_not_be_noted_is_not_begun(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full card must not make an order one that is carried out twice."""

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(book, "replace_durably", full)
    assert scene.take(order()) == "storage"
    assert scene.opened == []


def test_a_result_that_cannot_be_noted_is_said_all_the_same(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """After the next start it is told as interrupted, and it is never carried out again."""
    whole = OrderBook.write
    calls: list[OrderNote] = []

    def full(book: OrderBook, line: OrderNote) -> None:
        calls.append(line)
        if len(calls) > 1:
            raise OSError(28, "No space left on device")
        whole(book, line)

    with monkeypatch.context() as patch:
        patch.setattr(OrderBook, "write", full)
        assert scene.take(order()) is None
        assert scene.said() == [("c-1", "succeeded", None)]
    assert [message.partition(": ")[::2] for message in caplog.messages] == [
        ("how order c-1 ended cannot be noted", "No space left on device"),
        ("that order c-1 was told cannot be noted, so it may be told again", "[Errno 28] No space left on device"),
    ]
    scene.begin()
    scene.desk.wake(at())
    assert scene.take(order()) is None
    assert scene.opened == ["c-1"]
    assert scene.said()[-1] == ("c-1", "interrupted", "restarted")


def test_a_result_that_is_not_durable_in_the_record_is_told_again(scene: Scene) -> None:
    """Each start tells it again until the record has it."""
    scene.durable = False
    scene.take(order())
    scene.durable = True
    scene.begin()
    scene.desk.wake(at())
    assert len(scene.facts) == 2
    scene.begin()
    scene.desk.wake(at())
    assert len(scene.facts) == 2


@pytest.mark.parametrize(
    ("fail", "reason", "detail"),
    [
        ("form", "bad_arguments", "no such form"),
        ("key", "bad_arguments", "'per_s'"),
        ("type", "bad_arguments", "x" * 200),
        ("card", "storage", "EIO"),
    ],
)
def test_wrong_arguments_and_failing_parts_are_failures(scene: Scene, fail: str, reason: str, detail: str) -> None:
    """The province hears the reason and a detail of at most 200 letters, and the desk goes on."""
    assert scene.take(order(args={"fail": fail})) is None
    (state,) = scene.desk.answers(at(3))
    assert (state.id, state.state, state.reason, state.detail) == ("c-1", "failed", reason, detail)
    assert state.time == wire.time_text(at(3).wall_ns - 3 * 10**9)
    assert scene.facts == [wire.CommandFate(id="c-1", order="open", state="failed", reason=reason)]
    assert scene.take(order("c-2"), "c-2") is None
    assert scene.said() == [("c-2", "succeeded", None)]
    assert scene.desk.carried_out == 2


def test_a_damaged_page_of_the_book_is_never_a_new_order(scene: Scene) -> None:
    """It was begun once; what became of it nobody can say."""
    scene.take(order())
    for content in (b"", b"{}", b"\xff", b'{"name":"open","state":"flying","expires_s":1,"reason":null,"told":true}'):
        (scene.folder / "c-1.json").write_bytes(content)
        scene.begin()
        assert scene.take(order()) is None
        assert scene.said() == [("c-1", "interrupted", "unreadable")]
    assert scene.opened == ["c-1"]


def test_an_order_is_not_forgotten_by_a_clock_that_nobody_set(scene: Scene) -> None:
    """A gate that starts with a wrong time far ahead still knows what it did: the order still lives, and comes again."""
    assert scene.take(order()) is None
    scene.begin()
    scene.desk.wake(at(200_000, trusted=False))
    assert scene.take(order(), now=at(5)) is None
    assert scene.opened == ["c-1"]
    scene.begin()
    scene.desk.wake(at(20 + KEPT_S))
    assert len(list(scene.folder.iterdir())) == 1
    scene.desk.wake(at(20 + KEPT_S + 1))
    assert list(scene.folder.iterdir()) == []


def test_the_book_is_bounded_and_forgets_what_is_long_over(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """When it is full nothing further is begun."""
    monkeypatch.setattr(book, "BOOK_LIMIT", 2)
    for number in (1, 2):
        assert scene.take(order(f"c-{number}"), f"c-{number}") is None
    assert scene.take(order("c-3"), "c-3") == "too_many_orders"
    forgotten_s = 20 + KEPT_S + 1
    for second, reason in ((forgotten_s - 1, "too_many_orders"), (forgotten_s, None)):
        late = DESK.order(GATE, "c-4", "open", issued_s=START_S + second)
        assert scene.take(late, "c-4", at(second)) == reason
    assert [path.name for path in scene.folder.iterdir()] == ["c-4.json"]
    assert scene.take(order(), now=at(forgotten_s)) == "expired"


@given(payload=st.binary(max_size=400), name=st.from_regex(r"[a-z0-9-]{1,64}", fullmatch=True))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_bytes_move_anything(scene: Scene, payload: bytes, name: str) -> None:
    """No bytes under any name raise anything, or open the door."""
    assert scene.take(payload, name) == "malformed"


@given(place=st.integers(0, 10_000), value=st.integers(1, 255))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_changed_byte_of_a_good_order_is_overlooked(scene: Scene, place: int, value: int) -> None:
    """Every byte but the signature's own is signed."""
    body = bytearray(order("c-9"))
    body[place % body.index(b',"signature"')] ^= value
    assert isinstance(scene.desk.submit("c-9", bytes(body), at(), retained=False), Refusal)
    assert scene.opened == []
