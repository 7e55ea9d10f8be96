"""Pages to files: PDF as it is, PNG drawn from it by a PDF reader's own library, so that both show the same.

What draws is loaded when something is drawn: fpdf2 and pypdfium2 take longer than most verbs.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from provisioning.common.output_files import save
from provisioning.common.plan import Step

if TYPE_CHECKING:
    from provisioning.paper.drawing import Sheet

DOTS_PER_MM: Final = 12
"""About 300 dpi."""


def blank(size_mm: tuple[float, float], title: str, at: datetime) -> Sheet:
    """An empty sheet of a size, dated."""
    from provisioning.paper.drawing import Sheet  # noqa: PLC0415 - fpdf2, when something is drawn

    return Sheet(size_mm, title, at)


def steps(draw: Callable[[], Sheet], stem: Path, mode: int = 0o644) -> Sequence[Step]:
    """A page as ``STEM.pdf`` and as ``STEM.png``, drawn once, when the first of them is taken."""
    drawn = cache(draw)
    pdf, png = stem.with_suffix(".pdf"), stem.with_suffix(".png")
    picture = Step("step.write", {"path": png}, lambda: save_png(drawn(), png, mode))
    return [Step("step.write", {"path": pdf}, lambda: save_pdf(drawn(), pdf, mode)), picture]


def pdf_step(draw: Callable[[], Sheet], path: Path, mode: int = 0o644) -> Step:
    """Pages as a PDF, drawn when the step is taken."""
    return Step("step.write", {"path": path}, lambda: save_pdf(draw(), path, mode))


def save_pdf(sheet: Sheet, path: Path, mode: int = 0o644) -> None:
    """Raises Refused (E145)."""
    save(bytes(sheet.output()), path, mode)


def save_png(sheet: Sheet, path: Path, mode: int = 0o644) -> None:
    """The first page. Raises Refused (E145)."""
    save(png(bytes(sheet.output())), path, mode)


def png(document: bytes, page: int = 0) -> bytes:
    """A page of a PDF as a PNG picture."""
    import pypdfium2  # noqa: PLC0415 - when a picture is drawn

    reader = pypdfium2.PdfDocument(document)
    try:
        # A PDF's unit is 1/72 inch.
        picture = reader[page].render(scale=DOTS_PER_MM * 25.4 / 72, grayscale=False).to_pil()
    finally:
        reader.close()
    out = io.BytesIO()
    picture.save(out, "PNG", optimize=True)
    return out.getvalue()
