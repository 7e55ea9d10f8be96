"""A card from the shop becomes a gate in service: `card write`, power cuts, enrolment, acceptance, all with the real programs.

What is not a Pi's here stands in `tests/lab/README.md`, and the hardware checklist asks a person for it.
"""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
import pytest
from PIL import Image
from pyzbar.pyzbar import ZBarSymbol, decode

from device.workbench.scenes import Pose, empty_scene, scene
from tests.lab.stock_card import IMAGER_SECRETS, Form, StockCard, StockMachine, cut
from tests.lab.stock_province import FRAMES, WIFI_PASSWORD, Town
from tests.waiting import until

pytestmark = [pytest.mark.stock, pytest.mark.timeout(3600)]

DONE: Final = "enrol at the province: "
INSTALL_LIMIT_S: Final = 1200.0
"""Beside other suites an emulated processor gets what they leave."""
LIMIT_S: Final = 600.0
"""For everything else."""
SIZE: Final = (640, 480)


@pytest.fixture(scope="module")
def town(laboratory: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:  # noqa: ARG001 - root is needed
    """The province at work, with the packages for stock cards."""
    one = Town(tmp_path_factory.mktemp("town"))
    one.make_packages()
    with one.running():
        yield one


def shown(machine: StockMachine, name: str, picture: np.typing.NDArray[np.uint8]) -> None:
    """Something comes into the camera's view, whole."""
    out = io.BytesIO()
    Image.fromarray(picture).save(out, "png")
    encoded = base64.b64encode(out.getvalue()).decode()
    machine.said(f": >/tmp/{name}")
    for start in range(0, len(encoded), 40_000):
        machine.said(f"printf %s '{encoded[start : start + 40_000]}' >>/tmp/{name}")
    machine.said(f"base64 -d </tmp/{name} >{FRAMES}/.{name} && chmod 644 {FRAMES}/.{name} && mv {FRAMES}/.{name} {FRAMES}/{name}")


def held_up(machine: StockMachine, code: bytes) -> None:
    """One code before the camera until the gate has decided, and away again."""
    before = decisions(machine)
    shown(machine, "5.png", scene([code], Pose(px_per_module=4), np.random.default_rng(5), SIZE))
    until(lambda: decisions(machine) > before, 120, machine.log)
    # A person who passed is "just scanned" for ten seconds.
    machine.said(f"rm {FRAMES}/5.png; sleep 12")


def decisions(machine: StockMachine) -> int:
    """How many the running gate has taken."""
    told = json.loads(machine.run("gate status --json 2>/dev/null || :")[1] or "{}")
    return int(told.get("decisions", {}).get("decisions", 0))


def codes_of(page: Path) -> list[bytes]:
    """The four codes of a printed page, in reading order, as a reader sees them."""
    with Image.open(page) as image:
        found = decode(image.convert("L"), symbols=[ZBarSymbol.QRCODE])
    assert len(found) == 4
    return [one.data for one in sorted(found, key=lambda one: (one.rect.top > image.height // 2 + 100, one.rect.left))]


def in_service(machine: StockMachine) -> None:
    """A started gate that sees, knows the time and speaks with its broker."""
    machine.wait('gate status --json | grep -q \'"phase": *"online"\'', LIMIT_S)


def no_secret_stands(card: StockCard, *more: bytes) -> None:
    """On the raw disks, removed files and ext4's journal included: the password once, where NetworkManager needs it.

    Imager's own are overwritten by `card write` where they lie; here a laptop's mount is mtools, which writes files elsewhere.
    """
    assert card.holds(WIFI_PASSWORD.encode()) == {"root": 1, "boot": 0}
    for secret in more:
        assert card.holds(secret)["boot"] == 0
    with card.mounted() as boot:
        left = [path.name for path in boot.rglob("*") if path.is_file() and any(secret in path.read_bytes() for secret in IMAGER_SECRETS)]
    assert left == []
    for secret in IMAGER_SECRETS:
        assert card.holds(secret)["root"] == 0
    assert "PRIVATE" not in card.text("gate/claim.key.pem")


def claim_key(card: StockCard) -> bytes:
    """A line of it that stands nowhere else."""
    return card.text("gate/claim.key.pem").splitlines()[2].encode()


def test_a_card_from_the_shop_is_accepted_into_service(town: Town, tmp_path: Path) -> None:
    """Customised by Imager, on a Wi-Fi site, the plug pulled in the installation; then everything that a technician does."""
    site = town.site("--network", "wifi", "--ssid", "Xưởng gỗ")
    gate = town.gate(site)
    card = StockCard(tmp_path / "card", "customised")
    town.write(card, gate, "--technician", "lan")
    key = claim_key(card)
    with StockMachine(card) as machine:
        cut(machine, lambda: "light: install" in machine.log(), LIMIT_S)
        assert WIFI_PASSWORD not in card.text("gate/gate.nmconnection")
        machine.start()
        took = {"installed": machine.wait_for("install the software: gate", INSTALL_LIMIT_S), "enrolled": machine.wait_for(DONE, LIMIT_S)}
        print(took)  # noqa: T201 - the figure for the record
        machine.wait("test ! -e /boot/firmware/gate/first-boot.json", LIMIT_S)
        settled(machine, gate)
        accepted(town, machine, gate, site, tmp_path)
        machine.off()
    assert "the gate is enrolled and runs" in card.text("gate/first-boot.txt")
    assert WIFI_PASSWORD not in card.text("gate/first-boot.txt")
    no_secret_stands(card, key)


def settled(machine: StockMachine, gate: str) -> None:
    """What the first boot was to set up is so: name, radio, country, login, limits, light, nothing failed."""
    assert machine.said("hostname") == gate
    assert machine.said("nmcli -g WIFI radio") == "enabled"
    assert "VN" in machine.said("iw reg get")
    assert "wpa-psk" in machine.said("nmcli -s connection show gate")
    sshd = machine.said("systemctl is-active ssh.service; sshd -T | grep -E '^(passwordauthentication|allowusers|permitrootlogin)'")
    assert set(sshd.splitlines()) == {"active", "passwordauthentication no", "permitrootlogin no", "allowusers tech"}
    assert machine.run("id lan")[0] != 0
    assert machine.said("cat '/sys/class/leds/input0::scrolllock/trigger'").count("[timer]") == 0
    assert machine.said("sysctl -n net.ipv4.tcp_mtu_probing") == "1"
    assert machine.said("cat /sys/fs/cgroup/system.slice/gate.service/memory.max") == str(224 << 20)
    machine.wait("systemctl is-active gate.service gate-eye.service", LIMIT_S)
    assert machine.said("systemctl --failed --no-legend") == ""


def accepted(town: Town, machine: StockMachine, gate: str, site: str, folder: Path) -> None:
    """Test codes at three distances and three that are refused, two pulled plugs, one stall, report, questions, in service."""
    town.desk("targets", site, "--out", str(folder))
    codes = codes_of(folder / f"{site}-targets.png")
    noise = np.random.default_rng(7)
    for name in ("1.png", "2.png"):
        shown(machine, name, empty_scene(noise, SIZE))
    in_service(machine)
    town.desk("list", "publish", "--site", site, *town.papers("desk"))
    machine.wait('gate status --json | grep -q \'"clock": *"synced"\'', LIMIT_S)
    for code in (codes[0], codes[0], codes[0], *codes[1:]):
        held_up(machine, code)
    for _ in range(2):
        machine.pull()
        machine.start()
        in_service(machine)
    machine.said("systemctl kill -s STOP gate.service")
    machine.wait("test $(systemctl show --value -p NRestarts gate.service) -ge 1", LIMIT_S)
    in_service(machine)
    address = machine.said("ip -4 -br addr show eth0").split()[2].partition("/")[0]
    login, order = folder / "report.json", folder / "report-by-order.json"
    town.desk("gate", "report", gate, "--host", address, "--technician", "lan", "--out", str(login))
    town.desk("gate", "report", gate, *town.papers("desk"), "--out", str(order))
    assert json.loads(order.read_text())["deeds"] == json.loads(login.read_text())["deeds"]
    asked = ("green", "red", "amber", "blue", "white", "buzzer", "button", "reach", "papers")
    (folder / "answers.json").write_text(json.dumps(dict.fromkeys(asked, True)))
    words_ = (
        "--report",
        str(folder / "report.json"),
        "--answers",
        str(folder / "answers.json"),
        "--by",
        "Lê Văn Thử",
        "--out",
        str(folder),
    )
    assert town.desk("acceptance", gate, *words_)["state"] == "accepted"
    assert town.desk("gate", "in-service", gate)


@pytest.mark.soak
@pytest.mark.parametrize("form", ["skipped", "customised"])
@pytest.mark.parametrize("network", ["broker", "nothing", "address"])
def test_every_card_on_every_network(town: Town, tmp_path: Path, form: Form, network: str) -> None:
    """With the broker alone, with no cable at all, and with an address of its own."""
    site = town.site(*(("--gateway", "192.168.77.1", "--dns", "192.168.77.1") if network == "address" else ()))
    gate = town.gate(site)
    card = StockCard(tmp_path / "card", form)
    town.write(card, gate, *(("--address", "192.168.77.20/24") if network == "address" else ()))
    with StockMachine(card, tap=None if network == "nothing" else "stock0") as machine:
        machine.start()
        machine.wait_for("install the software: gate", INSTALL_LIMIT_S)
        if network == "nothing":
            machine.wait("grep -q 'waiting: .*not enrolled yet' /boot/firmware/gate/first-boot.txt", LIMIT_S)
            assert machine.said("cat '/sys/class/leds/input0::scrolllock/delay_on'") == "100"
            machine.off()
            machine.tap = "stock0"
            machine.start()
        machine.wait_for(DONE, LIMIT_S)
        if network == "address":
            assert "192.168.77.20/24" in machine.said("ip -br addr show eth0")
        machine.off()
    for secret in IMAGER_SECRETS:
        assert card.holds(secret)["root"] == 0


STEPS: Final = (
    *("bootcmd", "light: setup", "take secrets off the card: ok", "clock: ", "name: ", "Wi-Fi: ", "login: ", "light: install"),
    *("install the software: gate", "Starting gate-enrol.service", DONE),
)


def _said(machine: StockMachine, step: str) -> bool:
    return step in machine.log() or DONE in machine.log()


@pytest.mark.soak
def test_the_plug_is_pulled_at_every_step_of_one_first_boot(town: Town, tmp_path: Path) -> None:
    """One boot after the other, each cut a step later; the last one goes through."""
    gate = town.gate(town.site("--network", "wifi", "--ssid", "Xưởng gỗ"))
    card = StockCard(tmp_path / "card")
    town.write(card, gate)
    key = claim_key(card)
    with StockMachine(card) as machine:
        for step in STEPS:
            cut(machine, partial(_said, machine, step), INSTALL_LIMIT_S)
            assert card.holds(WIFI_PASSWORD.encode()) != {"root": 0, "boot": 0}
        machine.start()
        machine.wait("systemctl is-active gate.service gate-eye.service && test ! -e /boot/firmware/gate/first-boot.json", LIMIT_S)
        machine.off()
    no_secret_stands(card, key)


@pytest.mark.soak
def test_a_card_that_has_booted_before_is_written_again(town: Town, tmp_path: Path) -> None:
    """First as somebody's own Pi, customised by Imager; then as a gate; then as another gate."""
    card = StockCard(tmp_path / "card", "customised")
    with StockMachine(card) as machine:
        machine.start()
        machine.wait("cloud-init status | grep -q done", LIMIT_S)
        machine.off()
        for _ in range(2):
            gate = town.gate(town.site())
            town.write(card, gate)
            machine.start()
            machine.wait(f"test $(hostname) = {gate} && test ! -e /boot/firmware/gate/first-boot.json", INSTALL_LIMIT_S)
            assert gate in machine.said("cat /etc/gate/gate.toml")
            machine.wait("systemctl is-active gate.service", LIMIT_S)
            machine.off()


@pytest.mark.soak
def test_a_clock_of_the_images_day_and_no_time_server(town: Town, tmp_path: Path) -> None:
    """The signed bundle says the least that it can be; without it no certificate is valid yet, and nothing ever enrols."""
    gate = town.gate(town.site())
    card = StockCard(tmp_path / "card")
    town.write(card, gate)
    with StockMachine(card, clock="2026-06-16T00:00:00") as machine:
        machine.start()
        machine.wait_for(DONE, INSTALL_LIMIT_S)
        machine.off()
