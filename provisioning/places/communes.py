"""The communes and wards of the province, as of the date in the file beside this one."""

from __future__ import annotations

import csv
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from provisioning.common.errors import Refused

FILE: Final = Path(__file__).with_name("communes.csv")
VERSION: Final = "2025-07-01"
"""Since when the list is in force; it is kept beside each code, because codes outlive lists."""


@dataclass(frozen=True, slots=True)
class Commune:
    """A commune (xã) or ward (phường)."""

    code: str
    kind: str
    name: str

    @property
    def full_name(self) -> str:
        """As people write it."""
        return f"{self.kind} {self.name}"


@cache
def communes() -> Mapping[str, Commune]:
    """All of them, by code."""
    lines = [line for line in FILE.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    return {row["code"]: Commune(row["code"], row["kind"], row["name"]) for row in csv.DictReader(lines)}


def commune(text: str) -> Commune:
    """By code, or by name with or without its marks. Raises Refused (E111), with what is near, unless exactly one is meant."""
    if text in communes():
        return communes()[text]
    wanted = plain(text)
    found = [one for one in communes().values() if wanted in {plain(one.name), plain(one.full_name)}]
    if len(found) == 1:
        return found[0]
    near = found or [one for one in communes().values() if wanted and wanted in plain(one.full_name)]
    raise Refused("E111", text=text, near=", ".join(f"{one.full_name} ({one.code})" for one in near[:8]) or "-")


def containing(text: str) -> Sequence[Commune]:
    """Those whose full name holds a text, with or without its marks; all of them for an empty one."""
    return [one for one in communes().values() if plain(text) in plain(one.full_name)]


def plain(text: str) -> str:
    """Without marks, case and doubled blanks."""
    apart = unicodedata.normalize("NFD", text.casefold().replace("đ", "d"))
    return " ".join("".join(letter for letter in apart if not unicodedata.combining(letter)).split())
