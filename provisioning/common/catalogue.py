"""Everything that the tool says, in Vietnamese and English: one catalogue for the terminal and for paper."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from pathlib import Path
from string import Formatter
from typing import Final

from provisioning.common.errors import Refused

CATALOGUE: Final = Path(__file__).with_suffix(".toml")


class Lang(StrEnum):
    """The languages."""

    VI = "vi"
    EN = "en"


@cache
def entries() -> Mapping[str, Mapping[str, Mapping[str, str]]]:
    """Section, key, language: the words. Read once."""
    found: Mapping[str, Mapping[str, Mapping[str, str]]] = tomllib.loads(CATALOGUE.read_text(encoding="utf-8"))
    return found


def words(lang: Lang, key: str, **facts: object) -> str:
    """What stands under ``section.key``, filled with the facts. Raises KeyError for what the catalogue does not hold."""
    section, _, name = key.partition(".")
    return entries()[section][name][lang].format_map(facts)


def refusal(lang: Lang, refused: Refused) -> tuple[str, str]:
    """What is wrong, and what to do about it."""
    entry = entries()["errors"][refused.code]
    return entry[lang].format_map(refused.facts), entry[f"do_{lang}"].format_map(refused.facts)


def remedy(lang: Lang, code: str) -> str:
    """What to do about an error of which nothing but the code is known: on paper."""
    text: str = entries()["errors"][code][f"do_{lang}"]
    return text.format_map(dict.fromkeys(fields(text), "…"))


def fields(text: str) -> frozenset[str]:
    """The names of the facts that a text wants."""
    return frozenset(name for _, name, _, _ in Formatter().parse(text) if name)
