"""The bundled symbol is whole, or the eye does not start."""

from __future__ import annotations

from collections.abc import Callable
from importlib import resources

import numpy as np
import pytest

from device.errors import DecoderBroken
from device.eye import selfcheck
from device.workbench.symbols import SELFCHECK_PAYLOAD, vietnamese_symbol


def test_the_bundled_symbol_is_the_one_that_the_workbench_makes() -> None:
    """Payload and picture: the two modules cannot drift apart."""
    assert selfcheck.EXPECTED == SELFCHECK_PAYLOAD
    made = vietnamese_symbol()
    assert np.array_equal(selfcheck.symbol(), selfcheck.parsed(made))


@pytest.mark.parametrize(
    "damage",
    [lambda blob: blob[:-1], lambda blob: b"P5" + blob[2:], lambda _: b"", lambda _: b"P4\nx y\n"],
    ids=["short", "magic", "empty", "size"],
)
def test_a_damaged_file_is_refused(monkeypatch: pytest.MonkeyPatch, damage: Callable[[bytes], bytes]) -> None:
    """A bad SD card must not turn into a decoder that is blamed for it."""
    blob = damage(vietnamese_symbol())
    monkeypatch.setattr(resources, "files", lambda _: _Files(blob))
    with pytest.raises(DecoderBroken, match="damaged"):
        selfcheck.symbol()


class _Files:
    def __init__(self, blob: bytes) -> None:
        self._blob = blob

    def joinpath(self, _name: str) -> _Files:
        return self

    def read_bytes(self) -> bytes:
        return self._blob
