"""Files that people bring: text and spreadsheets, refused with the file, the row and the byte."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from provisioning.common.errors import Refused

SIZE_LIMIT: Final = 16 << 20


def text_of(path: Path) -> str:
    """A file's text in UTF-8, with or without a mark at its beginning. Raises Refused (E130, E131)."""
    try:
        if path.stat().st_size > SIZE_LIMIT:
            raise Refused("E130", path=path, why=f"> {SIZE_LIMIT >> 20} MiB")
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise Refused("E130", path=path, why=error.strerror) from error
    except UnicodeDecodeError as error:
        raise Refused("E131", path=path, byte=error.start) from error


def csv_rows(path: Path, text: str) -> Mapping[int, dict[str, str]]:
    """The filled cells of each row by the names in the first, under the number of its line in the file. Raises Refused (E132)."""
    # Vietnamese spreadsheets write semicolons.
    head = text.partition("\n")[0]
    reader = csv.DictReader(io.StringIO(text), delimiter=";" if head.count(";") > head.count(",") else ",", strict=True)
    rows = {}
    try:
        for row in reader:
            if None in row:
                raise Refused("E132", path=path, row=reader.line_num, column="-", why=f"> {len(reader.fieldnames or ())} columns")
            rows[reader.line_num] = {key: value for key, value in row.items() if value}
    except csv.Error as error:
        raise Refused("E132", path=path, row=reader.line_num, column="-", why=error) from error
    return rows
