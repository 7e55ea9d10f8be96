"""The province's signed messages: a JSON object with the signature of its own bytes as the last member."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from device.core import wire


def signed(told: Mapping[str, Any], key: Ed25519PrivateKey) -> bytes:
    """The message as it goes out. Which key may sign what, a gate judges by ``province.pem``."""
    body = json.dumps(dict(told), ensure_ascii=False, separators=(",", ":")).encode()
    return wire.with_signature(body, base64.b64encode(key.sign(body)).decode())
