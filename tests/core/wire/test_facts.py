"""What stands in an event: as the record holds it, and as its schema says it."""

from __future__ import annotations

from typing import Any

import pytest

from device.core import wire
from device.core.timeline import ClockState
from device.core.types import View
from device.core.wire.facts import CameraView, Checkin, ClockKnown, Fact, Gap, Start, Stop, UplinkTrouble


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
