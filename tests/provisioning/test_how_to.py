"""The how-to is a program: every command in it is run on a gate at work."""

from __future__ import annotations

from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Final

import pytest

import provisioning
from device.edges.machine.clock import Discipline, SystemClock
from device.workbench.broker import LOOPBACK
from provisioning.cli import main
from provisioning.registry.tables import Gate, GateState
from provisioning.registry.technicians import technician_key
from tests.provisioning.card.pi_card import a_set, pi_card
from tests.provisioning.enrolment_kit import Province, run
from tests.provisioning.gate_kit import POLICY, WORKER, at_gate
from tests.provisioning.ssh_kit import SSHD, server
from tests.provisioning.test_town import commands

LAST: Final = {"card": 1, "revoke": 2, "decommission": 3}
AT_WORK: Final = {"config", "order", "gate report"}
"""What is asked of a gate that runs."""


def logged_in(town: Province, words: list[str], gate: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A login goes to a server in the gate's place, where there is one to be had."""
    if SSHD is None:
        return
    mark = words.index("--")
    public, steps = technician_key(town.registry, town.folder / "technicians", "lan")
    for step in steps:
        step.do()
    with server(town.folder / "server", public, monkeypatch) as machine:
        machine.program(words[mark + 1], '[ "$*" = "' + " ".join(words[mark + 2 :]) + '" ]')
        way = ["--host", LOOPBACK, "--port", str(machine.port), "--technician", "lan"]
        assert main([*words[:2], gate, *way, *words[mark:]]) == 0, words


def test_every_command_of_the_how_to_works(
    town: Province, here: tuple[Gate, Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it stands there, on a gate at work; those that take the gate away come last."""
    (gate, path), tmp_path = here, town.folder
    monkeypatch.setattr("device.diagnostics.SYSTEM_SLICE", tmp_path / "none")
    monkeypatch.setattr("device.gate.SystemClock", partial(SystemClock, discipline=lambda: Discipline(synced=True, error_ms=5)))
    monkeypatch.chdir(tmp_path)
    papers = town.papers("desk")
    a_set(tmp_path / "packages" / "arm64")
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
        if words[:2] == ["gate", "shell"]:
            logged_in(town, words, gate.id, monkeypatch)
            continue
        with at_gate(path) if AT_WORK & {words[0], " ".join(words[:2])} else nullcontext():
            told = run(capsys, *(meant.get(word, word) for word in words))
        if words[0] == "config":
            assert [one["state"] for one in told["gates"]] == ["applied"]
        if words[0] == "order":
            assert told["state"] == "succeeded", told
    assert town.registry.gate(gate.id).state == GateState.DECOMMISSIONED
