"""The whole way by commands alone: from an empty folder to a gate that has enrolled, with real brokers from the written files."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import stat
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest
import typer

import provisioning
from device.workbench.broker import LOOPBACK, MosquittoProcess, free_port
from provisioning.cli import main, program
from provisioning.desk import Desk, Settings
from tests.provisioning.card.pi_card import a_set, pi_card
from tests.provisioning.enrolment_kit import PHRASE


@pytest.mark.usefixtures("slow_passphrase")
def test_from_an_empty_folder_to_an_enrolled_gate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each step is one command, as the handbook has it."""
    for name, value in {"HOME": str(tmp_path / "home"), "PASSPHRASE": PHRASE, "LANG": "en"}.items():
        monkeypatch.setenv(f"GATE_PROVISION_{name}", value)
    gates_port, enrol_port = free_port(), free_port()

    def run(*words: str) -> dict[str, str]:
        capsys.readouterr()
        assert main([*words, "--json", "--yes"]) == 0, capsys.readouterr().err
        told: dict[str, str] = json.loads(capsys.readouterr().out)
        return told

    run("authority", "init")
    etc, data = tmp_path / "mosquitto", tmp_path / "data"
    data.mkdir()
    run("broker", "mosquitto", "--host", LOOPBACK, "--out", str(etc), "--data", str(data))
    assert stat.S_IMODE((etc / "server.key.pem").stat().st_mode) == 0o600
    run("authority", "service", "enrolment", "--out", str(tmp_path))
    words = ("--name", "Trường Hoa Phượng", "--kind", "school", "--commune", "23575", "--contact", "Văn phòng", "--hotline", "0269 000 000")
    more = ("--purpose", "đón học sinh", "--legal-basis", "nội quy", "--broker", LOOPBACK, "--port", str(gates_port))
    site = run("site", "add", *words, *more)["id"]
    gate = run("gate", "add", "--site", site)["id"]
    card = pi_card(tmp_path / "bootfs")
    a_set(tmp_path / "home" / "packages" / "arm64")
    run("card", "write", "--gate", gate, "--boot", str(card), "--enrol-port", str(enrol_port))

    brokers = []
    for name, port, standard in (("gates", gates_port, "8883"), ("enrol", enrol_port, "8884")):
        (tmp_path / name).mkdir()
        settings = (etc / f"{name}.conf").read_text().replace(f"listener {standard}", f"listener {port} {LOOPBACK}")
        brokers.append(MosquittoProcess(tmp_path / name, port, settings))
    serve = [
        *(sys.executable, "-m", "provisioning.cli", "enrol", "serve", "--host", LOOPBACK, "--port", str(enrol_port)),
        *("--cert", str(tmp_path / "enrolment.cert.pem"), "--key", str(tmp_path / "enrolment.key.pem")),
    ]
    try:
        for broker in brokers:
            broker.start()
        with subprocess.Popen(serve, env=os.environ, stderr=subprocess.PIPE, text=True) as worker:
            try:
                places = [f"--{name}={tmp_path / 'pi' / name}" for name in ("etc", "store")]
                command = [sys.executable, "-m", "device.cli", "enrol", f"--card={card / 'gate'}", *places, "--wait=30"]
                done = subprocess.run(command, capture_output=True, text=True, check=False)
                assert done.returncode == 0, done.stderr
                assert done.stdout == f"{gate}: enrolled\n"
            finally:
                worker.send_signal(signal.SIGTERM)
                assert worker.wait(15) == 0
                assert worker.stderr is not None
                assert "Waiting for new gates" in worker.stderr.read()
    finally:
        for broker in brokers:
            broker.stop()
    (shown,) = [row for row in json.loads(_list(capsys)) if row["id"] == gate]
    assert shown["state"] == "enrolled"


GUIDE: Final = (Path(provisioning.__file__).parent / "README.md").read_text(encoding="utf-8")
ELSEWHERE: Final = {
    *("enrol", "list", "badge revoke", "acceptance", "gate shell", "gate report", "gate in-service", "authority rotate"),
    *("config", "order", "packages"),
}
"""What needs a gate or a broker that runs: `test_publishing`, `test_acceptance`, `test_rotation`, `test_remote`, `test_visits`, and
above; or an archive of packages: `tests/lab`."""


def commands(text: str) -> list[list[str]]:
    """The words of each command in a document, without the program's name."""
    lines = re.findall(r"(?m)^gate-provision (?:.*\\\n)*.*$", text)
    return [shlex.split(line.replace("\\\n", " "), comments=True)[1:] for line in lines]


COMMANDS: Final = commands(GUIDE)


def test_every_command_of_the_guide_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """In one order in which a province would run them, with the ids that came; the worker is run above, lists in `test_publishing`."""
    for name, value in {"HOME": str(tmp_path / "home"), "PASSPHRASE": PHRASE}.items():
        monkeypatch.setenv(f"GATE_PROVISION_{name}", value)
    monkeypatch.chdir(tmp_path)
    assert {tuple(words[:2]) for words in COMMANDS} >= {("site", "add"), ("gate", "add"), ("card", "write"), ("enrol", "serve")}
    ids = {"MÃ_ĐỊA_ĐIỂM": "", "MÃ_CỔNG": ""}
    places = {"/media/bootfs": str(pi_card(tmp_path / "bootfs")), "sites.csv": str(tmp_path / "sites.csv")}
    (tmp_path / "home").mkdir(mode=0o700)
    a_set(tmp_path / "home" / "packages" / "arm64")
    (tmp_path / "staff.txt").write_text("Nguyễn Văn Mẫu\nTrần Thị Mẫu\n", encoding="utf-8")
    first = [words for words in COMMANDS if words[0] == "authority" or words[:2] == ["broker", "mosquitto"]]
    first = [words for words in first if " ".join(words[:2]) not in ELSEWHERE]
    for words in [
        *first,
        *(words for words in COMMANDS if words not in first and not ELSEWHERE & {words[0], " ".join(words[:2])}),
    ]:
        capsys.readouterr()
        if words[:2] == ["site", "import"]:
            assert main(["site", "export", "--form", "csv", "--out", places["sites.csv"]]) == 0
            capsys.readouterr()
        assert main([*({**ids, **places}.get(word, word) for word in words), "--yes", "--json"]) == 0, words
        told = capsys.readouterr().out
        if words[:2] in (["site", "add"], ["gate", "add"]):
            ids["MÃ_ĐỊA_ĐIỂM" if words[0] == "site" else "MÃ_CỔNG"] = json.loads(told)["id"]


def _list(capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert main(["gate", "list", "--json"]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("name", ["g4k7m2xp9", "claim-x", "a b", "ü"])
def test_a_program_is_not_called_like_a_gate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """Its certificate would speak for one."""
    for key, value in {"HOME": str(tmp_path / "home"), "PASSPHRASE": PHRASE}.items():
        monkeypatch.setenv(f"GATE_PROVISION_{key}", value)
    assert main(["authority", "init", "--yes"]) == 0
    assert main(["authority", "service", name, "--out", str(tmp_path), "--yes"]) == 2
    assert "E147" in capsys.readouterr().err


GUIDES: Final = sorted((Path(provisioning.__file__).parent / "guides").glob("*.md"))
VERB: Final = re.compile(r"`((?:gate-provision )?[a-z-]+(?: [a-z-]+)?)(?: --[a-z` -]+)?`")


def test_the_guides_name_only_verbs_that_there_are() -> None:
    """Whoever reads a handbook types what stands in it."""
    desk = Desk(Settings(Path()))
    group = typer.main.get_group(program(desk))
    verbs = {name: set(getattr(command, "commands", {})) for name, command in group.commands.items()}
    known = set(verbs) | {f"{name} {one}" for name, below in verbs.items() for one in below}
    for guide in GUIDES:
        for word in VERB.findall(guide.read_text(encoding="utf-8")):
            first = word.removeprefix("gate-provision ").split()
            if first[0] in verbs and first[0] != "gate":
                assert " ".join(first) in known, f"{guide.name}: {word}"
    assert len(GUIDES) == 4
