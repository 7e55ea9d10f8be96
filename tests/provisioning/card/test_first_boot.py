"""The first boot's program on a made-up machine: every step cut off everywhere, secrets gone first, a report without any.

The machine's commands are pretended here; `tests/lab/test_stock_card.py` boots a
stock card with the real ones.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import shutil
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from provisioning.card import first_boot as shipped

PASSWORD = b"SECRET-WIFI"
ISSUED = "2026-12-01T06:00:00.000Z"


class PlugPulledError(BaseException):
    """No code runs after it."""


class Machine:
    """A stock card in a folder, and what its commands would do."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root, self.card = root, root / "boot/firmware/gate"
        self.packages: dict[str, str] = {}
        self.commands: list[str] = []
        self.units: dict[str, str] = {}
        self.failing: set[str] = set()
        self.cut_at, self.deeds = 0, 0
        self._monkeypatch = monkeypatch
        for name in (
            "etc/netplan",
            "etc/ssh",
            "var/lib/cloud/instances/rpi-imager-1",
            "var/lib/cloud/instances/gate-x",
            "var/lib/systemd/rfkill",
        ):
            (root / name).mkdir(parents=True)
        (root / "var/lib/cloud/instance").symlink_to("instances/gate-x")
        (root / "var/lib/cloud/instances/rpi-imager-1/user-data.txt").write_bytes(b"OLD-SECRET")
        (root / "etc/netplan/50-cloud-init.yaml").write_bytes(b"OLD-SECRET")
        (root / "var/lib/systemd/rfkill/platform:wlan").write_text("1\n")
        (root / "etc/hosts").write_text("127.0.0.1\tlocalhost\n127.0.1.1\traspberrypi\n")
        (root / "etc/hostname").write_text("raspberrypi\n")
        self.light = root / "sys/class/leds/ACT"
        self.light.mkdir(parents=True)
        self.power_on()
        self.lights: list[str] = []

    def written(self, *, country: str | None = "VN", keys: Sequence[str] = ("ssh-ed25519 AAAA tech",)) -> None:
        """As `card write` leaves it."""
        told = {"gate": "g1", "timezone": "Asia/Ho_Chi_Minh", "country": country, "ssh_keys": list(keys), "packages": {"gate": "0.2.0"}}
        (self.card / "packages").mkdir(parents=True)
        (self.card / "packages" / "gate.deb").write_bytes(b"a package")
        digest = hashlib.sha256(b"a package").hexdigest()
        (self.card / "packages" / shipped.SUMS).write_text(f"{digest}  gate.deb\n")
        (self.card / "first-boot.json").write_text(json.dumps(told))
        (self.card / "first_boot.py").write_bytes(Path(shipped.__file__).read_bytes())
        (self.card / "gate.nmconnection").write_bytes(b"[wifi-security]\npsk=" + PASSWORD + b"\n")
        names = ("first-boot.json", "first_boot.py", f"packages/{shipped.SUMS}")
        setup = {name: hashlib.sha256((self.card / name).read_bytes()).hexdigest() for name in names}
        (self.card / "bundle.json").write_text(json.dumps({"issued": ISSUED, "setup": setup}))

    def power_on(self) -> None:
        """What is in memory is gone, and the light is as the kernel has it."""
        shutil.rmtree(self.root / "run", ignore_errors=True)
        for name, text in {"trigger": "none [mmc0] timer", "delay_on": "", "delay_off": ""}.items():
            (self.light / name).write_text(text)

    def boot(self) -> ModuleType:
        """The program anew, as at every boot."""
        self._monkeypatch.setenv("GATE_ROOT", str(self.root))
        self._monkeypatch.setenv("GATE_LOOK_S", "0")
        spec = importlib.util.spec_from_file_location("first_boot_on_a_machine", shipped.__file__)
        assert spec is not None
        assert spec.loader is not None
        program = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(program)
        for name in ("put", "shred"):
            self._monkeypatch.setattr(program, name, self._counted(getattr(program, name)))
        self._monkeypatch.setattr(program, "call", self._counted(self._call))
        self._monkeypatch.setattr(program, "say_into", self._counted(lambda _, command: self._call(*command)))
        self._monkeypatch.setattr(program, "said", self._said)
        return program

    def run(self, *, powered: bool = False) -> int:
        """One boot, to its end; ``powered``: systemd starts it again without one."""
        if not powered:
            self.power_on()
        return int(self.boot().main(["run"]))

    def secrets(self) -> list[str]:
        """Where the password stands."""
        return sorted(str(one.relative_to(self.root)) for one in self.root.rglob("*") if one.is_file() and PASSWORD in one.read_bytes())

    def report(self) -> str:
        """What a laptop reads."""
        return (self.card / "first-boot.txt").read_text()

    def _counted(self, real: Any) -> Any:  # noqa: ANN401 - whatever it is
        def deed(*words: Any, **named: Any) -> Any:  # noqa: ANN401 - the same
            self.deeds += 1
            if self.deeds == self.cut_at:
                raise PlugPulledError
            return real(*words, **named)

        return deed

    def _call(self, *command: str) -> bool:
        words = " ".join(command)
        self.commands.append(words)
        if (self.light / "delay_on").read_text():
            self.lights.append(f"{(self.light / 'delay_on').read_text()}/{(self.light / 'delay_off').read_text()}")
        if any(words.startswith(one) for one in self.failing):
            return False
        if command[0] == "apt-get" and "gate=0.2.0" in command:
            assert (self.card / "packages/gate.deb").read_bytes() == b"a package"
            self.packages["gate"] = "0.2.0"
        if words == "ssh-keygen -A":
            (self.root / "etc/ssh/ssh_host_ed25519_key").write_text("key")
        return command[0] != "id" or (command[1] == "tech" and any("useradd" in one for one in self.commands))

    def _said(self, *command: str) -> str:
        if command[0] == "dpkg-query":
            return f"installed {self.packages[command[-1]]}" if command[-1] in self.packages else ""
        if command[0] == "systemctl":
            if command[-1] == "gate-enrol.service" and any("start --no-block gate-enrol" in one for one in self.commands):
                # It gets its certificate between two looks.
                (self.card / "bundle.json").unlink(missing_ok=True)
                (self.root / "etc/gate").mkdir(exist_ok=True)
                (self.root / "etc/gate/gate.toml").write_text("")
                return "active"
            return "inactive"
        return "wlan0:wifi:connected:gate" if command[0] == "nmcli" else "not enrolled yet: no route"


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A card that was written."""
    one = Machine(tmp_path / "root", monkeypatch)
    one.written()
    return one


def test_a_stock_card_becomes_a_gate(machine: Machine) -> None:
    """Name, radio, login, packages, enrolment; then nothing is left but the report and the program."""
    assert machine.run() == 0
    assert sorted(one.name for one in machine.card.iterdir()) == ["first-boot.txt", "first_boot.py"]
    assert (machine.root / "etc/hostname").read_text() == "g1\n"
    assert (machine.root / "etc/hosts").read_text() == "127.0.0.1\tlocalhost\n127.0.1.1\tg1\n"
    assert (machine.root / "var/lib/systemd/rfkill/platform:wlan").read_text() == "0\n"
    assert (machine.root / "home/tech/.ssh/authorized_keys").read_text() == "ssh-ed25519 AAAA tech\n"
    assert "PasswordAuthentication no" in (machine.root / "etc/ssh/sshd_config.d/10-gate.conf").read_text()
    assert (machine.root / "etc/cloud/cloud-init.disabled").exists()
    for command in ("nmcli radio wifi on", "systemctl enable ssh.service", "systemctl enable gate-enrol.service"):
        assert command in machine.commands
    assert (machine.light / "trigger").read_text() == "mmc0"
    assert set(machine.lights) == {"500/500", "100/100", "100/1900"}
    assert "gate 0.2.0" in machine.report()
    assert "wlan0 wifi connected gate" in machine.report()
    # Another boot has nothing to do.
    machine.commands.clear()
    assert machine.run(powered=True) == 0
    assert machine.commands == []


def test_the_password_is_on_the_root_file_system_before_it_leaves_the_card(machine: Machine) -> None:
    """Wherever the plug is pulled it stands somewhere; and no earlier owner's secret stays."""
    keyfile, card = "etc/NetworkManager/system-connections/gate.nmconnection", "boot/firmware/gate/gate.nmconnection"
    assert machine.secrets() == [card]
    cut = 0
    while card in machine.secrets():
        cut += 1
        machine.cut_at, machine.deeds = cut, 0
        with pytest.raises(PlugPulledError):
            machine.run()
        assert machine.secrets() in ([card], [keyfile, card], [card, keyfile], [keyfile])
        assert machine.secrets()
    machine.cut_at = 0
    assert machine.run() == 0
    assert machine.secrets() == [keyfile]
    assert (machine.root / keyfile).stat().st_mode & 0o777 == 0o600
    assert not [one for one in machine.root.rglob("*") if one.is_file() and b"OLD-SECRET" in one.read_bytes()]


def test_a_plug_pulled_anywhere_is_mended_by_the_next_boot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At every file that is written and every command that is run; once, and again at the boot after it."""
    whole = Machine(tmp_path / "whole", monkeypatch)
    whole.written()
    assert whole.run() == 0
    assert whole.deeds > 30
    for cut in range(1, whole.deeds + 1):
        machine = Machine(tmp_path / f"cut{cut}", monkeypatch)
        machine.written()
        for where in (cut, max(1, cut // 2)):
            machine.cut_at, machine.deeds = where, 0
            if (machine.card / "first-boot.json").exists():
                with pytest.raises(PlugPulledError):
                    machine.run()
        machine.cut_at = 0
        assert machine.run() == 0
        assert sorted(one.name for one in machine.card.iterdir()) == ["first-boot.txt", "first_boot.py"]
        assert machine.packages == {"gate": "0.2.0"}
        assert machine.secrets() == ["etc/NetworkManager/system-connections/gate.nmconnection"]
        assert (machine.light / "trigger").read_text() == "mmc0"


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("package", "packages/gate.deb"),
        ("list", "packages/SHA256SUMS"),
        ("settings", "first-boot.json"),
        ("apt", "gate: "),
        ("radio", "nmcli radio wifi on"),
    ],
)
def test_what_fails_is_told_by_light_and_report_and_tried_again(machine: Machine, fault: str, words: str) -> None:
    """Damage on the card, and what is asked of the machine; never the password."""
    if fault == "package":
        (machine.card / "packages/gate.deb").write_bytes(b"a packagf")
    elif fault == "list":
        (machine.card / "packages" / shipped.SUMS).write_text("")
    elif fault == "settings":
        (machine.card / "first-boot.json").write_text((machine.card / "first-boot.json").read_text().replace("g1", "g2"))
    else:
        machine.failing.add({"apt": "apt-get", "radio": "nmcli radio"}[fault])
    assert machine.run() == 1
    assert "FAILED, tried again in 30 s" in machine.report()
    assert words in machine.report()
    assert PASSWORD.decode() not in machine.report()
    assert ((machine.light / "delay_on").read_text(), (machine.light / "delay_off").read_text()) == ("1900", "100")
    assert (machine.card / "first-boot.json").exists()
    if machine.failing:
        machine.failing.clear()
        assert machine.run(powered=True) == 0
        assert (machine.light / "trigger").read_text() == "mmc0"


def test_a_clock_before_the_cards_day_is_set_to_it_and_a_later_one_is_left(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a time server no certificate would be valid yet."""
    issued = int(datetime.fromisoformat(ISSUED).timestamp())
    for now, sets in ((issued - 1, True), (issued + 1, False)):
        machine.commands.clear()
        program = machine.boot()
        monkeypatch.setattr(program.time, "time", lambda now=now: now)
        assert isinstance(program.FirstBoot().set_clock(), str)
        assert (f"date --utc --set @{issued}" in machine.commands) is sets
        assert datetime.fromtimestamp(issued, UTC).isoformat().startswith("2026-12-01T06:00:00")


def test_a_site_that_forbids_it_has_nobody_logging_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No key: sshd is switched off, also where Imager had switched it on; and a site without a radio leaves it blocked."""
    machine = Machine(tmp_path, monkeypatch)
    machine.written(country=None, keys=())
    assert machine.run() == 0
    assert "systemctl disable --now ssh.service ssh.socket" in machine.commands
    assert not any(command.startswith(("useradd", "systemctl enable ssh", "nmcli radio")) for command in machine.commands)
    assert not (tmp_path / "home").exists()


def test_cloud_init_puts_the_unit_where_it_stays(machine: Machine) -> None:
    """At every boot, and only as long as something is left to do. The unit runs what is on the card."""
    units = machine.root / "etc/systemd/system"
    for _ in range(2):
        assert machine.boot().main(["begin"]) == 0
        assert (units / shipped.UNIT).read_text() == shipped.UNIT_TEXT
        assert (units / "multi-user.target.wants" / shipped.UNIT).resolve() == (units / shipped.UNIT).resolve()
    assert machine.commands[-1] == f"systemctl start --no-block {shipped.UNIT}"
    assert machine.run() == 0
    machine.commands.clear()
    assert machine.boot().main(["begin"]) == 0
    assert machine.commands == []


def test_the_technicians_guide_has_each_light() -> None:
    """So many rows as there are rhythms, and one for the light as it always is; each rhythm's row says how long it is lit and dark."""
    guide = (Path(shipped.__file__).parents[1] / "guides" / "technician.md").read_text(encoding="utf-8")
    section = guide.partition("## Đèn xanh trên Pi")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| ") and "·" in line][1:]
    assert len(rows) == len(shipped.LIGHTS) + 1
    for row, (lit_ms, dark_ms) in zip(rows, shipped.LIGHTS.values(), strict=False):
        assert f"| {lit_ms / 1000:g} / {dark_ms / 1000:g} s |" in row.replace(",", ".")


def test_it_needs_nothing_but_the_standard_library_and_says_how_it_is_used(capsys: pytest.CaptureFixture[str]) -> None:
    """It runs before anything is installed."""
    assert shipped.main(["other"]) == 2
    assert "first_boot.py begin" in capsys.readouterr().err
    names = {
        line.split()[1].split(".")[0] for line in Path(shipped.__file__).read_text().splitlines() if line.startswith(("import ", "from "))
    }
    assert names <= set(sys.stdlib_module_names)
