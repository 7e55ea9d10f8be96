"""Signed messages: a gate that knows the key believes them, and only as they are."""

from __future__ import annotations

import json

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from device.edges.keys.trust_files import Province
from provisioning.common.signing import signed


def test_a_gate_believes_what_was_signed_and_nothing_else() -> None:
    """Neither an altered message nor another's key."""
    key = Ed25519PrivateKey.generate()
    body = signed({"purpose": "đón học sinh"}, key)
    gate, stranger = Province((key.public_key(),)), Province((Ed25519PrivateKey.generate().public_key(),))
    assert gate.vouches(body)
    assert not gate.vouches(body.replace("đón".encode(), b"don"))
    assert not stranger.vouches(body)


def test_what_is_told_stands_there_as_it_was_written() -> None:
    """Vietnamese letters too, and the signature last."""
    body = signed({"b": "đón", "a": 1}, Ed25519PrivateKey.generate())
    assert list(json.loads(body))[:2] == ["b", "a"]
    assert body.startswith('{"b":"đón","a":1,'.encode())
