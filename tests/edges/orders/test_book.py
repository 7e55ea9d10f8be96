"""The book of orders: what became of each, durable, bounded and never begun anew."""

from __future__ import annotations

import json
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from device.edges.orders import book as module
from device.edges.orders.book import BOOK_LIMIT, KEPT_S, OrderBook, OrderNote

EXPIRES_S = 1_800_000_000
NOTE = OrderNote("c-1", "open", "succeeded", EXPIRES_S, None, reported=True)


def test_what_was_noted_is_there_at_the_next_start(tmp_path: Path) -> None:
    """Every member of it, for every state; others may not look into the folder."""
    notes = [
        OrderNote("c-1", "open", "executing", 1),
        OrderNote("c-2", "restart", "received", 2),
        OrderNote("c-3", "update", "failed", 3, "not_fetched", reported=True),
        OrderNote("c-4", "open", "interrupted", 4, "restarted"),
    ]
    folder = tmp_path / "state" / "orders"
    book = OrderBook(folder)
    for note in notes:
        book.write(note)
    again = OrderBook(folder)
    assert again.lines() == notes == book.lines()
    assert again.find("c-3") == notes[2]
    assert again.find("c-9") is None
    assert len(again) == 4
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert json.loads((folder / "c-3.json").read_bytes()) == {
        "name": "update",
        "state": "failed",
        "expires_s": 3,
        "reason": "not_fetched",
        "told": True,
    }


def test_a_later_note_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    """One line for each order."""
    book = OrderBook(tmp_path)
    book.write(replace(NOTE, state="executing", reported=False))
    book.write(NOTE)
    assert book.lines() == OrderBook(tmp_path).lines() == [NOTE]


@pytest.mark.parametrize("name", ["", "../c-1", "C-1", "c_1", "c" * 65, "c-1\n"])
def test_only_a_name_becomes_a_file(tmp_path: Path, name: str) -> None:
    """An id is written into a path, so it has only lower-case letters, digits and hyphens, at most 64."""
    book = OrderBook(tmp_path)
    with pytest.raises(ValueError, match="not the id of an order"):
        book.write(replace(NOTE, id=name))
    assert (len(book), list(tmp_path.iterdir())) == (0, [])
    book.write(replace(NOTE, id="c" * 64))
    assert len(book) == 1


def test_a_full_card_changes_neither_book_nor_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What could not be noted is not known."""

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    book = OrderBook(tmp_path)
    book.write(replace(NOTE, state="executing"))
    monkeypatch.setattr(module, "replace_durably", full)
    for note in (NOTE, replace(NOTE, id="c-2")):
        with pytest.raises(OSError, match="No space"):
            book.write(note)
    assert book.lines() == [replace(NOTE, state="executing")]


def test_an_order_is_forgotten_a_day_after_it_expired(tmp_path: Path) -> None:
    """Not in that second but after it; what is not over, or not in the record, stays however old it is."""
    book = OrderBook(tmp_path)
    for note in (NOTE, replace(NOTE, id="c-2", state="executing"), replace(NOTE, id="c-3", reported=False)):
        book.write(note)
    book.tidy(EXPIRES_S + KEPT_S)
    assert len(book) == len(OrderBook(tmp_path)) == 3
    (tmp_path / "c-1.json").unlink()
    book.tidy(EXPIRES_S + KEPT_S + 1)
    assert [note.id for note in book.lines()] == [note.id for note in OrderBook(tmp_path).lines()] == ["c-2", "c-3"]
    assert KEPT_S == 24 * 3600


def test_the_book_is_full_at_its_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand small files; what is known already may still be noted again."""
    assert BOOK_LIMIT == 1000
    monkeypatch.setattr(module, "BOOK_LIMIT", 2)
    book = OrderBook(tmp_path)
    book.write(NOTE)
    assert not book.full
    book.write(replace(NOTE, id="c-2"))
    assert book.full


GOOD = {"name": "open", "state": "succeeded", "expires_s": 1, "reason": None, "told": True}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"\xff",
        b"[]",
        b"7",
        json.dumps({**GOOD, "state": "flying"}).encode(),
        json.dumps({**GOOD, "expires_s": "1"}).encode(),
        json.dumps({**GOOD, "expires_s": True}).encode(),
        json.dumps({**GOOD, "reason": 7}).encode(),
        json.dumps({key: value for key, value in GOOD.items() if key != "told"}).encode(),
        json.dumps({**GOOD, "more": "x" * 4096}).encode(),
    ],
)
def test_a_damaged_page_is_an_order_that_was_begun(tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """It must not be begun again; that it was lost is still to be told, and no clock makes it forgotten."""
    (tmp_path / "c-1.json").write_bytes(content)
    book = OrderBook(tmp_path)
    (note,) = book.lines()
    assert (note.id, note.name, note.state, note.reason, note.reported) == ("c-1", "unknown", "interrupted", "unreadable", False)
    assert note.over
    assert "what became of order c-1 cannot be read" in caplog.text
    book.write(replace(note, reported=True))
    book.tidy(10**11)
    assert len(book) == 1


def test_other_files_are_no_orders(tmp_path: Path) -> None:
    """A page that a power cut left half made has another ending."""
    (tmp_path / ".c-1.json.x7k2").write_bytes(b"half")
    (tmp_path / "notes.txt").write_bytes(b"text")
    assert OrderBook(tmp_path).lines() == []


@pytest.mark.parametrize(
    ("state", "over"),
    [
        ("received", False),
        ("executing", False),
        ("succeeded", True),
        ("failed", True),
        ("rejected", True),
        ("expired", True),
        ("interrupted", True),
    ],
)
def test_an_order_is_over_when_nothing_more_will_become_of_it(state: str, over: bool) -> None:  # noqa: FBT001 - a case
    """Only what is over can be forgotten."""
    assert OrderNote("c-1", "open", state, 1).over is over  # type: ignore[arg-type]  # each is one of the states
