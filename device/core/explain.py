"""Why a decision fell, as one sentence in Vietnamese or in English: from the tables that the documents are made of.

It says nothing that is not in the event, and so nothing about the person.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final, Literal

from device.core.plain_words import ASSURANCES, KINDS, WARNINGS
from device.core.reasons import Sentence, sentence_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from device.core.types import Decision, JsonObject

Language = Literal["vi", "en"]

_NOTED: Final = Sentence("lưu ý", "noted")
_LISTS: Final = Sentence("danh sách", "lists")


def explain(language: Language, decision: Decision) -> str:
    """One sentence: what was shown, why it was answered so, how sure the gate was, and what else was noted."""
    return _sentence(language, decision.kind, decision.reason, decision.assurance, decision.warnings, ())


def explain_event(language: Language, data: JsonObject) -> str:
    """The same of a check-in's data, with the lists that it rested on. What a newer version wrote is said by its codes."""
    warnings, lists, assurance = data.get("warnings"), data.get("lists"), data.get("assurance")
    named = [f"{one.get('name')} {one.get('version')}" for one in lists if isinstance(one, dict)] if isinstance(lists, list) else []
    return _sentence(
        language,
        str(data.get("kind")),
        str(data.get("reason")),
        None if assurance is None else str(assurance),
        map(str, warnings) if isinstance(warnings, list) else (),
        named,
    )


def _sentence(language: Language, kind: str, reason: str, assurance: str | None, warnings: Iterable[str], lists: Iterable[str]) -> str:
    words = partial(_in, language)
    parts = [f"{words(KINDS.get(kind), kind)}: {words(sentence_of(reason), reason).rstrip('.')}"]
    if assurance is not None:
        parts.append(words(ASSURANCES.get(assurance), assurance))
    for head, said in ((_NOTED, [words(WARNINGS.get(code), code) for code in warnings]), (_LISTS, list(lists))):
        if said:
            parts.append(f"{words(head, '')}: {', '.join(said)}")
    return "; ".join(parts) + "."


def _in(language: Language, sentence: Sentence | None, code: str) -> str:
    if sentence is None:
        return code
    return sentence.vi if language == "vi" else sentence.en
