"""How an event becomes a row and a row an event: nothing that was changed on the disk is taken for what was written."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from device.core.timeline import Stamp
from device.core.types import Channel, Stored
from device.edges.record.journal import SqliteJournal
from tests.entries import FREEZE, Opener, checkin, numbers, parsed, section, settle
from tests.fakes.clock import FakeClock


def test_a_body_larger_than_its_room_is_kept_all_the_same(path: Path, clock: FakeClock) -> None:
    """The room reserved for a body is a guess; a long signature costs a moved row, not an event."""

    def freeze(stored: Stored, stamp: Stamp, prev: bytes | None) -> bytes:
        return FREEZE(stored, stamp, prev) + b" " * 5000

    clock.restart("boot-2")
    with closing(SqliteJournal(path, section(), clock, freeze)) as journal:
        settle([journal.record(checkin(clock, number)) for number in range(1, 4)])
        assert [len(one.body) > 5000 for one in journal.waiting(0, 10)] == [True] * 3
        assert numbers(journal.waiting(0, 10)) == [1, 2, 3]


@pytest.mark.usefixtures("old")
def test_a_flipped_bit_in_a_body_is_not_sent(opener: Opener) -> None:
    """SQLite sees nothing wrong with it; the row's own checksum does, and the event is put aside as damaged."""
    content = opener.path.read_bytes()
    place = content.rindex(b'"n":200,"prev"')
    with opener.path.open("r+b") as file:
        file.seek(place + 5)
        file.write(b"9")
    journal = opener()
    out = journal.waiting(0, 5000)
    assert 200 not in numbers(out)
    assert 900 not in numbers(out)
    letters = [parsed(one)["data"] for one in journal.waiting(0, 5000) if one.channel is Channel.AUDIT]
    assert [(letter["seq"], letter["reason"]) for letter in letters if letter["what"] == "dead_letter"][-1] == (200, "damaged")


def test_a_flipped_bit_in_an_unfrozen_event_is_not_sent(opener: Opener, clock: FakeClock) -> None:
    """The same for what has no body yet."""
    clock.restart("boot-2")
    journal = opener()
    settle([journal.record(checkin(clock, number)) for number in range(101, 104)])
    journal.close()
    content = opener.path.read_bytes()
    with opener.path.open("r+b") as file:
        file.seek(content.rindex(b'"n":102') + 4)
        file.write(b"9")
    journal = opener()
    assert numbers(journal.waiting(0, 10)) == [101, 103]
    assert parsed(journal.waiting(0, 10)[-1])["data"]["reason"] == "damaged"
