"""Where a gate asks for its certificate and where it is answered; who asks, by the topic alone."""

from __future__ import annotations

import pytest

from device.core.wire import asker_of, enrol_down, enrol_up, is_claim

CLAIM = "claim-gate-07-0123456789abcdef"


def test_a_claim_and_a_gate_ask_on_topics_of_their_own() -> None:
    """And are answered beside them."""
    for asker in (CLAIM, "gate-07"):
        assert enrol_up(asker) == f"enrol/{asker}/up"
        assert enrol_down(asker) == f"enrol/{asker}/down"
        assert asker_of(enrol_up(asker)) == asker


def test_a_gates_id_is_no_claim() -> None:
    """Nor is a claim a gate's id."""
    assert is_claim(CLAIM)
    assert not is_claim("gate-07")


@pytest.mark.parametrize(
    "topic",
    [
        *(
            "",
            "enrol",
            "enrol/gate-07",
            "enrol/gate-07/down",
            "enrol/gate-07/up/more",
            "gates/gate-07/up",
            "xenrol/gate-07/up",
            "enrol//up",
        ),
        *("enrol/GATE/up", "enrol/gate 07/up", "enrol/+/up", "enrol/gate-07/UP", "enrol/gate-07/upx", "/enrol/gate-07/up"),
    ],
)
def test_nobody_asks_on_any_other_topic(topic: str) -> None:
    """A broker's own words, other trees, names that are none."""
    assert asker_of(topic) is None


@pytest.mark.parametrize("name", ["", "Gate-07", "a/b", "+", "#", "ab", "gate 07"])
def test_who_is_neither_a_claim_nor_a_gate_has_no_topic(name: str) -> None:
    """A name could leave its tree; the error quotes it."""
    for topic in (enrol_up, enrol_down):
        with pytest.raises(ValueError, match=r"^neither a claim nor a gate: ") as refused:
            topic(name)
        assert repr(name) in str(refused.value)
