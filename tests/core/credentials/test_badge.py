"""Site badges and phone codes: what is read of a verified token, whole; what does not fit is not issued and not taken."""

from __future__ import annotations

import hashlib
from typing import Final

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519

from device.core.credentials.badge import EXPIRES_LIMIT_S, PERIOD_S, PHONE_LIFE_S, ROLE_LIMIT, ZONE_LIMIT, claims_of, phone_code, site_badge
from device.core.credentials.cbor import BadCbor
from device.core.credentials.cose import Sign1
from device.core.credentials.trust import TrustedKey
from device.core.types import Assurance, Credential, Kind, SignedTerms, SubjectClass

SUBJECT: Final = bytes(range(8))
END_S: Final = 1_800_000_000
KEY: Final = TrustedKey(ed25519.Ed25519PrivateKey.generate().public_key(), 1_700_000_000, 1_900_000_000)
GOOD: Final = {2: SUBJECT, 4: END_S, -1: [3, 7]}


def token(claims: object) -> Sign1:
    """A verified token with these claims."""
    return Sign1(-8, b"key", b"", cbor2.dumps(claims), b"")


def test_a_badge_is_read_whole() -> None:
    """Its key's time bounds its own."""
    terms = SignedTerms(KEY.not_before_s, END_S, 3, 7)
    held = Credential(Kind.SITE_BADGE, "1", SubjectClass.BADGE, SUBJECT.hex(), assurance=Assurance.SIGNED, claim=terms)
    assert site_badge(token(GOOD), KEY) == held
    late = site_badge(token({**GOOD, 4: KEY.not_after_s + 1}), KEY)
    assert late.claim == SignedTerms(KEY.not_before_s, KEY.not_after_s, 3, 7)


def test_a_phone_code_is_read_whole() -> None:
    """It was made a minute before its end, and is good from one period before that; it is known by what was signed."""
    made = token(GOOD)
    once = hashlib.sha256(made.payload).digest()
    terms = SignedTerms(END_S - PHONE_LIFE_S - PERIOD_S, END_S, 3, 7, PERIOD_S, once)
    held = Credential(Kind.PHONE_CODE, "1", SubjectClass.BADGE, SUBJECT.hex(), assurance=Assurance.SIGNED_LIVE, claim=terms)
    assert phone_code(made, KEY) == held
    early = phone_code(token({**GOOD, 4: KEY.not_before_s + 80}), KEY).claim
    assert early is not None
    assert (early.not_before_s, early.not_after_s) == (KEY.not_before_s, KEY.not_before_s + 80)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({2: bytes(7)}, "subject"),
        ({2: "01234567"}, "subject"),
        ({2: None}, "subject"),
        ({4: 0}, "end"),
        ({4: -1}, "end"),
        ({4: EXPIRES_LIMIT_S + 1}, "end"),
        ({4: 1.5}, "end"),
        ({4: True}, "end"),
        ({-1: None}, "role and zone"),
        ({-1: [3]}, "role and zone"),
        ({-1: [3, 7, 1]}, "role and zone"),
        ({-1: [True, 7]}, "role and zone"),
        ({-1: [3, "7"]}, "role and zone"),
        ({-1: [-1, 7]}, "role and zone"),
        ({-1: [ROLE_LIMIT + 1, 7]}, "role and zone"),
        ({-1: [3, -1]}, "role and zone"),
        ({-1: [3, ZONE_LIMIT + 1]}, "role and zone"),
    ],
)
def test_a_claim_of_another_form_is_named(changes: dict[int, object], why: str) -> None:
    """Of both kinds alike."""
    for read in (site_badge, phone_code):
        with pytest.raises(BadCbor) as refused:
            read(token({**GOOD, **changes}), KEY)
        assert str(refused.value) == why


@pytest.mark.parametrize(("end_s", "role", "zone"), [(1, 0, 0), (EXPIRES_LIMIT_S, ROLE_LIMIT, ZONE_LIMIT), (END_S, 3, 7)])
def test_the_limits_themselves_are_issued_and_read(end_s: int, role: int, zone: int) -> None:
    """The first second and the last, the least and the most."""
    made = claims_of(SUBJECT, end_s, role, zone)
    assert made == {2: SUBJECT, 4: end_s, -1: [role, zone]}
    terms = site_badge(token(made), TrustedKey(KEY.key, 0, 2**40)).claim
    assert terms == SignedTerms(0, end_s, role, zone)


@pytest.mark.parametrize(
    ("subject", "end_s", "role", "zone"),
    [
        (bytes(7), 1, 0, 0),
        (SUBJECT, 0, 0, 0),
        (SUBJECT, EXPIRES_LIMIT_S + 1, 0, 0),
        (SUBJECT, 1, -1, 0),
        (SUBJECT, 1, ROLE_LIMIT + 1, 0),
        (SUBJECT, 1, 0, -1),
        (SUBJECT, 1, 0, ZONE_LIMIT + 1),
    ],
)
def test_what_no_gate_would_read_is_not_issued(subject: bytes, end_s: int, role: int, zone: int) -> None:
    """And the error says what a badge holds."""
    with pytest.raises(ValueError, match=r"^a badge holds a subject of 8 bytes, an end before 2106, a role to 23 and a zone to 255$"):
        claims_of(subject, end_s, role, zone)
