"""The province's desk in tests: a key, and what it signs."""

from __future__ import annotations

import base64
import json
import time
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from device.core import wire
from device.edges.keys.trust_files import Province


@dataclass
class Desk:
    """The province's desk: signs."""

    key: ed25519.Ed25519PrivateKey = field(default_factory=ed25519.Ed25519PrivateKey.generate)

    @property
    def province(self) -> Province:
        """What a gate knows of it."""
        return Province((self.key.public_key(),))

    def sign(self, message: dict[str, object]) -> bytes:
        """A signed message."""
        body = json.dumps(message, separators=(",", ":")).encode()
        return wire.with_signature(body, base64.b64encode(self.key.sign(body)).decode())

    def write_pem(self, path: Path) -> Path:
        """The public key as a file holds it."""
        raw = self.key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        path.write_bytes(raw)
        return path

    def order(self, gate: str, name: str, order: str, *, issued_s: float | None = None, life_s: float = 20, **changes: object) -> bytes:
        """A signed order, issued now."""
        issued_s = time.time() if issued_s is None else issued_s
        told: dict[str, object] = {"type": "vn.gate.command.v1", "gate": gate, "id": name, "name": order, "args": {}}
        times = {"issued": wire.time_text(int(issued_s * 1e9)), "expires": wire.time_text(int((issued_s + life_s) * 1e9))}
        return self.sign({**told, **times, **changes})
