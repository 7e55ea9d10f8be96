"""Site badge ``G1:`` and rotating phone code ``G2:``: one form of token, made here and read here.

A token holds a random number for the person, an end, a role and a zone; no
name and no number of a document. A badge of 100 bytes is 153 characters and
fits a QR symbol 6-M, which holds 154.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from device.core.credentials.cbor import BadCbor
from device.core.credentials.cose import claims
from device.core.types import Assurance, Credential, Kind, SignedTerms, SubjectClass

if TYPE_CHECKING:
    from device.core.credentials.cbor import Cbor
    from device.core.credentials.cose import Sign1
    from device.core.credentials.trust import TrustedKey

BADGE_PREFIX: Final = "G1:"
PHONE_PREFIX: Final = "G2:"

CLAIM_SUBJECT: Final = 2
CLAIM_EXPIRES: Final = 4
"""Registered CWT claims, RFC 8392."""
CLAIM_ADMITS: Final = -1
"""Ours: [role, zone]. One byte, so that the badge stays small."""

SUBJECT_BYTES: Final = 8
ROLE_LIMIT: Final = 23
ZONE_LIMIT: Final = 255
EXPIRES_LIMIT_S: Final = 2**32 - 1

PERIOD_S: Final = 30
"""A telephone shows a new code so often."""
PHONE_LIFE_S: Final = 60
"""A phone code ends so long after it was made."""


def claims_of(subject: bytes, expires_s: int, role: int, zone: int) -> dict[int, int | bytes | list[int]]:
    """The claims of one token. Raises ValueError for what would not fit a badge."""
    if len(subject) != SUBJECT_BYTES or not (0 < expires_s <= EXPIRES_LIMIT_S and 0 <= role <= ROLE_LIMIT and 0 <= zone <= ZONE_LIMIT):
        raise ValueError(
            f"a badge holds a subject of {SUBJECT_BYTES} bytes, an end before 2106, a role to {ROLE_LIMIT} and a zone to {ZONE_LIMIT}"
        )
    return {CLAIM_SUBJECT: subject, CLAIM_EXPIRES: expires_s, CLAIM_ADMITS: [role, zone]}


def site_badge(token: Sign1, key: TrustedKey) -> Credential:
    """The holder of a verified badge. Raises BadCbor where a claim is missing or of another form."""
    subject, expires_s, role, zone = _claims(token)
    claim = SignedTerms(key.not_before_s, min(expires_s, key.not_after_s), role, zone)
    return Credential(Kind.SITE_BADGE, "1", SubjectClass.BADGE, subject.hex(), assurance=Assurance.SIGNED, claim=claim)


def phone_code(token: Sign1, key: TrustedKey) -> Credential:
    """The holder of a verified phone code; the same person as on the badge with the same number."""
    subject, expires_s, role, zone = _claims(token)
    made_s = expires_s - PHONE_LIFE_S
    claim = SignedTerms(
        max(made_s - PERIOD_S, key.not_before_s),
        min(expires_s, key.not_after_s),
        role,
        zone,
        period_s=PERIOD_S,
        # ECDSA-style malleability does not matter: what is signed is the same, whatever the bytes around it.
        once=hashlib.sha256(token.payload).digest(),
    )
    return Credential(Kind.PHONE_CODE, "1", SubjectClass.BADGE, subject.hex(), assurance=Assurance.SIGNED_LIVE, claim=claim)


def _claims(token: Sign1) -> tuple[bytes, int, int, int]:
    found = claims(token)
    subject, expires_s, admits = found.get(CLAIM_SUBJECT), found.get(CLAIM_EXPIRES), found.get(CLAIM_ADMITS)
    if not isinstance(subject, bytes) or len(subject) != SUBJECT_BYTES:
        raise BadCbor("subject")
    if type(expires_s) is not int or not 0 < expires_s <= EXPIRES_LIMIT_S:
        raise BadCbor("end")
    role, zone = _admits(admits)
    return subject, expires_s, role, zone


def _admits(value: Cbor) -> tuple[int, int]:
    if not isinstance(value, list) or len(value) != 2:  # noqa: PLR2004 - role and zone
        raise BadCbor("role and zone")
    role, zone = value
    if type(role) is not int or type(zone) is not int or not (0 <= role <= ROLE_LIMIT and 0 <= zone <= ZONE_LIMIT):
        raise BadCbor("role and zone")
    return role, zone
