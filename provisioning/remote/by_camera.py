"""Orders that a gate takes from its camera: made here, one use each, for a day at most."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, hpke, serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import select

from device.core import commissioning as claim
from device.core.credentials.signed import COMMISSIONING_PREFIX
from provisioning.badges.tokens import token
from provisioning.common.errors import Refused
from provisioning.places.wiring import fitted
from provisioning.registry.issued import newest_key
from provisioning.registry.registry import Registry
from provisioning.registry.tables import CERTIFIED, Claim, ClaimState, Gate

MOST_HOURS: Final = claim.LIFE_S // 3600
_SUITE: Final = hpke.Suite(hpke.KEM.P256, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_128_GCM)


@dataclass(frozen=True, slots=True)
class Maker:
    """Makes orders for one gate. ``key`` signs them."""

    registry: Registry
    key: Ed25519PrivateKey
    gate: Gate
    now: datetime
    hours: int

    def place(self, lane: str, direction: str, site: str | None = None, site_key: bytes = b"") -> str:
        """The gate's new lane and direction, and with a site that site and its key, sealed to the gate.

        Raises Refused (E180, E181, E198).
        """
        told: dict[int, Any] = {claim.LANE: lane, claim.DIRECTION: direction}
        if site is not None:
            info = claim.SITE_KEY_INFO + f"{self.gate.id}/{site}".encode()
            told |= {claim.SITE: site, claim.SITE_KEY: _SUITE.encrypt(site_key, newest_key(self.registry, self.gate.id), info)}
        return self._order(told)

    def certificate(self, made: x509.Certificate) -> str:
        """A new certificate for the key that the gate has. Raises Refused (E180, E198)."""
        return self._order({claim.CERTIFICATE: made.public_bytes(serialization.Encoding.DER)})

    def _order(self, told: dict[int, Any]) -> str:
        if self.gate.state not in CERTIFIED:
            raise Refused("E180", id=self.gate.id, state=self.gate.state)
        if all(part.name != "button" for part in fitted(self.gate)):
            raise Refused("E198", id=self.gate.id, kit=self.gate.kit)
        start = int(self.now.timestamp())
        board = board_of(self.registry, self.gate.id)
        told |= {claim.SUBJECT: self.gate.id, claim.ISSUED: start, claim.EXPIRES: start + self.hours * 3600}
        told |= {claim.ID: secrets.token_bytes(claim.ID_BYTES)}
        if board:
            told[claim.BOARD] = board
        return token(COMMISSIONING_PREFIX, told, self.key, key_id(self.key))


def board_of(registry: Registry, gate: str) -> str:
    """The serial number that the gate's board said when it enrolled last; empty where it said none."""
    with registry.change() as session:
        asked = select(Claim).where(Claim.gate == gate, Claim.state.in_((ClaimState.ISSUED, ClaimState.BURNT)))
        row = session.scalars(asked.order_by(Claim.issued.desc()).limit(1)).first()
    return "" if row is None else row.board


def key_id(key: Ed25519PrivateKey) -> bytes:
    """The first four bytes of the SHA-256 of the public key."""
    digest = hashes.Hash(hashes.SHA256())
    digest.update(key.public_key().public_bytes_raw())
    return digest.finalize()[:4]
