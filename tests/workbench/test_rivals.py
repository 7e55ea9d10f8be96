"""What the eye is measured beside: each really reads, or the comparison would flatter."""

from __future__ import annotations

import numpy as np
import pytest

from device.workbench.rivals import Read, rivals, tuned
from tests.eye.pages import on_page, symbol

READERS: dict[str, Read] = {**rivals(), **tuned()}
SHARP = on_page([symbol(b"held up", scale=6)], height=300, width=400, shade=255)


@pytest.mark.parametrize("name", READERS)
def test_each_reads_a_sharp_code_to_the_byte(name: str) -> None:
    """As often as it is asked."""
    assert READERS[name](SHARP) == [b"held up"]
    assert READERS[name](SHARP) == [b"held up"]


@pytest.mark.parametrize("name", READERS)
def test_where_nothing_is_none_invents_a_code(name: str) -> None:
    """Grey, and noise on which OpenCV fails an assertion of its own."""
    assert READERS[name](np.full((240, 320), 128, np.uint8)) == []
    assert READERS[name](np.random.default_rng(1).integers(0, 256, (240, 320), np.uint8)) == []


@pytest.mark.parametrize("name", READERS)
def test_a_part_of_a_larger_frame_is_read_as_it_lies_in_memory(name: str) -> None:
    """Its rows are not beside each other: libraries in C read addresses, not arrays."""
    frame = np.full((600, 900), 255, np.uint8)
    frame[100:400, 200:600] = SHARP
    part = frame[100:400, 200:600]
    assert not part.flags.c_contiguous
    assert READERS[name](part) == [b"held up"]


def test_every_rival_of_the_published_table_is_there() -> None:
    """By the names under which the curves are drawn; OpenCV's only where it is installed, as it is here."""
    assert set(rivals()) == {"pyzbar.decode", "zxing-cpp default", "zbar full scan", "OpenCV QRCodeDetector"}
    assert len(tuned()) == 3
