"""Why a decision fell, in one sentence."""

from __future__ import annotations

import pytest

from device.core.explain import Language, explain, explain_event
from device.core.reasons import SENTENCES, Reason, sentence_of
from device.core.types import Assurance, Decision, JsonObject, Kind, Sign, Verdict


@pytest.mark.parametrize("language", ["vi", "en"])
def test_every_decision_is_one_sentence(language: Language) -> None:
    """Whatever the reason."""
    for reason in Reason:
        told = explain(language, Decision(Verdict.REFER, reason, Sign.REFER, Kind.SITE_BADGE, assurance=Assurance.SIGNED))
        assert told.endswith(".")
        assert not told.endswith("..")
        assert "\n" not in told
        assert (SENTENCES[reason].vi if language == "vi" else SENTENCES[reason].en).rstrip(".") in told


def test_the_sentence_says_how_sure_the_gate_was_what_was_noted_and_on_which_lists() -> None:
    """From the event alone."""
    data: JsonObject = {
        "kind": "citizen_card",
        "reason": "listed",
        "assurance": "listed",
        "warnings": ["late", "deny_list_stale"],
        "lists": [{"name": "staff", "version": "7"}],
    }
    assert explain_event("en", data) == (
        "Citizen card: On the allow list: please pass; the identity is declared and listed; "
        "noted: late, within the grace, the deny list is stale; lists: staff 7."
    )
    assert explain_event("vi", data).startswith("Thẻ căn cước: Có trong danh sách được phép, mời qua; ")


def test_what_a_newer_version_wrote_is_said_by_its_code() -> None:
    """The record outlives the program."""
    told = explain_event("en", {"kind": "palm", "reason": "too_tall", "assurance": "sworn", "warnings": ["wet"], "lists": "none"})
    assert told == "palm: too_tall; sworn; noted: wet."
    assert explain_event("vi", {}) == "None: None."
    assert sentence_of("too_tall").vi == "too_tall"
