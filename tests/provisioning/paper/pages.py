"""Pages as our own eye sees them, and as a PDF reader reads them."""

from __future__ import annotations

import io
from datetime import UTC, datetime

import numpy as np
import pypdfium2
from PIL import Image

from device.eye.camera import Luma
from device.eye.decoder import Reading, ZbarDecoder, ZxingDecoder
from device.eye.ladder import Ladder
from provisioning.paper import printing


def pixels(document: bytes) -> Luma:
    """A page as the eye sees it."""
    return np.asarray(Image.open(io.BytesIO(printing.png(document))).convert("L"))


def decode(page: Luma) -> tuple[Reading, ...]:
    """What the eye reads on it in one pass of all its decoders."""
    return Ladder([ZxingDecoder(), ZbarDecoder()]).one_shot(page).readings


def text_of(document: bytes) -> str:
    """The letters of a page."""
    reader = pypdfium2.PdfDocument(document)
    try:
        return " ".join(str(reader[0].get_textpage().get_text_bounded()).split())
    finally:
        reader.close()


def lines_on(document: bytes, number: int = 0) -> list[tuple[str, tuple[float, float, float, float]]]:
    """Each run of letters on a page, with left, bottom, right and top of its ink in points."""
    reader = pypdfium2.PdfDocument(document)
    try:
        page = reader[number].get_textpage()
        found = [page.get_rect(at) for at in range(page.count_rects())]
        return [(str(page.get_text_bounded(*box)), box) for box in found]
    finally:
        reader.close()


def running_into_each_other(document: bytes, number: int = 0) -> list[tuple[str, str]]:
    """Pairs of lines whose ink shares a place."""
    lines = lines_on(document, number)
    return [
        (one, other)
        for at, (one, (left, bottom, right, top)) in enumerate(lines)
        for other, (left2, bottom2, right2, top2) in lines[at + 1 :]
        if min(right, right2) - max(left, left2) > HAIR_PT and min(top, top2) - max(bottom, bottom2) > HAIR_PT
    ]


HAIR_PT = 1.0
"""So much of an accent above may reach into a tail below."""
AT = datetime(2026, 11, 27, 6, 0, tzinfo=UTC)
