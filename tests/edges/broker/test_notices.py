"""What happens on the road to the province and goes into the record, at a bounded rate."""

from __future__ import annotations

import pytest

from device.core import wire
from device.core.types import Channel
from tests.edges.broker.test_uplink import content, order
from tests.edges.broker.uplink_kit import GATE, rig
from tests.fakes.mqtt_server import MqttServer


@pytest.mark.parametrize(
    ("code", "slow"), [(0x87, True), (0x86, True), (0x8A, True), (0x9D, True), (0x89, False), (0x88, False), (0x97, False)]
)
def test_what_somebody_must_mend_is_tried_slowly_and_recorded(server: MqttServer, code: int, slow: bool) -> None:  # noqa: FBT001 - a column of the table
    """Half of the longest wait at least; a busy broker is tried from the shortest wait on."""
    server.refuse(code)
    with rig(server.port, retry_min_s=1, retry_max_s=600) as up:
        up.wait_phase("waiting")
        up.wait(lambda: bool(up.stat("ends")))
        up.advance(10)
        if slow:
            up.advance(280)
            assert len(server.connects) == 1
            up.advance(320)
        up.wait_phase("online")
        trouble = up.record.audits("uplink")
    assert [audit["state"] for audit in trouble] == (["refused"] if slow else [])


def test_a_second_gate_with_the_same_identity_is_reported(server: MqttServer) -> None:
    """Session taken over: somebody else uses this gate's certificate."""
    with rig(server.port) as up:
        up.wait_phase("online")
        server.disconnect(0x8E)
        up.wait_end("closed_by_broker_session_taken_over")
        assert up.record.audits("uplink") == [{"what": "uplink", "state": "taken_over", "reason": "session_taken_over"}]


def test_refusals_reach_the_province_as_audit_events(server: MqttServer) -> None:
    """They go through the journal like everything else."""
    with rig(server.port) as up:
        up.wait_phase("online")
        server.publish(wire.down(GATE, "cmd", "c-1"), order())
        server.wait(lambda: bool(server.on("/up/audit")))
        assert content(server.on("/up/audit")[0])["data"]["what"] == "command"
        assert {entry.channel for entry in up.record.entries} == {Channel.AUDIT}
