"""Badges and phone codes: a gate that trusts the key takes them for as long as they are good, and nobody else's."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from device.core.credentials import parse
from device.core.credentials.badge import PHONE_LIFE_S
from device.core.credentials.trust import KeyUse, Trust
from device.core.reasons import Reason
from device.core.types import Credential, Rejection
from provisioning.badges.issuer import BadgeIssuer, symbol
from tests.core.credentials.signed_kit import trust

SUBJECT = b"12345678"
NOW_S = 1_795_000_000


@pytest.fixture
def key() -> Ed25519PrivateKey:
    """The province's, for badges."""
    return Ed25519PrivateKey.generate()


def known(key: Ed25519PrivateKey, kid: bytes) -> Trust:
    """A gate's, that believes this key alone."""
    return trust((KeyUse.BADGES, kid, key.public_key()))


def test_a_badge_says_who_with_what_role_where_and_until_when(key: Ed25519PrivateKey) -> None:
    """And is taken under its own key id only."""
    text = BadgeIssuer(key, 7).badge(SUBJECT, NOW_S, role=3, zone=1)
    found = parse(text.encode(), None, known(key, b"\x07"))
    assert isinstance(found, Credential)
    assert found.claim is not None
    assert (found.number, found.claim.role, found.claim.zone, found.claim.not_after_s) == (SUBJECT.hex(), 3, 1, NOW_S)
    other = parse(text.encode(), None, known(key, b"\x08"))
    assert isinstance(other, Rejection)
    assert other.reason is Reason.UNKNOWN_ISSUER


def test_a_phone_code_is_good_for_its_period_alone(key: Ed25519PrivateKey) -> None:
    """From when it is shown."""
    found = parse(BadgeIssuer(key, 1).phone_code(SUBJECT, NOW_S).encode(), None, known(key, b"\x01"))
    assert isinstance(found, Credential)
    assert found.claim is not None
    assert (found.claim.live, found.claim.not_after_s) == (True, NOW_S + PHONE_LIFE_S)


@pytest.mark.parametrize("kid", [-1, 256])
def test_a_key_id_is_one_byte(key: Ed25519PrivateKey, kid: int) -> None:
    """The number that is none is named."""
    with pytest.raises(ValueError, match=str(kid)):
        BadgeIssuer(key, kid)


def test_the_symbol_is_never_a_micro_qr(key: Ed25519PrivateKey) -> None:
    """Which few cameras read; and its error correction is the one that was asked for."""
    assert not symbol("1").is_micro
    assert symbol(BadgeIssuer(key, 1).badge(SUBJECT, NOW_S)).error == "M"
