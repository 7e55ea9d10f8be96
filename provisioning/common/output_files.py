"""Files that the tool leaves: whole or not at all, closed to others where they must be, harmless in a spreadsheet."""

from __future__ import annotations

import contextlib
import csv
import io
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from provisioning.common.errors import Refused

_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
"""A spreadsheet would calculate a cell that begins so, and the words come from gates and people."""


def save(content: bytes, path: Path, mode: int = 0o644) -> None:
    """A whole file or none, never readable by more than ``mode`` says. Its folders are made. Raises Refused (E145)."""
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


def csv_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    """CSV in UTF-8 with the mark by which spreadsheets know it; no cell of it is a formula."""
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(columns)
    writer.writerows([_guarded(cell) for cell in row] for row in rows)
    return b"\xef\xbb\xbf" + out.getvalue().encode()


def _guarded(cell: object) -> object:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell
