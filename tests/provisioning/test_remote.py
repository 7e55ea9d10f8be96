"""What an operator does from afar to a real, enrolled gate on the real broker: another policy, a list of its own, orders."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from PIL import Image

import provisioning
from device.edges.certificate.enrol import Places
from device.edges.machine.clock import Discipline, SystemClock
from device.gate import Gate as Program
from device.settings.desired import Desired, open_desired
from device.workbench import people
from device.workbench.broker import LOOPBACK, MosquittoProcess, free_port
from device.workbench.scenes import Pose, scene
from provisioning.broker import mosquitto
from provisioning.registry.tables import Gate, GateState, Sent
from tests.gate.test_gate import turning, until
from tests.provisioning.card.test_writer import pi_card
from tests.provisioning.enrolment_kit import Province, on_this_machine, run
from tests.provisioning.test_town import commands

POLICY: Final = """\
[policy]
accept = ["citizen_card"]
duplicate_window_s = 0.0
rearm_s = 0.2
lists = [{ name = "workers", use = "allow" }]
"""
WORKER, STRANGER = people.people(2, people.seeded(11))


def desk(town: Province) -> list[str]:
    """The options by which the desk's connection is made."""
    papers = town.papers("desk")
    return ["--cert", str(papers.cert), "--key", str(papers.key)]


@contextmanager
def at_gate(path: Path) -> Iterator[tuple[Program, Desired]]:
    """The gate's program with its configuration as it stands, connected."""
    desired = open_desired(path)
    assert desired is not None
    with turning(Program(desired.effective(), path, desired=desired)) as program:
        assert until(lambda: program.uplink is not None and program.uplink.stats()["phase"] == "online")
        yield program, desired


def faces(folder: Path) -> Path:
    """A worker and a stranger in turn, with nobody between."""
    folder.mkdir()
    noise = np.random.default_rng(3)
    for number, person in enumerate((WORKER, None, STRANGER, None)):
        payloads = [] if person is None else [people.citizen_card(person)]
        picture = scene(payloads, Pose(px_per_module=4), noise, (640, 480)) if payloads else np.full((480, 640), 200, np.uint8)
        for again in range(4):
            Image.fromarray(picture).save(folder / f"{number}{again}.png")
    return folder


@pytest.fixture
def here(town: Province, enrolled: tuple[Gate, Places]) -> tuple[Gate, Path]:
    """The same gate made to work on this machine, before faces, and its configuration."""
    gate, places = enrolled
    return gate, on_this_machine(town, places, faces(town.folder / "faces"))


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


LAST: Final = {"card": 1, "revoke": 2, "decommission": 3}


def test_every_command_of_the_how_to_works(
    town: Province, here: tuple[Gate, Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it stands there, on a gate at work; those that take the gate away come last."""
    (gate, path), tmp_path = here, town.folder
    monkeypatch.setattr("device.gate.SystemClock", partial(SystemClock, discipline=lambda: Discipline(synced=True, error_ms=5)))
    monkeypatch.chdir(tmp_path)
    papers = town.papers("desk")
    for name, content in (("policy.toml", POLICY.encode()), ("workers.csv", f"number\n{WORKER.number}\n".encode())):
        Path(name).write_bytes(content)
    for name, paper in (("desk.cert.pem", papers.cert), ("desk.key.pem", papers.key)):
        assert paper is not None
        Path(name).write_bytes(paper.read_bytes())
    Path("gates.acl").write_bytes((tmp_path / "mosquitto" / "gates.acl").read_bytes())
    meant = {"MÃ_ĐỊA_ĐIỂM": gate.site, "MÃ_CỔNG": gate.id, "/media/bootfs": str(pi_card(tmp_path / "bootfs"))}
    how_to = Path(provisioning.__file__).parent / "guides" / "how-to.md"
    asked = sorted(commands(how_to.read_text(encoding="utf-8")), key=lambda words: LAST.get(words[0], 0))
    assert len(asked) >= 12
    for words in asked:
        with at_gate(path) if words[0] in {"config", "order"} else nullcontext():
            told = run(capsys, *(meant.get(word, word) for word in words))
        if words[0] == "config":
            assert [one["state"] for one in told["gates"]] == ["applied"]
        if words[0] == "order":
            assert told["state"] == "succeeded", told
    assert town.registry.gate(gate.id).state == GateState.DECOMMISSIONED


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


def test_a_site_is_changed_only_by_what_a_gate_can_use(town: Province, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each refusal names the option; what is the same is nothing to do; the plan shows old and new."""
    site = town.gate(GateState.PLANNED).site
    wrong = tmp_path / "policy.toml"
    for text, why in (
        ("lists", "not TOML"),
        ("[policy]\nacept = []", "policy.acept: no such key"),
        ("[policy]\nlists = [{ name = 'a', use = 'friends' }]", "policy.lists.0.use"),
        ("[broker]\nhost = 'x'", "broker: a site decides only"),
        ("[journal]\npath = '/tmp/x'", "journal.path: a site decides only"),
    ):
        wrong.write_text(text)
        told = run(capsys, "site", "change", site, "--policy", str(wrong), code=2)
        assert (told["error"], "--policy" in told["message"], why in told["message"]) == ("E133", True, True), told
    assert run(capsys, "site", "change", site, "--port", "0", code=2)["message"].startswith("--port")
    assert run(capsys, "site", "change", site, "--ssid", "x", code=2)["error"] == "E133"
    told = run(capsys, "site", "change", site, "--network", "wifi", "--ssid", "Trường", "--hotline", "0269 111 222")
    assert told == {"id": site, "changed": ["hotline", "network"]}
    assert town.registry.site(site).network == {"kind": "wifi", "ssid": "Trường"}
    assert run(capsys, "site", "change", site, "--hotline", "0269 111 222")["changed"] == []


@pytest.mark.parametrize(
    ("rows", "code", "says"),
    [
        ("number\n64090000001\n", "E193", "row 2: these 11 characters are no number of the class citizen"),
        ("number,class\n064090000001,\n\nAB1234567890123,citizen\n", "E193", "row 4"),
        ("number,class\n0123456789,phone\n", "E132", "class"),
        ("so\n064090000001\n", "E193", "row 2: these 0 characters"),
        ("number\n", "E194", "names 0 people"),
        ("number,class\n064090000001,citizen,more\n", "E132", "row 2"),
        ('number\n"064090000001\n', "E132", "unexpected end"),
    ],
)
def test_a_file_of_people_is_taken_whole_or_not_at_all(
    town: Province, tmp_path: Path, capsys: pytest.CaptureFixture[str], rows: str, code: str, says: str
) -> None:
    """The row is named, the number never: it is somebody's."""
    gate = town.gate(GateState.ENROLLED)
    (tmp_path / "policy.toml").write_text(POLICY)
    run(capsys, "site", "change", gate.site, "--policy", str(tmp_path / "policy.toml"))
    listed = tmp_path / "people.csv"
    listed.write_text(rows)
    told = run(capsys, "list", "publish", "--site", gate.site, *desk(town), "--name", "workers", "--people", str(listed), code=2)
    assert told["error"] == code
    assert says in told["message"]
    assert "0640900" not in json.dumps(told)


def test_what_a_list_is_made_of_must_fit_its_name(town: Province, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The revoked badges come from the registry alone, every other list from a file alone."""
    gate = town.gate(GateState.ENROLLED)
    (tmp_path / "policy.toml").write_text(POLICY.replace("lists = [", 'lists = [{ name = "revoked", use = "status" }, '))
    run(capsys, "site", "change", gate.site, "--policy", str(tmp_path / "policy.toml"))
    words = ("list", "publish", "--site", gate.site, *desk(town))
    assert run(capsys, *words, "--name", "workers", code=2)["error"] == "E133"
    (tmp_path / "people.csv").write_text("number\n064090000001\n")
    assert run(capsys, *words, "--people", str(tmp_path / "people.csv"), code=2)["error"] == "E133"


def test_everything_that_a_policy_can_say_survives_the_way_to_the_gate(town: Province) -> None:
    """Hours, windows, days, roles: sent as JSON, read as TOML would be."""
    from device.config import parse  # noqa: PLC0415 - beside what it is for
    from provisioning.remote.desired import wanted  # noqa: PLC0415 - the same

    gate = town.gate(GateState.ENROLLED)
    site = town.site(gate)
    site.policy = """
[policy]
opening_hours = [{ days = ["mon", "tue"], start = "05:30", end = "18:00" }]
holidays = [2026-09-02]
swapped_days = { 2026-09-05 = "wed" }
roles = [1, 2]
capacity = 40
[policy.passback]
[journal]
retention_days = 30
"""
    sections = json.loads(json.dumps(wanted(site, gate)))
    base: dict[str, dict[str, object]] = {
        "gate": {"id": gate.id, "site": gate.site},
        "camera": {"source": "picamera2"},
        "privacy": {"site_key": "key"},
    }
    merged: dict[str, object] = {name: {**base.get(name, {}), **sections.get(name, {})} for name in (*base, "policy", "journal")}
    policy = parse(merged, "sent").policy
    assert policy.capacity == 40
    assert [str(one.start) for one in policy.opening_hours] == ["05:30:00"]
    assert [day.isoformat() for day in policy.holidays] == ["2026-09-02"]
    assert policy.roles == (1, 2)
