"""What a technician asks of a gate that is up, at the command line: by a real SSH server in its place, by the broker of a gate at work."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest

from device.core import wire
from device.edges.certificate.enrol import Places
from device.edges.machine.clock import Discipline, SystemClock
from device.workbench.broker import LOOPBACK
from provisioning.cli import main
from provisioning.registry.registry import Registry
from provisioning.registry.tables import Gate
from provisioning.registry.technicians import technician_key
from tests.entries import checkin, settle
from tests.gate.test_gate import until
from tests.provisioning.commands import told
from tests.provisioning.enrolment_kit import Province, run
from tests.provisioning.gate_kit import at_gate, desk
from tests.provisioning.registry.rows import a_gate, a_site
from tests.provisioning.ssh_kit import server
from tests.provisioning.test_acceptance import a_report, held


class Known(NamedTuple):
    """A gate of the registry, its site, and what its technician's card carries."""

    gate: str
    site: str
    public: str


@pytest.fixture
def known(home: Path) -> Known:
    """A gate, and a technician with a key."""
    home.mkdir(mode=0o700)
    registry = Registry(f"sqlite:///{home / 'registry.sqlite'}")
    site = a_site()
    gate = a_gate(site)
    made = gate.id, site.id
    registry.add(site)
    registry.add(gate)
    public, steps = technician_key(registry, home / "technicians", "lan")
    for step in steps:
        step.do()
    registry.close()
    return Known(*made, public)


def test_a_technician_gets_into_the_gate_and_it_is_noted(
    known: Known, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """What the command prints is all that is printed, its end is the verb's, and the options after the mark are its own."""
    with server(tmp_path / "server", known.public, monkeypatch) as gate:
        gate.program("gate", 'echo "$@"; exit 5')
        way = ["--host", LOOPBACK, "--port", str(gate.port), "--technician", "lan"]
        capfd.readouterr()
        assert main(["gate", "shell", known.gate.upper(), *way, "--", "gate", "status", "--json", "--lang"]) == 5
        assert capfd.readouterr().out == "status --json --lang\n"
    assert (home / "known_hosts").read_text().startswith(f"{known.gate} ")
    registry = Registry(f"sqlite:///{home / 'registry.sqlite'}")
    row = registry.audit()[-1]
    registry.close()
    assert (row.verb, row.subject) == ("gate shell", known.gate)
    assert row.facts == {"host": LOOPBACK, "technician": "lan", "command": "gate status --json --lang"}


def test_who_has_no_key_on_this_laptop_does_not_get_in(known: Known, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """E169: for a name that no card carries, and where the private half is elsewhere."""
    assert told(capsys, "gate", "shell", known.gate, "--technician", "minh", code=2)["error"] == "E169"
    (home / "technicians" / "lan").unlink()
    assert told(capsys, "gate", "shell", known.gate, "--technician", "lan", code=2)["error"] == "E169"


def test_where_logins_are_forbidden_the_other_road_is_named(known: Known, capsys: pytest.CaptureFixture[str]) -> None:
    """E214, before anything is tried."""
    told(capsys, "site", "change", known.site, "--no-ssh")
    refused = told(capsys, "gate", "shell", known.gate, "--technician", "lan", code=2)
    assert refused["error"] == "E214"
    assert f"gate report {known.gate} --cert" in refused["todo"]


@pytest.mark.skipif(shutil.which("ssh") is None, reason="OpenSSH is not installed (Debian: openssh-client)")
def test_a_gate_is_looked_for_under_its_own_name(known: Known, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """E211 names it; nobody answers to it here."""
    monkeypatch.setattr("provisioning.remote.ssh.CONNECT_S", 1)
    refused = told(capsys, "gate", "shell", known.gate, "--technician", "lan", "--lang", "en", code=2)
    assert refused["error"] == "E211"
    assert f"cannot be reached at {known.gate}.local" in refused["message"]


# ----------------------------------------------------------------- reports


def a_login(town: Province, capsys: pytest.CaptureFixture[str]) -> str:
    """The public half of a technician's key in the town's folder."""
    capsys.readouterr()
    public, steps = technician_key(town.registry, town.folder / "technicians", "lan")
    for step in steps:
        step.do()
    return public


def test_a_report_comes_by_a_login_is_checked_and_kept(
    town: Province, enrolled: tuple[Gate, Places], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever failed is named, and the report is kept all the same; the acceptance takes it."""
    gate, places = enrolled
    out, made = town.folder / "out" / "report.json", a_report(town, gate, places)
    with server(town.folder / "server", a_login(town, capsys), monkeypatch) as machine:
        fetch = ("gate", "report", gate.id, "--host", LOOPBACK, "--port", str(machine.port), "--technician", "lan", "--out", str(out))
        machine.program("sudo", 'exec "$@"')
        machine.program("gate", f'echo "a warning" >&2; [ "$*" = "selftest --report" ] && cat {made}')
        told = run(capsys, *fetch)
        assert (told["id"], told["path"], told["result"], told["failed"]) == (gate.id, str(out), "passed", [])
        assert out.read_bytes() == made.read_bytes()
        assert f"--report {out}" in told["next"]
        assert held(town, gate, out, capsys)["result"] == "passed"
        a_report(town, gate, places, rows=[wire.Tried(part="power", grade="fail", value="under-voltage")])
        machine.program("gate", f"cat {made}; exit 1")
        assert run(capsys, *fetch, code=1)["failed"] == [{"part": "power", "value": "under-voltage"}]
        assert b"under-voltage" in out.read_bytes()
        kept = out.read_bytes()
        made.write_bytes(kept.replace(b"under", b"above"))
        assert run(capsys, *fetch, code=2)["error"] == "E184"
        machine.program("gate", "echo usage; echo 'KeyUnusable: broker.key' >&2; exit 2")
        refused = run(capsys, *fetch, code=2)
        assert (refused["error"], "KeyUnusable: broker.key" in refused["message"]) == ("E215", True)
        machine.program("gate", "exit 1")
        assert run(capsys, *fetch, code=2)["message"].endswith("exit code 1")
        assert out.read_bytes() == kept, "what does not count replaces nothing"


def test_a_report_comes_by_the_broker_where_nobody_may_log_in(
    town: Province, here: tuple[Gate, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """From the whole gate at work, signed by its own key; it goes on deciding, and the acceptance takes the report."""
    gate, path = here
    monkeypatch.setattr("device.gate.SystemClock", partial(SystemClock, discipline=lambda: Discipline(synced=True, error_ms=5)))
    monkeypatch.setattr("device.diagnostics.SYSTEM_SLICE", town.folder / "none")
    out = town.folder / "report.json"
    run(capsys, "site", "change", gate.site, "--no-ssh")
    assert run(capsys, "gate", "report", gate.id, "--out", str(out), code=2)["error"] == "E214"
    fetch = ("gate", "report", gate.id, *desk(town), "--out", str(out))
    with at_gate(path) as (program, _):
        assert until(lambda: program.loop.tally.decisions)
        told = run(capsys, *fetch)
        assert (told["result"], told["failed"]) == ("passed", [])
        before = program.loop.tally.decisions
        assert until(lambda: program.loop.tally.decisions > before)
    report = wire.read(wire.SelftestReport, out.read_bytes())
    assert isinstance(report, wire.SelftestReport)
    rows = {row.part: row for row in report.rows}
    assert set(rows) > {"files", "decoders", "camera", "signals", "storage", "clock", "certificate", "broker"}
    assert rows["broker"].value == "the running gate is connected"
    assert [deed.previous for deed in report.deeds if deed.what == "start"] == ["first"]
    assert any(deed.what == "checkin" for deed in report.deeds)
    assert "restarts" in held(town, gate, out, capsys, code=1)["failed"]
    refused = run(capsys, *fetch, "--wait", "1", code=2)
    assert (refused["error"], "silent" in refused["message"]) == ("E215", True)


def test_the_report_of_a_busy_gate_is_carried_by_the_broker_with_its_newest_deeds(
    town: Province, here: tuple[Gate, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A day of decisions is longer than an order's end may be; the tries of an acceptance are the last of it."""
    gate, path = here
    monkeypatch.setattr("device.gate.SystemClock", partial(SystemClock, discipline=lambda: Discipline(synced=True, error_ms=5)))
    monkeypatch.setattr("device.diagnostics.SYSTEM_SLICE", town.folder / "none")
    out = town.folder / "report.json"
    with at_gate(path) as (program, _):
        newest = settle([program.journal.record(checkin(program.clock, number)) for number in range(1_500)])[-1]
        run(capsys, "gate", "report", gate.id, *desk(town), "--out", str(out))
    report = wire.read(wire.SelftestReport, out.read_bytes())
    assert isinstance(report, wire.SelftestReport)
    assert out.stat().st_size <= wire.DETAIL_LIMIT
    assert 500 < len(report.deeds) < 1_500
    assert newest in [deed.seq for deed in report.deeds]


def test_one_of_the_desks_papers_alone_is_none(town: Province, enrolled: tuple[Gate, Places], capsys: pytest.CaptureFixture[str]) -> None:
    """E133, before anything is asked."""
    gate, _ = enrolled
    assert run(capsys, "gate", "report", gate.id, *desk(town)[:2], code=2)["error"] == "E133"
