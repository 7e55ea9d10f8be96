"""A list ready to be sent: nothing is announced before it is there, and a gate makes the new version of the old one by the change."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from device.core.hash_lists import applied, snapshot
from device.edges.keys.trust_files import Province
from device.edges.lists.installed import MANIFEST_LIMIT_BYTES
from provisioning.lists.list_release import Release, release

KEY = Ed25519PrivateKey.generate()
VALID = (1_795_000_000, 1_797_000_000)


def sign(body: bytes) -> str:
    """The province's signature."""
    return base64.b64encode(KEY.sign(body)).decode()


def subjects(count: int) -> list[bytes]:
    """So many keyed hashes."""
    return [hashlib.sha256(str(number).encode()).digest() for number in range(count)]


def made(count: int = 3, older: Mapping[int, bytes] | None = None) -> Release:
    """Version 5 with so many people."""
    return release(sign, subjects(count), name="workers", version=5, valid_s=VALID, gate="gate-07", older=older)


def test_the_manifest_is_signed_and_comes_last() -> None:
    """All of its parts lie there before a gate hears of it."""
    one = made(3000)
    told = list(one.messages())
    assert told[-1] == ("gates/v1/gate-07/down/list/workers", one.manifest)
    assert len(told) > 2
    assert all(topic.startswith("gates/v1/gate-07/down/part/") for topic, _ in told[:-1])
    assert Province((KEY.public_key(),)).vouches(one.manifest)
    assert hashlib.sha256(b"".join(payload for _, payload in told[:-1])).hexdigest() == json.loads(one.manifest)["snapshot"]["sha256"]


def test_the_change_from_an_older_version_makes_the_new_one() -> None:
    """By the gate's own arithmetic; each change is named with the version that it is for."""
    old = snapshot(subjects(10))
    one = made(12, {4: old})
    (change,) = json.loads(one.manifest)["deltas"]
    assert change["base"] == 4
    assert b"".join(bytes(piece) for piece in applied(old, one.blobs[change["sha256"]])) == snapshot(subjects(12))


def test_the_order_and_doubles_of_people_change_nothing() -> None:
    """The same people are the same list."""
    one = release(sign, [*subjects(3), subjects(3)[0]], name="a", version=1, valid_s=VALID)
    other = release(sign, reversed(subjects(3)), name="a", version=1, valid_s=VALID)
    assert one.manifest == other.manifest


def test_a_manifest_that_no_gate_would_read_is_not_made() -> None:
    """With more older versions than fit."""
    older = {number: snapshot(subjects(number)) for number in range(1, 400)}
    with pytest.raises(ValueError, match=f"more than {MANIFEST_LIMIT_BYTES}: name fewer older versions"):
        made(3, older)
