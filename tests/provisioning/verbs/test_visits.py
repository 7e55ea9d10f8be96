"""What a technician does in a gate that is up, at the command line, with a real SSH server in its place."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest

from device.workbench.broker import LOOPBACK
from provisioning.cli import main
from provisioning.registry.registry import Registry
from provisioning.registry.technicians import technician_key
from tests.provisioning.commands import told
from tests.provisioning.registry.rows import a_gate, a_site
from tests.provisioning.ssh_kit import server


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


def test_a_gate_is_looked_for_under_its_own_name(known: Known, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """E211 names it; nobody answers to it here."""
    monkeypatch.setattr("provisioning.remote.ssh.CONNECT_S", 1)
    refused = told(capsys, "gate", "shell", known.gate, "--technician", "lan", "--lang", "en", code=2)
    assert refused["error"] == "E211"
    assert f"cannot be reached at {known.gate}.local" in refused["message"]
