"""Whose signatures count, by kind of code: public keys only, with the time for which each is good."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from device.core.credentials.cose import PublicKey


class KeyUse(StrEnum):
    """What a key signs."""

    BADGES = "badges"
    HEALTH = "health"


@dataclass(frozen=True, slots=True)
class TrustedKey:
    """One public key. It is good from and until so many seconds since 1970."""

    key: PublicKey
    not_before_s: int
    not_after_s: int


@dataclass(frozen=True, slots=True)
class Trust:
    """The frozen list of keys. Several may share one key id, and all of them are tried.

    ``expires_s`` is when the list itself should be replaced, in seconds since
    1970; ``version`` 0 is the list of a gate that has none.
    """

    version: int = 0
    expires_s: int | None = None
    keys: Mapping[tuple[KeyUse, bytes], tuple[TrustedKey, ...]] = field(default_factory=dict)

    def uses(self, use: KeyUse) -> bool:
        """Whether there is any key for this use: without one such codes are not enabled."""
        return any(known is use for known, _ in self.keys)

    def named(self, use: KeyUse, kid: bytes) -> tuple[TrustedKey, ...]:
        """The keys for one use under one key id."""
        return self.keys.get((use, kid), ())


NOBODY = Trust()
"""No signature counts."""
