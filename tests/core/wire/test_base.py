"""What all messages share: exact types, compact JSON, times, and reading without raising."""

from __future__ import annotations

import json

import pytest

from device.core import wire
from device.core.wire.base import Heard, Unreadable, compact, encode, read, seconds_of, sequence_text, time_text


class Word(Heard):
    """A message with a member in a member."""

    text: str
    count: int = 0
    more: Word | None = None


def test_a_good_message_is_read_and_what_it_does_not_know_is_ignored() -> None:
    """A newer other side may say more."""
    assert read(Word, b'{"text": "a", "count": 3, "unknown": [1]}') == Word(text="a", count=3)


@pytest.mark.parametrize(
    ("payload", "where"),
    [
        (b"", "json_invalid"),
        (b"\xff\xfe", "json_invalid"),
        (b"[]", "model_type"),
        (b"{}", "text"),
        (b'{"text": 1}', "text"),
        (b'{"text": "a", "count": "3"}', "count"),
        (b'{"text": "a", "more": {"text": "b", "count": 1.5}}', "more.count"),
    ],
)
def test_what_cannot_be_read_names_the_member_and_never_its_content(payload: bytes, where: str) -> None:
    """Or what kind of thing it is, where no member is wrong."""
    assert read(Word, payload) == Unreadable(where)


def test_what_is_encoded_is_compact_and_holds_no_none() -> None:
    """In the order of the model, in UTF-8."""
    assert encode(Word(text="Nguyễn", count=2)) == '{"text":"Nguyễn","count":2}'.encode()
    assert encode(wire.Stop()) == b'{"what":"stop"}'
    assert encode(Word(text="a", more=Word(text="b"))) == b'{"text":"a","count":0,"more":{"text":"b","count":0}}'


def test_json_is_compact_and_a_lone_surrogate_becomes_a_question_mark() -> None:
    """No UTF-8 can hold one; and no number that JSON does not know."""
    assert compact({"a": [1, None, True], "b": "Rơ\ud800"}) == '{"a":[1,null,true],"b":"Rơ?"}'.encode()
    with pytest.raises(ValueError, match="JSON"):
        compact({"a": float("nan")})
    assert json.loads(compact({"x": 1.5})) == {"x": 1.5}


@pytest.mark.parametrize(
    ("wall_ns", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (-1, "1970-01-01T00:00:00.000Z"),
        (999_999, "1970-01-01T00:00:00.000Z"),
        (1_000_000, "1970-01-01T00:00:00.001Z"),
        (1_764_547_200_123_999_999, "2025-12-01T00:00:00.123Z"),
        (253_402_300_799_999_000_000, "9999-12-31T23:59:59.999Z"),
        (10**21, "9999-12-31T23:59:59.999Z"),
    ],
)
def test_a_time_is_utc_to_the_millisecond_between_1970_and_9999(wall_ns: int, text: str) -> None:
    """Cut, never rounded up: an event is not later than it was."""
    assert time_text(wall_ns) == text


def test_the_seconds_of_a_time_are_whole_and_of_a_date_that_exists() -> None:
    """Fractions of any length are cut."""
    assert seconds_of("1970-01-01T00:00:01.999999999Z") == 1
    assert seconds_of("2025-12-01T00:00:00Z") == 1_764_547_200
    with pytest.raises(ValueError, match="day"):
        seconds_of("2025-02-30T00:00:00Z")


def test_sequences_sort_as_texts() -> None:
    """Nineteen digits hold every number."""
    assert sequence_text(1) == "0000000000000000001"
    assert sequence_text(2**63 - 1) == str(2**63 - 1)
    assert sorted(map(sequence_text, (10, 9, 100))) == [sequence_text(9), sequence_text(10), sequence_text(100)]
