"""From hostile bytes to text: nothing is guessed and nothing repaired."""

from __future__ import annotations

import pytest

from device.core.credentials.text import Text, is_name, read
from device.core.reasons import Reason
from device.core.types import PAYLOAD_LIMIT_BYTES, Kind, Rejection

BOM = "\ufeff"


@pytest.mark.parametrize(
    ("payload", "text"),
    [
        (b"abc", Text("abc", "abc", 3)),
        (b" abc ", Text(" abc ", " abc ", 5)),
        (f"{BOM}abc\r\n\0".encode(), Text("abc", "abc", 9)),
        ("H\u01a1".encode(), Text("Hơ", "Hơ", 3)),
        ("Ho\u031b".encode(), Text("Ho\u031b", "Hơ", 4)),
        (f"a{BOM}b".encode(), Text(f"a{BOM}b", f"a{BOM}b", 5)),
        (b"x" * PAYLOAD_LIMIT_BYTES, Text("x" * PAYLOAD_LIMIT_BYTES, "x" * PAYLOAD_LIMIT_BYTES, PAYLOAD_LIMIT_BYTES)),
    ],
)
def test_text_is_kept_as_it_stood_and_composed(payload: bytes, text: Text) -> None:
    """Without the mark of a byte order before it and what printers leave behind it; the length is that of the bytes."""
    assert read(payload) == text


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"x" * (PAYLOAD_LIMIT_BYTES + 1), Reason.TOO_LONG),
        (b"\xff", Reason.UNDECODABLE),
        (b"\xed\xa0\x80", Reason.UNDECODABLE),
        (b"", Reason.EMPTY),
        (b"\0\r\n", Reason.EMPTY),
        (BOM.encode(), Reason.EMPTY),
    ],
)
def test_what_is_no_text_is_refused_with_its_length_alone(payload: bytes, reason: Reason) -> None:
    """Too long, not UTF-8, or nothing."""
    assert read(payload) == Rejection(Kind.UNKNOWN, reason, len(payload))


def test_a_refusal_names_class_reason_and_length() -> None:
    """And nothing of the text."""
    assert Text("a", "a", 1).refuse(Kind.PAYMENT, Reason.PAYMENT_CODE) == Rejection(Kind.PAYMENT, Reason.PAYMENT_CODE, 1)


def test_names_are_what_people_are_called_and_nothing_that_turns_or_hides_them() -> None:
    """Apostrophes and letters without a composed form belong to names."""
    assert all(is_name(name) for name in ("An", "H'Blui", "Rơ Châm", "Ho\u031b", " An "))
    assert not any(is_name(name) for name in ("", " ", "a\nb", "An\u202e", "\u200fAn", "a\0", "\ue000", "a\u2028b", "\ud800"))
