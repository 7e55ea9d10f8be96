"""The words of the tool: both languages, the same facts, nothing that nobody says, nothing said that is not there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import provisioning
from provisioning.common.catalogue import Lang, entries, fields, refusal, words
from provisioning.common.errors import Refused

SOURCES = [
    path for path in Path(provisioning.__file__).parent.rglob("*.py") if "province" not in path.parts and "package" not in path.parts
]
CODE = "\n".join(path.read_text(encoding="utf-8") for path in SOURCES)
TEXTS = [(section, name) for section, keys in entries().items() for name in keys]


@pytest.mark.parametrize(("section", "name"), TEXTS)
def test_each_text_says_the_same_in_both_languages(section: str, name: str) -> None:
    """The same facts in both; an error also says what to do."""
    entry = entries()[section][name]
    assert set(entry) == ({"vi", "en", "do_vi", "do_en"} if section == "errors" else {"vi", "en"})
    assert fields(entry["vi"]) == fields(entry["en"])
    if section == "errors":
        assert fields(entry["do_vi"]) == fields(entry["do_en"])


def test_each_error_that_is_raised_has_words_and_each_has_a_raiser() -> None:
    """By the codes in the program."""
    assert set(re.findall(r'"(E\d{3})"', CODE)) == set(entries()["errors"])


def test_each_text_that_is_said_stands_in_the_catalogue() -> None:
    """By the keys in the program; those of fields, checks and help are made of names."""
    said = set(re.findall(r'"((?:ask|say|step|paper)\.[a-z_0-9]+)"', CODE))
    assert said == {f"{section}.{name}" for section, name in TEXTS if section in {"ask", "say", "step", "paper"}}


def test_a_refusal_says_what_is_wrong_and_what_to_do() -> None:
    """With its facts."""
    message, todo = refusal(Lang.EN, Refused("E113", id="g0000000"))
    assert message == "There is no gate g0000000 in the registry"
    assert "gate list" in todo
    assert words(Lang.VI, "say.rows", count=3) == "3 dòng"
