"""Codes with a signature: what is verified, what is refused and why, whatever the bytes."""

from __future__ import annotations

import zlib
from dataclasses import replace
from typing import Any

import base45
import cbor2
import cwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given
from hypothesis import strategies as st

from device.core.credentials import parse
from device.core.credentials.cbor import DEPTH_LIMIT, BadCbor, loads
from device.core.credentials.health_certificate import INFLATED_LIMIT_BYTES
from device.core.credentials.trust import KeyUse, Trust, TrustedKey
from device.core.reasons import Reason
from device.core.types import Assurance, Credential, HealthEvent, HealthStatement, Kind, Rejection, SubjectClass
from provisioning.badges.issuer import BadgeIssuer, symbol
from tests.core.credentials.signed_kit import ALGORITHMS, NOW_S, VACCINATION, PrivateKey, certificate, packed, token, trust

BADGE_KEY = ed25519.Ed25519PrivateKey.generate()
OTHER_KEY = ed25519.Ed25519PrivateKey.generate()
P256 = ec.generate_private_key(ec.SECP256R1())
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
KID = b"12345678"
SUBJECT = bytes(range(8))
TRUST = trust(
    (KeyUse.BADGES, b"\x01", BADGE_KEY.public_key()),
    (KeyUse.HEALTH, KID, P256.public_key()),
    (KeyUse.HEALTH, b"rsa", RSA.public_key()),
)
BADGE = BadgeIssuer(BADGE_KEY, 1).badge(SUBJECT, NOW_S + 1000, role=23, zone=255)


def good(payload: bytes, keys: Trust = TRUST) -> Credential:
    """A code that must be taken."""
    found = parse(payload, None, keys)
    assert isinstance(found, Credential), found
    return found


def refusal(payload: bytes, keys: Trust = TRUST) -> Reason:
    """Why a code is not taken."""
    found = parse(payload, None, keys)
    assert isinstance(found, Rejection), found
    return found.reason


# ----------------------------------------------------------------- badges and phone codes


def test_a_badge_names_a_random_subject_and_nothing_personal() -> None:
    """Signed, with role, zone and end."""
    found = good(BADGE.encode())
    assert (found.kind, found.assurance, found.subject_class, found.number) == (
        Kind.SITE_BADGE,
        Assurance.SIGNED,
        SubjectClass.BADGE,
        SUBJECT.hex(),
    )
    assert found.claim is not None
    assert (found.claim.role, found.claim.zone, found.claim.not_after_s, found.claim.live) == (23, 255, NOW_S + 1000, False)


def test_a_phone_code_is_the_same_person_and_may_be_used_once() -> None:
    """Good from one period before it was made until its end."""
    first, second = (good(BadgeIssuer(BADGE_KEY, 1).phone_code(SUBJECT, NOW_S + made).encode()) for made in (0, 30))
    assert first.number == good(BADGE.encode()).number
    assert first.assurance is Assurance.SIGNED_LIVE
    assert first.claim is not None
    assert second.claim is not None
    assert (first.claim.not_before_s, first.claim.not_after_s, first.claim.period_s) == (NOW_S - 30, NOW_S + 60, 30)
    assert first.claim.once != second.claim.once


def test_the_largest_badge_fits_a_symbol_6_m() -> None:
    """A larger one would not be read from a card of 30 mm."""
    made = symbol(BADGE)
    assert len(BADGE) <= 153
    assert (made.designator, made.symbol_size(border=0)) == ("6-M", (41, 41))


def test_a_badge_is_read_by_an_implementation_that_is_not_ours() -> None:
    """And one that it has made is read here."""
    pem = BADGE_KEY.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    key = cwt.COSEKey.from_pem(pem, kid=b"\x01")
    claims = cbor2.loads(cwt.COSE.new().decode(base45.b45decode(BADGE.removeprefix("G1:")), key))
    assert claims == {2: SUBJECT, 4: NOW_S + 1000, -1: [23, 255]}
    theirs = cwt.COSE.new(alg_auto_inclusion=True).encode_and_sign(cbor2.dumps(claims), key, unprotected={4: b"\x01"})
    assert good(b"G1:" + base45.b45encode(theirs)).number == SUBJECT.hex()


def test_two_keys_live_side_by_side_and_under_one_id() -> None:
    """So that one can take over from the other, also where the ids collide."""
    both = trust((KeyUse.BADGES, b"\x01", OTHER_KEY.public_key()), (KeyUse.BADGES, b"\x01", BADGE_KEY.public_key()))
    assert good(BADGE.encode(), both).number == SUBJECT.hex()
    second = BadgeIssuer(OTHER_KEY, 2).badge(SUBJECT, NOW_S)
    assert refusal(second.encode()) is Reason.UNKNOWN_ISSUER
    assert good(second.encode(), trust((KeyUse.BADGES, b"\x02", OTHER_KEY.public_key()))).number == SUBJECT.hex()


def test_a_key_that_ends_sooner_ends_the_badge() -> None:
    """Nobody is admitted by a key that is no longer used."""
    claim = good(BADGE.encode(), trust((KeyUse.BADGES, b"\x01", BADGE_KEY.public_key()), until_s=NOW_S + 5)).claim
    assert claim is not None
    assert claim.not_after_s == NOW_S + 5


def test_a_forged_badge_and_one_of_another_key_are_refused() -> None:
    """By the signature, not by a parser's luck."""
    assert refusal(BadgeIssuer(OTHER_KEY, 1).badge(SUBJECT, NOW_S).encode()) is Reason.BAD_SIGNATURE
    data = bytearray(base45.b45decode(BADGE.removeprefix("G1:")))
    data[data.index(SUBJECT)] ^= 1
    assert refusal(b"G1:" + base45.b45encode(bytes(data))) is Reason.BAD_SIGNATURE


def test_a_health_key_vouches_for_no_badge_and_a_badge_key_for_no_certificate() -> None:
    """A key counts for its own use alone."""
    assert refusal(BADGE.encode(), trust((KeyUse.HEALTH, b"\x01", BADGE_KEY.public_key()))) is Reason.NOT_ENABLED
    assert refusal(certificate(P256, alg=-7), trust((KeyUse.BADGES, KID, P256.public_key()))) is Reason.NOT_ENABLED


@pytest.mark.parametrize(
    "claims",
    [
        {},
        {2: SUBJECT, 4: NOW_S},
        {2: SUBJECT[:7], 4: NOW_S, -1: [0, 0]},
        {2: "subject!", 4: NOW_S, -1: [0, 0]},
        {2: SUBJECT, 4: float("nan"), -1: [0, 0]},
        {2: SUBJECT, 4: True, -1: [0, 0]},
        {2: SUBJECT, 4: 2**32, -1: [0, 0]},
        {2: SUBJECT, 4: NOW_S, -1: [24, 0]},
        {2: SUBJECT, 4: NOW_S, -1: [0, 256]},
        {2: SUBJECT, 4: NOW_S, -1: [0]},
        {2: SUBJECT, 4: NOW_S, -1: [-1, 0]},
        [1, 2],
        "text",
    ],
)
def test_a_signed_badge_of_another_form_is_malformed(claims: object) -> None:
    """Also when the right key has signed it."""
    data = token(BADGE_KEY, cbor2.dumps(claims), {1: -8}, {4: b"\x01"})
    assert refusal(b"G1:" + base45.b45encode(data)) is Reason.MALFORMED


def test_what_does_not_fit_a_badge_is_not_issued() -> None:
    """Instead of being cut."""
    for subject, expires_s, role, zone in (
        (b"short", NOW_S, 0, 0),
        (SUBJECT, 2**32, 0, 0),
        (SUBJECT, NOW_S, 24, 0),
        (SUBJECT, NOW_S, 0, 256),
    ):
        with pytest.raises(ValueError, match="a badge holds"):
            BadgeIssuer(BADGE_KEY, 1).badge(subject, expires_s, role=role, zone=zone)
    with pytest.raises(ValueError, match="a key id is 0 to 255"):
        BadgeIssuer(BADGE_KEY, 256)


# ----------------------------------------------------------------- health certificates


@pytest.mark.parametrize("kid_protected", [True, False])
@pytest.mark.parametrize("tags", [(18,), (61, 18), (18, 61)])
@pytest.mark.parametrize(("key", "alg", "kid"), [(P256, "ES256", KID), (RSA, "PS256", b"rsa")], ids=["ES256", "PS256"])
def test_a_good_certificate_is_taken(key: PrivateKey, alg: str, kid: bytes, tags: tuple[int, ...], kid_protected: bool) -> None:  # noqa: FBT001 - a parameter of the case
    """Both algorithms, either header, one tag or two."""
    found = good(certificate(key, alg=ALGORITHMS[alg], kid=kid, tags=tags, kid_protected=kid_protected))
    assert (found.kind, found.assurance, found.name, found.number) == (
        Kind.HEALTH_CERTIFICATE,
        Assurance.SIGNED,
        "Rơ Châm H'Blui",
        "URN:UVCI:01:VN:TEST/1#X",
    )
    assert found.health is not None
    assert (found.health.event, found.health.counts) == (HealthEvent.VACCINATION, True)
    assert found.claim is not None
    assert (found.claim.not_before_s, found.claim.not_after_s) == (NOW_S - 1000, NOW_S + 1000)


def test_the_protected_key_id_wins() -> None:
    """The other header is not signed."""
    payload = cbor2.dumps({1: "VN", 4: NOW_S + 1000, 6: NOW_S, -260: {1: VACCINATION}})
    assert good(packed(token(P256, payload, {1: -7, 4: KID}, {4: b"unknown"}))).health is not None
    assert refusal(packed(token(P256, payload, {1: -7, 4: b"unknown"}, {4: KID}))) is Reason.UNKNOWN_ISSUER


def test_keys_that_share_an_id_are_all_tried() -> None:
    """Also keys of different kinds."""
    both = trust((KeyUse.HEALTH, KID, RSA.public_key()), (KeyUse.HEALTH, KID, P256.public_key()))
    assert good(certificate(P256, alg=-7), both).health is not None
    assert good(certificate(RSA, alg=-37), both).health is not None


def test_another_key_or_algorithm_is_no_signature() -> None:
    """A header cannot choose how a key is used."""
    stranger = ec.generate_private_key(ec.SECP256R1())
    assert refusal(certificate(stranger, alg=-7)) is Reason.BAD_SIGNATURE
    assert refusal(certificate(P256, alg=-37)) is Reason.BAD_SIGNATURE
    assert refusal(certificate(P256, alg=-257)) is Reason.BAD_SIGNATURE
    assert refusal(certificate(P256, alg=-7, kid=b"unknown")) is Reason.UNKNOWN_ISSUER


@pytest.mark.parametrize(
    "payload",
    [
        b"HC1:",
        b"HC1:lower case",
        b"HC1:::::",
        b"HC1:" + base45.b45encode(b"not zlib"),
        b"HC1:" + base45.b45encode(zlib.compress(b"not cbor")),
        b"HC1:" + base45.b45encode(zlib.compress(cbor2.dumps([1, 2, 3, 4]))),
        b"HC1:" + base45.b45encode(zlib.compress(cbor2.dumps(cbor2.CBORTag(18, [b"", {}, b""])))),
        certificate(P256, alg=-7, tags=(18, 18)),
        certificate(P256, alg=-7, tags=(61,)),
        certificate(P256, alg=-7, tags=(98,)),
        certificate(P256, alg=-7)[:-6],
        certificate(P256, alg=-7) + b"AAA",
        packed(token(P256, b"", {4: KID}, {1: -7})),
        packed(token(P256, b"", {1: "ES256", 4: KID}, {})),
        packed(token(P256, b"", {1: -7, 4: "kid"}, {})),
    ],
)
def test_whatever_is_no_certificate_is_malformed(payload: bytes) -> None:
    """Base45, zlib, CBOR, tags and headers each have to be right."""
    assert refusal(payload) is Reason.MALFORMED


def changed(**members: object) -> dict[str, Any]:
    """The entry of a vaccination, changed."""
    entry = {**VACCINATION["v"][0], **members}
    return {**VACCINATION, "v": [{key: value for key, value in entry.items() if value is not None}]}


@pytest.mark.parametrize(
    "content",
    [
        {},
        "text",
        {**VACCINATION, "v": []},
        {**VACCINATION, "v": VACCINATION["v"] * 2},
        {**VACCINATION, "t": [{}]},
        {**VACCINATION, "nam": {}},
        {**VACCINATION, "nam": {"fn": "\u202enA"}},
        {**VACCINATION, "nam": {"fn": "A\x1b[2J"}},
        changed(ci=None),
        changed(ci="a" * 101),
        changed(ci="'; DROP TABLE event; --"),
        changed(dn="2"),
        changed(dt="2026-13-01"),
        changed(dt=float("nan")),
        changed(dt="0000-00-00"),
    ],
)
def test_signed_content_of_another_form_is_malformed(content: object) -> None:
    """Also when the right key has signed it."""
    assert refusal(certificate(P256, alg=-7, content=content)) is Reason.MALFORMED


@pytest.mark.parametrize("moment", [float("nan"), float("inf"), -1.0, 2.0**40])
def test_no_time_is_no_certificate(moment: float) -> None:
    """NaN compares as false with everything."""
    assert refusal(certificate(P256, alg=-7, expires_s=moment)) is Reason.MALFORMED
    assert refusal(certificate(P256, alg=-7, issued_s=moment)) is Reason.MALFORMED


def test_tests_and_recoveries_are_read() -> None:
    """Negative or not, rapid or not; a time has an offset."""
    base = {key: value for key, value in VACCINATION.items() if key != "v"}
    entry = {"ci": "URN:X", "tr": "260415000", "tt": "LP217198-3", "sc": "2026-11-22T08:00:00+07:00"}
    negative = good(certificate(P256, alg=-7, content={**base, "t": [entry]})).health
    assert negative == HealthStatement(HealthEvent.TEST, NOW_S - 28 * 3600, negative=True, rapid=True)
    assert negative is not None
    assert negative.counts
    positive = good(certificate(P256, alg=-7, content={**base, "t": [{**entry, "tr": "260373001"}]})).health
    assert positive is not None
    assert not positive.counts
    recovered = good(certificate(P256, alg=-7, content={**base, "r": [{"ci": "URN:X", "fr": "2026-09-01"}]})).health
    assert recovered is not None
    assert recovered.event is HealthEvent.RECOVERY


def test_a_bomb_is_not_inflated() -> None:
    """One symbol could hold megabytes of nothing."""
    assert refusal(b"HC1:" + base45.b45encode(zlib.compress(bytes(INFLATED_LIMIT_BYTES + 1), 9))) is Reason.MALFORMED


# ----------------------------------------------------------------- CBOR


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x81" * (DEPTH_LIMIT + 2) + b"\x00",
        b"\x9b" + b"\xff" * 8,
        b"\xbb" + b"\xff" * 8,
        b"\x5b" + b"\xff" * 8,
        b"\x80" * 2,
        b"\xd8\x1c\x81\xd8\x1d\x00",
        b"\xd8\x23\x63(a)",
        b"\xc4\x82\x1b" + b"\x7f" + b"\xff" * 7 + b"\x01",
        b"\x1c",
        b"\xff",
        b"\x9f\x00",
        b"\xdf",
        b"\x62\xff\xff",
    ],
    ids=lambda data: data[:6].hex(),
)
def test_cbor_that_would_cost_or_loop_is_refused_unbuilt(data: bytes) -> None:
    """Depth, number, sharing, patterns, fractions, cut-off items."""
    with pytest.raises(BadCbor):
        loads(data)


@given(st.binary(max_size=300))
def test_no_bytes_raise_anything_but_bad_cbor(data: bytes) -> None:
    """And what is taken, is taken whole."""
    try:
        loads(data)
    except BadCbor:
        return


@given(st.sampled_from([b"G1:", b"G2:", b"HC1:"]), st.binary(max_size=300), st.booleans())
def test_no_signed_code_raises_or_is_taken_by_luck(prefix: bytes, data: bytes, zipped: bool) -> None:  # noqa: FBT001 - drawn
    """Whatever is in it, nobody else's signature is good."""
    found = parse(prefix + base45.b45encode(zlib.compress(data) if zipped else data), None, TRUST)
    assert isinstance(found, Rejection)


def test_nothing_personal_is_in_what_might_be_logged() -> None:
    """Credential and health keep their content out of their own words."""
    found = good(certificate(P256, alg=-7))
    words = repr(found) + repr(found.health) + repr(replace(found, name="Nobody"))
    assert not any(text in words for text in ("H'Blui", "UVCI", "vaccination", "Nobody"))


@pytest.mark.parametrize(("key", "alg", "kid"), [(P256, "ES256", KID), (RSA, "PS256", b"rsa")], ids=["ES256", "PS256"])
def test_a_certificate_that_another_implementation_signed_is_taken(
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, alg: str, kid: bytes
) -> None:
    """Both algorithms, as `cwt` makes them."""
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    theirs = cwt.COSEKey.from_pem(pem, kid=kid, alg=alg)
    payload = cbor2.dumps({1: "VN", 4: NOW_S + 1000, 6: NOW_S - 1000, -260: {1: VACCINATION}})
    signed = cwt.COSE.new().encode_and_sign(payload, theirs, protected={1: ALGORITHMS[alg], 4: kid})
    assert good(packed(signed)).number == "URN:UVCI:01:VN:TEST/1#X"


def test_where_two_entries_fit_the_one_that_lasts_longest_speaks() -> None:
    """The same key listed again for another year: badges of the next year count, whichever entry stands first."""
    old, new = (TrustedKey(BADGE_KEY.public_key(), NOW_S - 1000, NOW_S + end) for end in (500, 5000))
    for both in ((old, new), (new, old)):
        claim = good(BADGE.encode(), Trust(1, NOW_S + 5000, {(KeyUse.BADGES, b"\x01"): both})).claim
        assert claim is not None
        assert claim.not_after_s == NOW_S + 1000
