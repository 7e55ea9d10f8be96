"""Codes that name nobody whom a gate admits: each has its own class and reason."""

from __future__ import annotations

import json

import pytest

from device.core.credentials import parse
from device.core.credentials.foreign import PLACE_HOSTS, payment_checksum
from device.core.reasons import Reason
from device.core.types import Credential, Kind, Rejection, SubjectClass
from device.workbench.foreign_codes import ForeignCode, foreign_codes, payment_code
from device.workbench.people import seeded

CODES = foreign_codes(seeded(7))
CARD = "064090001234||Nguyễn Văn An|01011990|Nam|Gia Lai|15042021"


def answer(text: str) -> tuple[Kind, Reason]:
    """Class and reason of a payload that must be refused."""
    found = parse(text.encode())
    assert isinstance(found, Rejection), found
    return found.kind, found.reason


@pytest.mark.parametrize("code", [code for code in CODES if code.kind is not Kind.BARE_NUMBER], ids=lambda code: str(code.name))
def test_each_foreign_code_is_refused_by_its_own_class_and_reason(code: ForeignCode) -> None:
    """Nothing of the code is kept but its length."""
    assert parse(code.payload) == Rejection(code.kind, code.reason, len(code.payload))


def test_made_foreign_codes_cover_every_refused_class() -> None:
    """No class is forgotten in the material that tests and demo use."""
    accepted = {Kind.CITIZEN_CARD, Kind.NATIONAL_QR, Kind.HEALTH_INSURANCE}
    assert {code.kind for code in CODES} | accepted == set(Kind)


@pytest.mark.parametrize("prefix", ["G1:", "G2:", "GC1:", "HC1:"])
def test_signed_prefix_wins_over_whatever_follows(prefix: str) -> None:
    """A signed code is never read as anything else, and is not judged while it is not enabled."""
    assert answer(prefix)[1] is Reason.NOT_ENABLED
    assert answer(prefix + CARD)[1] is Reason.NOT_ENABLED
    assert answer(prefix + " " * 20)[1] is Reason.NOT_ENABLED


@pytest.mark.parametrize("text", ["g1:ABC", "hc1:ABC", "G3:ABC", " G1:ABC", "G1", "GC2:ABC"])
def test_near_misses_of_signed_prefixes_are_unrecognised(text: str) -> None:
    """The prefixes are exact."""
    assert answer(text) == (Kind.UNKNOWN, Reason.UNRECOGNISED)


@pytest.mark.parametrize("prefix", ["shc:/", "SHC:/", "Shc:/"])
def test_smart_health_card_is_known_in_any_case(prefix: str) -> None:
    """Its prefix is a scheme, which counts the same in either case."""
    assert answer(prefix + "5676") == (Kind.SMART_HEALTH_CARD, Reason.UNSUPPORTED)


@pytest.mark.parametrize("name", ["icao.vacc", "icao.test"])
def test_travel_proof_is_known_by_its_header(name: str) -> None:
    """It is JSON that names itself, spaces around it or not."""
    text = json.dumps({"data": {"hdr": {"t": name}}})
    assert answer(f" {text}\n") == (Kind.TRAVEL_HEALTH_PROOF, Reason.UNSUPPORTED)


@pytest.mark.parametrize(
    "text",
    [
        '{"data":{"hdr":{"t":"icao.visa"}}}',
        '{"data":{"hdr":{"t":["icao.vacc"]}}}',
        '{"data":{"hdr":{"t":{}}}}',
        '{"data":{"hdr":"t"}}',
        '{"data":["hdr"]}',
        '{"data":null}',
        "{}",
        "{",
        '[{"data":{"hdr":{"t":"icao.vacc"}}}]',
        '{"data":{"hdr":{"t":"icao.vacc"}}} and more',
    ],
)
def test_other_json_is_unrecognised(text: str) -> None:
    """JSON of another shape, or broken, is no travel proof."""
    assert answer(text) == (Kind.UNKNOWN, Reason.UNRECOGNISED)


def test_payment_checksum_gives_the_published_check_value() -> None:
    """CRC-16/CCITT-FALSE of the digits 1 to 9 is 0x29B1."""
    assert payment_checksum(b"123456789") == 0x29B1


def test_payment_code_needs_the_right_checksum() -> None:
    """One digit changed, and it is no payment code."""
    code = payment_code("0123456789").decode()
    assert answer(code) == (Kind.PAYMENT, Reason.PAYMENT_CODE)
    assert answer(code[:-4] + code[-4:].lower()) == (Kind.PAYMENT, Reason.PAYMENT_CODE)
    assert answer(code.replace("0123456789", "0123456780")) == (Kind.UNKNOWN, Reason.UNRECOGNISED)
    assert answer(code[:-4]) == (Kind.UNKNOWN, Reason.UNRECOGNISED)


def test_payment_checksum_is_of_the_bytes_in_the_code() -> None:
    """A shop's name in decomposed letters keeps its checksum: composition comes after it."""
    body = "000201" + "5910" + "Ba\u0300 Na\u0306m" + "6304"
    code = body + f"{payment_checksum(body.encode()):04X}"
    assert answer(code) == (Kind.PAYMENT, Reason.PAYMENT_CODE)


@pytest.mark.parametrize(
    "text",
    [
        "WIFI:S:x;;",
        "wifi:S:x;;",
        "BEGIN:VCARD\nFN:x\nEND:VCARD",
        "MECARD:N:x;;",
        "tel:113",
        "TEL:113",
        "mailto:a@example.org",
        "smsto:113:x",
        "geo:13.98,108.0",
        "otpauth://totp/x?secret=A",
    ],
)
def test_utility_codes_are_not_a_person(text: str) -> None:
    """Codes for a telephone are known in either case."""
    assert answer(text) == (Kind.UTILITY, Reason.NOT_A_PERSON)
    assert answer(f"{text}|{CARD}") == (Kind.UTILITY, Reason.NOT_A_PERSON)


@pytest.mark.parametrize("host", sorted(PLACE_HOSTS))
@pytest.mark.parametrize("form", ["https://{}", "http://{}/x?y", "HTTPS://{}:443/x", "https://{}./", "https://user@{}/"])
def test_code_of_a_place_is_known_by_its_host(host: str, form: str) -> None:
    """The poster at the door is told apart from other addresses."""
    assert answer(form.format(host)) == (Kind.PLACE, Reason.PLACE_CODE)
    assert answer(form.format(host.upper())) == (Kind.PLACE, Reason.PLACE_CODE)


@pytest.mark.parametrize(
    "text",
    [
        "http://",
        "http://[",
        "https://example.org/?next=https://qr.tokhaiyte.vn/",
        "https://qr.tokhaiyte.vn.example.org/",
        "https://notqr.tokhaiyte.vn/",
        "https://qr.tokhaiyte.vn@example.org/",
        f"https://{CARD}",
    ],
)
def test_other_addresses_are_web_addresses(text: str) -> None:
    """Only the host itself makes a place; an address is never read further."""
    assert answer(text) == (Kind.WEB_ADDRESS, Reason.WEB_ADDRESS)


def test_bare_number_is_left_to_the_site() -> None:
    """It comes back as a credential of its own kind, with the citizen's number and no more."""
    found = parse(b"064090001234\r\n")
    assert found == Credential(Kind.BARE_NUMBER, "", SubjectClass.CITIZEN, "064090001234")


@pytest.mark.parametrize(
    "text",
    [
        "06409000123",
        "0640900012345",
        "CCCD:064090001234",
        "STK:064090001234",
        " 064090001234",
        "\uff10\uff16\uff14\uff10\uff19\uff10\uff10\uff10\uff11\uff12\uff13\uff14",
    ],
)
def test_bare_number_stands_alone(text: str) -> None:
    """Behind a label twelve digits may be a bank account, so only the plain number counts."""
    assert answer(text) == (Kind.UNKNOWN, Reason.UNRECOGNISED)


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", Reason.EMPTY),
        (b"\xef\xbb\xbf", Reason.EMPTY),
        (b"\x00\r\n", Reason.EMPTY),
        (b"\xff", Reason.UNDECODABLE),
        (CARD.encode("utf-16"), Reason.UNDECODABLE),
        (CARD.encode("cp1258", "replace"), Reason.UNDECODABLE),
        (b"\xed\xa0\x80", Reason.UNDECODABLE),
        (b"\xc0\xaf", Reason.UNDECODABLE),
        (b"\xef\xbb\xbf" * 2 + CARD.encode(), Reason.UNRECOGNISED),
        (b"   ", Reason.UNRECOGNISED),
        (b"x" * 2048, Reason.UNRECOGNISED),
        (b"x" * 2049, Reason.TOO_LONG),
        (b"\xff" * 2953, Reason.TOO_LONG),
    ],
)
def test_bytes_that_are_no_text_are_refused_and_never_guessed(payload: bytes, reason: Reason) -> None:
    """Too long, empty and not UTF-8 come before any class; the limit is 2,048 bytes."""
    assert parse(payload) == Rejection(Kind.UNKNOWN, reason, len(payload))


def test_card_of_exactly_the_limit_is_read() -> None:
    """The limit refuses what is longer, not what is as long."""
    card = CARD.replace("Gia Lai", "x" * (2048 - len(CARD.encode()) + len("Gia Lai"))).encode()
    assert len(card) == 2048
    assert isinstance(parse(card), Credential)
    assert parse(card + b"\n") == Rejection(Kind.UNKNOWN, Reason.TOO_LONG, 2049)
