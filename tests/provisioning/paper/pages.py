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


AT = datetime(2026, 11, 27, 6, 0, tzinfo=UTC)
