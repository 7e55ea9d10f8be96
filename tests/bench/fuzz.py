"""Coverage-guided fuzzing of what strangers can hand in: codes held up, CBOR, and messages that come down.

``python -m tests.bench.fuzz [codes|cbor|down] [-runs=N] [-max_total_time=SECONDS]`` needs the
package ``atheris``, which has no wheel for a Pi and is therefore not among the locked ones. A finding ends
the run with a traceback and a file that holds the input.
"""

from __future__ import annotations

import importlib
import sys
import zlib
from collections.abc import Callable
from typing import Any, Final

import base45

from device.core import wire
from device.core.credentials import parse
from device.core.credentials.cbor import BadCbor, loads
from device.core.credentials.trust import KeyUse
from device.core.types import Credential
from device.edges.keys.trust_files import Province
from tests.core.credentials.signed_kit import trust
from tests.desk import Desk

DESK: Final = Desk()
KEYS: Final = trust((KeyUse.BADGES, b"\x01", DESK.key.public_key()), (KeyUse.HEALTH, b"12345678", DESK.key.public_key()))
MODELS: Final = (wire.Command, wire.DesiredConfig, wire.ListManifest, wire.TrustList)


def codes(data: bytes) -> None:
    """A code held up: as it is, and packed as each signed kind. None may be taken as signed."""
    for payload in (
        data,
        b"G1:" + base45.b45encode(data),
        b"G2:" + base45.b45encode(data),
        b"HC1:" + base45.b45encode(zlib.compress(data)),
    ):
        found = parse(payload, None, KEYS)
        if isinstance(found, Credential) and found.claim is not None:
            raise AssertionError("a forged code is taken")


def cbor(data: bytes) -> None:
    """CBOR alone: BadCbor or a value."""
    try:
        loads(data)
    except BadCbor:
        return


def down(data: bytes) -> None:
    """A message from the broker: none of them may count."""
    for model in MODELS:
        if not isinstance(Province((DESK.key.public_key(),)).read(model, data), str):
            raise TypeError("an unsigned message counts")


TARGETS: Final[dict[str, Callable[[bytes], None]]] = {"codes": codes, "cbor": cbor, "down": down}


def main(words: list[str]) -> int:
    """Fuzz one target until libFuzzer's own limits end it."""
    try:
        atheris: Any = importlib.import_module("atheris")
    except ImportError:
        sys.stderr.write("atheris is not installed: pip install atheris\n")
        return 2
    target = TARGETS[words[0] if words and words[0] in TARGETS else "codes"]
    # Everything that is loaded by now, so that what it finds its way through is seen.
    atheris.instrument_all()
    atheris.Setup([sys.argv[0], *(word for word in words if word.startswith("-"))], target)
    atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
