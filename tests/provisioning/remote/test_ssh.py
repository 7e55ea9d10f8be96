"""A technician's line to a gate, by the system's own ssh to a real server: one key, a gate known by its id, refusals in plain words."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from device.workbench.broker import LOOPBACK, free_port
from provisioning.common.errors import Refused
from provisioning.remote import ssh
from provisioning.remote.ssh import SshLine, checked_host, forgetting
from tests.provisioning.ssh_kit import server

GATE = "g0000000z"


@pytest.fixture
def line(tmp_path: Path) -> SshLine:
    """Of a technician with a key, in a folder whose name ssh would read as something else; nothing listens there yet."""
    if shutil.which("ssh-keygen") is None:
        pytest.skip("OpenSSH is not installed (Debian: openssh-client)")
    folder = tmp_path / "a %h folder"
    folder.mkdir()
    for name in ("lan", "minh"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
    return SshLine(GATE, LOOPBACK, folder / "lan", folder / "known_hosts", free_port())


def public(line: SshLine) -> str:
    """The other half of its key."""
    return line.key.with_name(f"{line.key.name}.pub").read_text().strip()


def test_a_command_is_run_there_and_its_end_is_passed_on(line: SshLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its own options, whatever they look like; an end of 255 that is the command's own, too."""
    with server(tmp_path / "server", public(line), monkeypatch, line.port) as gate:
        gate.program("gate", 'echo "$@"; echo wrong >&2; exit 7')
        assert ssh.ask(line, ["gate", "selftest", "--json", "-v"]) == (7, b"selftest --json -v\n", "wrong")
        code, _, complaint = ssh.ask(line, ["-V"])
        assert (code, "invalid option" in complaint) == (2, True), "it is the gate's shell that knows no such word"
        assert ssh.ask(line, ["exit", "255"])[0] == 255
        assert ssh.shell(line, ["exit", "3"]) == 3
    assert line.known.read_text().startswith(f"{GATE} ssh-ed25519 ")


def test_the_laptops_own_settings_and_keys_do_not_count(line: SshLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """E213 for another key than the card carries, although an agent holds the right one."""
    started = subprocess.run(["ssh-agent", "-s"], check=True, capture_output=True, text=True).stdout
    agent = dict(word.split("=", 1) for part in started.splitlines() for word in part.split(";")[:1] if "=" in word)
    for name, value in agent.items():
        monkeypatch.setenv(name, value)
    try:
        subprocess.run(["ssh-add", "-q", str(line.key)], check=True, capture_output=True)
        with server(tmp_path / "server", public(line), monkeypatch, line.port):
            assert ssh.ask(line, ["true"])[0] == 0
            with pytest.raises(Refused, match="E213") as refused:
                ssh.ask(replace(line, key=line.key.with_name("minh")), ["true"])
        assert "Permission denied (publickey)" in str(refused.value.facts["why"])
    finally:
        subprocess.run(["ssh-agent", "-k"], check=True, capture_output=True)


def test_another_machine_in_a_gates_place_is_refused_until_it_is_forgotten(
    line: SshLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """E212: what it is told would be told to a stranger. Forgotten is this gate alone; elsewhere the same gate is known again."""
    with server(tmp_path / "first", public(line), monkeypatch, line.port):
        assert ssh.ask(line, ["true"])[0] == 0
        assert ssh.ask(replace(line, gate="g1111111z", host="localhost"), ["true"])[0] == 0
    with server(tmp_path / "second", public(line), monkeypatch, line.port):
        for host in (LOOPBACK, "localhost"):
            with pytest.raises(Refused, match="E212"):
                ssh.ask(replace(line, host=host), ["true"])
        (step,) = forgetting(line.known, GATE)
        step.do()
        assert forgetting(line.known, GATE) == ()
        assert line.known.read_text().startswith("g1111111z ")
        assert line.known.stat().st_mode & 0o777 == 0o600
        assert ssh.ask(line, ["true"])[0] == 0


def test_a_gate_that_cannot_be_reached_is_told_with_the_reason(line: SshLine) -> None:
    """E211: nothing listens, or there is no such name."""
    for way in (line, replace(line, host="no-such-gate.invalid")):
        with pytest.raises(Refused, match="E211") as refused:
            ssh.shell(way, ["true"])
        assert way.host in str(refused.value.facts["why"])


def test_what_does_not_end_is_given_up(line: SshLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """E211, with the limit."""
    with server(tmp_path / "server", public(line), monkeypatch, line.port):
        with pytest.raises(Refused, match="E211") as refused:
            ssh.ask(line, ["timeout", "5", "tail", "-f", "/dev/null"], limit_s=1)
        assert refused.value.facts["why"] == "> 1 s"


def test_a_laptop_without_ssh_is_told_what_to_install(line: SshLine, monkeypatch: pytest.MonkeyPatch) -> None:
    """E210."""
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(Refused, match="E210"):
        ssh.shell(line, [])


def test_it_logs_in_as_the_technician_at_the_standard_port(line: SshLine) -> None:
    """As the first boot sets a gate up."""
    words = SshLine(GATE, f"{GATE}.local", line.key, line.known).command(Path("log"), [])
    assert words[-3:] == ["-p", "22", f"tech@{GATE}.local"]


def test_a_file_of_known_gates_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """E130; where there is none, none is known."""
    assert forgetting(tmp_path / "known_hosts", GATE) == ()
    with pytest.raises(Refused, match="E130"):
        forgetting(tmp_path, GATE)


@pytest.mark.parametrize("host", ["-oProxyCommand=x", "", "a b", "x@y", "é"])
def test_a_host_is_a_name_or_an_address(host: str) -> None:
    """E133 for what ssh might take for something else."""
    for good in ("g0000000z.local", "10.0.0.7", "fe80::1%eth0"):
        assert checked_host(good) == good
    with pytest.raises(Refused, match="E133"):
        checked_host(host)
