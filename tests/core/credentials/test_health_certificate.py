"""Health certificates: the stream, the holder and the medical content, whole; every other form is named."""

from __future__ import annotations

import zlib
from datetime import UTC, datetime
from typing import Any, Final

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519

from device.core.credentials.cbor import BadCbor
from device.core.credentials.cose import Sign1
from device.core.credentials.health_certificate import INFLATED_LIMIT_BYTES, certificate, inflate
from device.core.credentials.trust import TrustedKey
from device.core.types import (
    Assurance,
    Credential,
    DatePrecision,
    HealthEvent,
    HealthStatement,
    Kind,
    PartialDate,
    SignedTerms,
    SubjectClass,
)
from tests.core.credentials.signed_kit import NOW_S, VACCINATION

KEY: Final = TrustedKey(ed25519.Ed25519PrivateKey.generate().public_key(), NOW_S - 100, NOW_S + 100)
ENTRY: Final[dict[str, Any]] = VACCINATION["v"][0]
TEST: Final = {"tr": "260415000", "tt": "LP217198-3", "sc": "2026-09-01T07:30:00+07:00", "ci": "URN:1"}


def read(content: object = VACCINATION, issued: object = NOW_S - 50, ends: object = NOW_S + 50) -> Credential:
    """The holder of a verified certificate."""
    payload = cbor2.dumps({1: "VN", 4: ends, 6: issued, -260: {1: content}})
    return certificate(Sign1(-7, b"key", b"", payload, b""), KEY)


def second(*moment: int) -> int:
    """Seconds since 1970 of a moment in UTC."""
    return int(datetime(*moment, tzinfo=UTC).timestamp())  # type: ignore[misc,arg-type]  # year, month, day, hour, minute


def test_a_certificate_is_read_whole() -> None:
    """By its own id: it names no document. The time is that of certificate and key together."""
    assert read() == Credential(
        Kind.HEALTH_CERTIFICATE,
        "1",
        SubjectClass.HEALTH_CERTIFICATE,
        "URN:UVCI:01:VN:TEST/1#X",
        name="Rơ Châm H'Blui",
        birth=PartialDate("1990-02-05", DatePrecision.DAY),
        assurance=Assurance.SIGNED,
        claim=SignedTerms(NOW_S - 50, NOW_S + 50),
        health=HealthStatement(HealthEvent.VACCINATION, second(2026, 9, 1), complete=True),
    )
    assert read(issued=NOW_S - 500.5, ends=NOW_S + 500).claim == SignedTerms(NOW_S - 100, NOW_S + 100)


@pytest.mark.parametrize("birth", [None, "", 1990, "1990-13-01"])
def test_a_birth_that_is_not_stated_is_none(birth: object) -> None:
    """Nothing is decided by it."""
    assert read({**VACCINATION, "dob": birth}).birth is None


@pytest.mark.parametrize(
    ("given", "needed", "complete"), [(1, 2, False), (2, 2, True), (3, 2, True), (1, 1, True), (1, 0, False), (0, 0, False)]
)
def test_doses_are_complete_when_all_that_are_needed_were_given(given: int, needed: int, *, complete: bool) -> None:
    """Where none are needed, nobody knows."""
    health = read({**VACCINATION, "v": [{**ENTRY, "dn": given, "sd": needed}]}).health
    assert health == HealthStatement(HealthEvent.VACCINATION, second(2026, 9, 1), complete=complete)


def test_tests_and_recoveries_are_read_whole() -> None:
    """A rapid test is one by its own code; a time has its offset, one without counts in UTC."""
    base = {key: value for key, value in VACCINATION.items() if key != "v"}
    taken_s = second(2026, 9, 1, 0, 30)
    assert read({**base, "t": [TEST]}).health == HealthStatement(HealthEvent.TEST, taken_s, negative=True, rapid=True)
    other = {**TEST, "tr": "260373001", "tt": "LP6464-4", "sc": "2026-09-01T00:30:00"}
    assert read({**base, "t": [other]}).health == HealthStatement(HealthEvent.TEST, taken_s, negative=False, rapid=False)
    assert read({**base, "r": [{"fr": "2026-09-01", "ci": "URN:1"}]}).health == HealthStatement(HealthEvent.RECOVERY, second(2026, 9, 1))


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ({key: value for key, value in VACCINATION.items() if key != "v"}, "one group of entries is needed"),
        ({**VACCINATION, "t": [TEST]}, "one group of entries is needed"),
        ({**VACCINATION, "v": [ENTRY, ENTRY]}, "one entry is needed"),
        ({**VACCINATION, "v": ENTRY}, "one entry is needed"),
        ({**VACCINATION, "v": ["x"]}, "no map"),
        ({**VACCINATION, "v": [{**ENTRY, "ci": 1}]}, "ci"),
        ({**VACCINATION, "v": [{**ENTRY, "ci": "a b"}]}, "id"),
        ({**VACCINATION, "v": [{**ENTRY, "ci": "x" * 101}]}, "id"),
        ({**VACCINATION, "v": [{**ENTRY, "dn": "2"}]}, "doses"),
        ({**VACCINATION, "v": [{**ENTRY, "sd": 1.5}]}, "doses"),
        ({**VACCINATION, "v": [{**ENTRY, "dt": 1}]}, "dt"),
        ({**VACCINATION, "v": [{**ENTRY, "dt": "yesterday"}]}, "date"),
        ({**VACCINATION, "nam": {}}, "name"),
        ({**VACCINATION, "nam": {"fn": "a\nb"}}, "name"),
        ({**VACCINATION, "nam": {"fn": "An", "gn": "\u202e"}}, "name"),
        ({**VACCINATION, "nam": "An"}, "no map"),
        ("x", "no map"),
    ],
)
def test_content_of_another_form_is_named(content: object, why: str) -> None:
    """Never quoted."""
    with pytest.raises(BadCbor) as refused:
        read(content)
    assert str(refused.value) == why


@pytest.mark.parametrize("moment", [None, "x", -1, 2**33, float("nan"), float("inf"), True])
def test_what_is_no_time_is_named(moment: object) -> None:
    """Of both ends."""
    for times in ({"issued": moment}, {"ends": moment}):
        with pytest.raises(BadCbor) as refused:
            read(**times)
        assert str(refused.value) == "time"


def test_one_name_alone_is_a_name() -> None:
    """Many people have no family name."""
    assert read({**VACCINATION, "nam": {"gn": "H'Blui", "fn": ""}}).name == "H'Blui"


def test_a_stream_is_one_whole_and_of_a_size_that_is_taken() -> None:
    """To the byte; cut off, followed by something, or no stream at all it is none."""
    data = bytes(INFLATED_LIMIT_BYTES)
    assert inflate(zlib.compress(data)) == data
    whole = "not one whole zlib stream of a size that is taken"
    good = zlib.compress(b"token")
    for packed, why in (
        (zlib.compress(data + b"x"), whole),
        (good[:-1], whole),
        (good + b"x", whole),
        (b"token", "not zlib"),
        (b"", whole),
    ):
        with pytest.raises(BadCbor) as refused:
            inflate(packed)
        assert str(refused.value) == why
