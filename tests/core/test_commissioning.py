"""An order by camera: which tokens are one, and which orders count at which moment. To the second, and to the byte."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import base45
import cbor2
import pytest

from device.core import commissioning as claim
from device.core.commissioning import LIFE_S, CameraOrder, Place, fault_of, is_order, order_of, token_of
from device.core.credentials.cbor import BadCbor
from device.core.types import ClockReading

NOW_S: Final = 1_764_547_200
GATE: Final = "g4k7m2xp9a"
BOARD: Final = "10000000abcdef01"
GOOD: Final = {
    claim.SUBJECT: GATE,
    claim.ISSUED: NOW_S - 60,
    claim.EXPIRES: NOW_S + 3600,
    claim.ID: bytes(range(8)),
    claim.BOARD: BOARD,
    claim.LANE: "7",
    claim.DIRECTION: "out",
}
ORDER: Final = CameraOrder(GATE, bytes(range(8)), NOW_S - 60, NOW_S + 3600, BOARD, Place("7", "out"), None)
NEW_SITE: Final = {claim.SITE: "s-new", claim.SITE_KEY: b"sealed"}
NULL: Final = cbor2.CBORSimpleValue(22)
CERTIFICATE_ALONE: Final = {claim.LANE: None, claim.DIRECTION: None, claim.CERTIFICATE: b"\x30\x82"}


def code(changes: Mapping[int, object] | None = None) -> bytes:
    """The code of a good order with these claims changed; None leaves one out. The signature is no matter here."""
    claims = {key: value for key, value in {**GOOD, **(changes or {})}.items() if value is not None}
    signed = cbor2.CBORTag(18, [cbor2.dumps({1: -8}), {4: b"\1\2\3\4"}, cbor2.dumps(claims), bytes(64)])
    text: str = base45.b45encode(cbor2.dumps(signed)).decode()
    return f"GC1:{text}".encode()


def read(changes: Mapping[int, object] | None = None) -> CameraOrder:
    """The order that a code holds."""
    return order_of(token_of(code(changes)))


def at(seconds: float, *, trusted: bool = True, uncertainty_ms: int = 0) -> ClockReading:
    """So long after the order was made known."""
    return ClockReading(0, 0, int((NOW_S + seconds) * 1e9), "boot", trusted=trusted, uncertainty_ms=uncertainty_ms)


def test_a_code_says_that_it_is_an_order_by_its_beginning() -> None:
    """Before anything else is looked at, and whatever follows."""
    assert is_order(b"GC1:")
    assert not is_order(b"GC2:")
    assert not is_order(b"xGC1:")


def test_an_order_is_read_whole() -> None:
    """Every member, with and without what may be absent."""
    assert read() == ORDER
    assert read({claim.BOARD: None}) == replace(ORDER, board=None)
    assert read(NEW_SITE) == replace(ORDER, place=Place("7", "out", "s-new", b"sealed"))
    assert read(CERTIFICATE_ALONE) == replace(ORDER, place=None, certificate=b"\x30\x82")
    assert [read({claim.DIRECTION: way}).place for way in ("in", "out", "both")] == [Place("7", way) for way in ("in", "out", "both")]


@pytest.mark.parametrize("payload", ["GC1:KHÔNG".encode(), b"GC1:", b"GC1:!!"])
def test_what_is_no_token_is_none(payload: bytes) -> None:
    """Not ASCII, empty, or no Base45."""
    with pytest.raises(BadCbor):
        token_of(payload)


def test_a_code_that_is_not_ascii_is_named_so() -> None:
    """The technician's screen may have changed a letter."""
    with pytest.raises(BadCbor, match=r"^not ASCII$"):
        token_of("GC1:Đ".encode())


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({claim.ID: None}, "id"),
        ({claim.ID: bytes(7)}, "id"),
        ({claim.ID: bytes(9)}, "id"),
        ({claim.ID: "12345678"}, "id"),
        ({claim.SUBJECT: None}, "claim 2"),
        ({claim.SUBJECT: "ab"}, "claim 2"),
        ({claim.SUBJECT: "a" * 33}, "claim 2"),
        ({claim.SUBJECT: GATE.encode()}, "claim 2"),
        ({claim.SUBJECT: "Gate-07"}, "claim 2"),
        ({claim.ISSUED: None}, "claim 6"),
        ({claim.ISSUED: 0}, "claim 6"),
        ({claim.ISSUED: -1}, "claim 6"),
        ({claim.ISSUED: 2**32}, "claim 6"),
        ({claim.ISSUED: float(NOW_S)}, "claim 6"),
        ({claim.ISSUED: True}, "claim 6"),
        ({claim.EXPIRES: None}, "claim 4"),
        ({claim.EXPIRES: 2**32}, "claim 4"),
        ({claim.BOARD: ""}, "claim -65537"),
        ({claim.BOARD: "x" * 65}, "claim -65537"),
        ({claim.BOARD: "Đ"}, "claim -65537"),
        ({claim.LANE: None}, "claim -65538"),
        ({claim.LANE: ""}, "claim -65538"),
        ({claim.LANE: "x" * 17}, "claim -65538"),
        ({claim.DIRECTION: None}, "claim -65539"),
        ({claim.DIRECTION: "through"}, "claim -65539"),
        ({claim.SITE: "s-new"}, "site and its key"),
        ({claim.SITE_KEY: b"sealed"}, "site and its key"),
        ({claim.SITE: "ab", claim.SITE_KEY: b"sealed"}, "claim -65540"),
        ({claim.SITE: "s" * 65, claim.SITE_KEY: b"sealed"}, "claim -65540"),
        ({claim.SITE: "s-new", claim.SITE_KEY: b""}, "claim -65541"),
        ({**CERTIFICATE_ALONE, claim.CERTIFICATE: NULL}, "claim -65542"),
        ({claim.SITE: "s-new", claim.SITE_KEY: bytes(257)}, "claim -65541"),
        ({claim.SITE: "s-new", claim.SITE_KEY: "sealed"}, "claim -65541"),
        ({claim.LANE: None, claim.DIRECTION: None}, "a place or a certificate"),
        ({claim.CERTIFICATE: b"\x30"}, "a place or a certificate"),
        ({**CERTIFICATE_ALONE, claim.CERTIFICATE: b""}, "claim -65542"),
        ({**CERTIFICATE_ALONE, claim.CERTIFICATE: bytes(1201)}, "claim -65542"),
        ({**CERTIFICATE_ALONE, claim.CERTIFICATE: "0\x82"}, "claim -65542"),
        ({claim.LANE: None, claim.DIRECTION: None, **NEW_SITE}, "claim -65539"),
    ],
)
def test_a_form_that_is_not_this_versions_is_named_by_its_claim(changes: Mapping[int, object], names: str) -> None:
    """So that whoever made the order can mend it."""
    with pytest.raises(BadCbor, match=f"^{names}$"):
        read(changes)


def test_the_limits_themselves_are_taken() -> None:
    """The longest board, lane, site, sealed key, certificate; the last second of 32 bits."""
    longest = {claim.BOARD: "~" * 64, claim.LANE: "x" * 16, claim.SITE: "s" * 64, claim.SITE_KEY: bytes(256), claim.SUBJECT: "g" * 32}
    assert read(longest) == replace(ORDER, gate="g" * 32, board="~" * 64, place=Place("x" * 16, "out", "s" * 64, bytes(256)))
    assert read({**CERTIFICATE_ALONE, claim.CERTIFICATE: bytes(1200)}).certificate == bytes(1200)
    assert read({claim.SUBJECT: "abc", claim.SITE: "s-1", claim.SITE_KEY: b"x"}).place == Place("7", "out", "s-1", b"x")
    assert (read({claim.ISSUED: 1}).issued_s, read({claim.EXPIRES: 2**32 - 1}).expires_s) == (1, 2**32 - 1)


def fault(seconds: float, *, order: CameraOrder = ORDER, trusted: bool = True, uncertainty_ms: int = 0, floor_s: int = NOW_S) -> str | None:
    """Why an order does not count at this gate, so long after now."""
    return fault_of(order, GATE, BOARD, at(seconds, trusted=trusted, uncertainty_ms=uncertainty_ms), floor_s * 1_000_000_000)


def test_an_order_counts_at_its_gate_and_on_its_board() -> None:
    """An order without a board counts on any; one for another board or gate on none."""
    assert fault(0) is None
    assert fault(0, order=replace(ORDER, board=None)) is None
    assert fault(0, order=replace(ORDER, board="another")) == "foreign"
    assert fault(0, order=replace(ORDER, gate="another-gate")) == "foreign"


def test_an_order_lives_a_day_at_most_and_a_second_at_least() -> None:
    """Whatever its times are."""
    assert fault(0, order=replace(ORDER, issued_s=NOW_S, expires_s=NOW_S + LIFE_S)) is None
    assert fault(0, order=replace(ORDER, issued_s=NOW_S, expires_s=NOW_S + LIFE_S + 1)) == "life_too_long"
    assert fault(0, order=replace(ORDER, issued_s=NOW_S, expires_s=NOW_S + 1)) is None
    assert fault(0, order=replace(ORDER, issued_s=NOW_S, expires_s=NOW_S)) == "life_too_long"


def test_an_order_ends_with_its_last_second_by_a_clock_that_is_known() -> None:
    """The clock's doubt is held for the order: it is over when it is certainly over."""
    assert fault(3599.999) is None
    assert fault(3600) == "expired"
    assert fault(3600, uncertainty_ms=1) is None
    assert fault(3600.002, uncertainty_ms=2) == "expired"


def test_without_the_time_an_order_counts_unless_it_is_certainly_over() -> None:
    """It is by camera that a gate without a line is set up; what the wall clock says then is no matter."""
    assert fault(1e6, trusted=False) is None
    assert fault(0, trusted=False, floor_s=NOW_S + 3599) is None
    assert fault(0, trusted=False, floor_s=NOW_S + 3600) == "expired"
    assert fault(-1e6, trusted=False) is None


def test_the_laptop_that_made_an_order_may_be_five_minutes_ahead() -> None:
    """And the gate's doubt more; one that is made later than that has a clock that nobody should believe."""
    made = replace(ORDER, issued_s=NOW_S, expires_s=NOW_S + 3600)
    assert fault(-300, order=made) is None
    assert fault(-300.001, order=made) == "not_yet"
    assert fault(-300.5, order=made, uncertainty_ms=500) is None
    assert fault(-300.502, order=made, uncertainty_ms=501) == "not_yet"
