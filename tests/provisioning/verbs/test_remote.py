"""What an operator does from afar to a real, enrolled gate on the real broker: another policy, a list of its own, orders."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from device.edges.certificate.enrol import Places
from device.edges.machine.clock import Discipline, SystemClock
from device.workbench.broker import LOOPBACK, MosquittoProcess, free_port
from provisioning.broker import mosquitto
from provisioning.registry.tables import Gate, Sent
from tests.gate.test_gate import until
from tests.provisioning.enrolment_kit import Province, on_this_machine, run
from tests.provisioning.gate_kit import POLICY, WORKER, at_gate, desk, faces


def test_a_policy_of_the_sites_own_and_its_list_reach_the_gate(
    town: Province, enrolled: tuple[Gate, Places], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Changed at the desk, sent signed, taken after a restart; from then on only those pass whom the site's file names."""
    gate, places = enrolled
    path = on_this_machine(town, places, faces(tmp_path / "faces"))
    policy, listed = tmp_path / "policy.toml", tmp_path / "workers.csv"
    policy.write_text(POLICY)
    listed.write_text(f"number;name\n{WORKER.number};không được đọc\n", encoding="utf-8-sig")
    workers = ("list", "publish", "--site", gate.site, *desk(town), "--name", "workers", "--people", str(listed))
    assert run(capsys, *workers, code=2)["error"] == "E192"
    told = run(capsys, "site", "change", gate.site, "--policy", str(policy), "--purpose", "quản lý ra vào")
    assert told["changed"] == ["policy", "purpose"]
    assert "config send" in told["next"]
    with at_gate(path) as (program, desired):
        sent = run(capsys, "config", "send", "--site", gate.site, *desk(town))
        assert sent["gates"] == [{"id": gate.id, "version": 1, "state": "applied"}]
        assert desired.changed
    with at_gate(path) as (program, _):
        assert program.config.privacy.purpose == "quản lý ra vào"
        assert [one.name for one in program.config.policy.lists] == ["workers"]
        told = run(capsys, *workers)
        assert (told["name"], told["version"], told["count"]) == ("workers", 1, 1)
        assert until(lambda: program.lists["workers"].members is not None)
        before = program.loop.tally.accepted
        assert until(lambda: program.loop.tally.accepted > before and program.loop.tally.rejected)
        again = run(capsys, "config", "send", "--site", gate.site, *desk(town))
        assert again["gates"][0]["version"] == 1, "nothing has changed since"
    with town.registry.change() as session:
        kept = session.get_one(Sent, (gate.id, 1))
    assert WORKER.number.encode() not in kept.message


def test_a_site_moves_to_another_broker(
    town: Province, enrolled: tuple[Gate, Places], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The gate is told at the old one, and is found at the new one after its restart."""
    gate, places = enrolled
    path, port = on_this_machine(town, places, faces(tmp_path / "faces")), free_port()
    for name in ("other", "kept"):
        (tmp_path / name).mkdir()
    other = MosquittoProcess(tmp_path / "other", port, mosquitto.gates(tmp_path / "mosquitto", port, tmp_path / "kept", LOOPBACK))
    other.start()
    try:
        told = run(capsys, "site", "change", gate.site, "--port", str(port))
        old = f"{LOOPBACK}:{town.gates_port}"
        assert told["next"].endswith(f"config send --site {gate.site} --also {old}")
        send = ("config", "send", "--site", gate.site, *desk(town), "--also", old)
        with at_gate(path) as (_, desired):
            assert run(capsys, *send, "--wait", "1")["gates"][0]["state"] == "silent"
            assert until(lambda: desired.changed)
        with at_gate(path) as (program, _):
            assert program.config.broker is not None
            assert program.config.broker.port == port
            assert run(capsys, *send)["gates"] == [{"id": gate.id, "version": 1, "state": "applied"}]
    finally:
        other.stop()


def test_orders_are_carried_out_and_answered(
    town: Province, here: tuple[Gate, Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With arguments and answers; an unknown one, a wrong one and one to a gate that is away say so."""
    gate, path = here

    def order(*words: str, code: int = 0) -> dict[str, Any]:
        return run(capsys, "order", gate.id, *words, *desk(town), code=code)

    assert order("identify", "--wait", "1")["state"] == "silent"
    with at_gate(path):
        said = order("identify")
        assert (said["state"], said["reason"]) == ("rejected", "clock_unknown")
    monkeypatch.setattr("device.gate.SystemClock", partial(SystemClock, discipline=lambda: Discipline(synced=True, error_ms=5)))
    with at_gate(path) as (program, _):
        assert order("identify")["state"] == "succeeded"
        assert order("set-drain-rate", "--arg", "per_s=7")["state"] == "succeeded"
        assert program.uplink is not None
        said = order("send-log", "--arg", "lines=3")
        assert said["state"] == "succeeded"
        assert said["detail"].count("\n") <= 3
        wrong = order("resend", "--arg", "epoch=none", "--arg", "first=1", "--arg", "last=2")
        assert (wrong["state"], wrong["order"]) == ("failed", "resend")
    assert order("wipe", code=2)["error"] == "E133"
    assert order("identify", "--arg", "nothing", code=2)["error"] == "E133"


def test_a_gate_that_refuses_what_is_sent_is_named(
    town: Province, enrolled: tuple[Gate, Places], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As after a registry was brought back from an old copy: the gate has had a newer version, and keeps it."""
    gate, places = enrolled
    path = on_this_machine(town, places, faces(tmp_path / "faces"))
    folder = tmp_path / "state" / "desired"
    folder.mkdir(parents=True)
    (folder / "note.json").write_text('{"floor": 7}')
    with at_gate(path):
        refused = run(capsys, "config", "send", "--site", gate.site, *desk(town), code=2)
    assert refused["error"] == "E196"
    assert f"{gate.id} (rejected: old_version)" in refused["message"]
    assert [(one.verb, one.outcome) for one in town.registry.audit(gate.site, 10)] == [("config send", "E196")]
    away = run(capsys, "config", "send", "--site", gate.site, *desk(town), "--wait", "1", code=2)
    assert away["error"] == "E196", "what it last said of this version stands with the broker"
