"""Pages to files: PDF as it is, PNG drawn from it by a PDF reader's own library, so that both show the same."""

from __future__ import annotations

import contextlib
import io
import os
from pathlib import Path
from typing import Final

import pypdfium2

from provisioning.desk.errors import Refused
from provisioning.paper.sheets import Sheet

DOTS_PER_MM: Final = 12
"""About 300 dpi."""


def save_pdf(sheet: Sheet, path: Path, mode: int = 0o644) -> None:
    """Raises Refused (E145)."""
    save(bytes(sheet.output()), path, mode)


def save_png(sheet: Sheet, path: Path, mode: int = 0o644) -> None:
    """The first page. Raises Refused (E145)."""
    save(png(bytes(sheet.output())), path, mode)


def png(document: bytes, page: int = 0) -> bytes:
    """A page of a PDF as a PNG picture."""
    reader = pypdfium2.PdfDocument(document)
    try:
        # A PDF's unit is 1/72 inch.
        picture = reader[page].render(scale=DOTS_PER_MM * 25.4 / 72, grayscale=False).to_pil()
    finally:
        reader.close()
    out = io.BytesIO()
    picture.save(out, "PNG", optimize=True)
    return out.getvalue()


def save(content: bytes, path: Path, mode: int = 0o644) -> None:
    """A whole file or none, never readable by more than ``mode`` says. Raises Refused (E145)."""
    growing = path.with_name(f".{path.name}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        growing.unlink(missing_ok=True)
        with os.fdopen(os.open(growing, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        growing.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            growing.unlink()
        raise Refused("E145", path=path, why=error.strerror) from error
