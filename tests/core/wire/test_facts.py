"""What stands in an event: as the record holds it, and as its schema says it."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from device.core import wire
from device.core.timeline import ClockState
from device.core.types import View
from device.core.wire.facts import CameraView, Checkin, ClockKnown, Fact, Gap, Start, Stop, UplinkTrouble
from tests.core.wire.wire_kit import PASSED, REFUSED, TERMS


@pytest.mark.parametrize(
    ("fact", "data"),
    [
        (Stop(), {"what": "stop"}),
        (Start(version="1.2", previous="unclean"), {"what": "start", "version": "1.2", "previous": "unclean"}),
        (ClockKnown(state=ClockState.SYNCED), {"what": "clock", "state": "synced"}),
        (CameraView(view=View.MOVED, before=View.OK), {"what": "camera_view", "view": "moved", "before": "ok"}),
        (UplinkTrouble(state="held", reason="nobody"), {"what": "uplink", "state": "held", "reason": "nobody"}),
        (Gap(first=1, last=3, count=2, cause="rows", prev="ab" * 32), {"what": "gap", "first": 1, "last": 3, "count": 2, "cause": "rows"}),
    ],
)
def test_the_record_holds_a_fact_as_plain_values_without_the_chain(fact: Fact, data: dict[str, Any]) -> None:
    """Words and numbers, and nothing that is None; the link is put in when the event is frozen."""
    assert fact.data() == data
    assert all(type(value) in {str, int} for value in fact.data().values())


def test_a_schema_says_what_stands_in_every_published_event() -> None:
    """What the fact is and the link, first, though the program need not say them; what may be absent is not asked for."""
    schema = Gap.model_json_schema()
    assert schema["required"] == ["what", "prev", "first", "last", "count", "cause"]
    assert "default" not in schema["properties"]["what"]
    assert "default" not in schema["properties"]["prev"]
    assert schema["properties"]["oldest"]["default"] is None
    assert Stop.model_json_schema()["required"] == ["what", "prev"]


def test_a_check_in_is_known_by_its_event_and_says_no_what() -> None:
    """Its schema asks for the link all the same."""
    required = Checkin.model_json_schema()["required"]
    assert required[:2] == ["prev", "decision"]
    assert "what" not in required


def test_a_fact_is_audit_data_and_the_other_way_round() -> None:
    """Whoever reads an audit event finds the fact again."""
    assert wire.audit_data(Stop(reason="update")) == {"what": "stop", "reason": "update"}


def test_of_a_refused_code_only_length_and_digest_are_said() -> None:
    """Nothing else of it is in the event."""
    data = wire.checkin_data(REFUSED, TERMS, decide_ms=0.5, payload_length=42, payload_digest="cd" * 32)
    assert data["payload_length"] == 42
    assert data["payload_digest"] == "cd" * 32
    assert not {"subject", "sealed", "direction", "assurance", "variant"} & data.keys()


def test_of_a_person_neither_length_nor_digest_of_the_code_are_said() -> None:
    """A length beside the keyed hash would help to guess who it was."""
    data = wire.checkin_data(PASSED, TERMS, decide_ms=0.5, payload_length=42, payload_digest="cd" * 32)
    assert not {"payload_length", "payload_digest"} & data.keys()


def test_our_own_output_is_strict() -> None:
    """A member that the contract does not have, or of another type, is a mistake that is noticed where it is made."""
    with pytest.raises(ValidationError):
        wire.Gap(first=1, last=2, count=2, cause="rows", why="x")  # type: ignore[call-arg]  # the mistake under test
    with pytest.raises(ValidationError):
        wire.Gap(first="1", last=2, count=2, cause="rows")  # type: ignore[arg-type]  # the mistake under test
    with pytest.raises(ValidationError):
        wire.checkin_data(PASSED, TERMS, decide_ms=0.5, sealed="not base64!")
