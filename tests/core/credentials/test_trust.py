"""The list of keys: by what they are for and by their id; of a gate that has none, nobody is trusted."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric import ed25519

from device.core.credentials.trust import NOBODY, KeyUse, Trust, TrustedKey

KEYS = tuple(TrustedKey(ed25519.Ed25519PrivateKey.generate().public_key(), 0, 100) for _ in range(3))
TRUST = Trust(3, 500, {(KeyUse.BADGES, b"one"): KEYS[:2], (KeyUse.HEALTH, b"two"): KEYS[2:]})


def test_keys_are_found_by_their_use_and_their_id() -> None:
    """All that share one; none under another use."""
    assert TRUST.named(KeyUse.BADGES, b"one") == KEYS[:2]
    assert TRUST.named(KeyUse.HEALTH, b"two") == KEYS[2:]
    assert TRUST.named(KeyUse.HEALTH, b"one") == TRUST.named(KeyUse.BADGES, b"three") == ()


def test_a_use_without_a_key_is_not_enabled() -> None:
    """And nobody's list has none."""
    assert all(TRUST.uses(use) for use in KeyUse)
    assert not Trust(1, None, {(KeyUse.BADGES, b"one"): KEYS[:1]}).uses(KeyUse.HEALTH)
    assert not any(NOBODY.uses(use) for use in KeyUse)
    assert (NOBODY.version, NOBODY.expires_s) == (0, None)
