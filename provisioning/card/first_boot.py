"""Makes a gate of a stock Raspberry Pi OS Lite from what `gate-provision card write` left on its boot partition, without any network.

It stands on the card and runs from there, before the gate's package is
installed: Python's standard library alone, in one file.

    first_boot.py begin     cloud-init runs it at every boot: it puts a unit onto the root file system and starts that
    first_boot.py run       the unit runs it at every boot until the gate is enrolled

Every step looks first whether it is done, and may be cut off anywhere: the next
boot goes on. Secrets leave the card first. The green light on the board says
what goes on (`LIGHTS`), and ``gate/first-boot.txt`` on the card says it to a
laptop; no secret stands there.

`begin` is told by ``bootcmd``, because cloud-init marks ``runcmd`` and
``write_files`` as done before they are: with the plug pulled there they never
run again. ``GATE_ROOT`` is for tests.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Final

ROOT: Final = Path(os.environ.get("GATE_ROOT", "/"))
BOOT: Final = ROOT / "boot/firmware"
CARD: Final = BOOT / "gate"
SETTINGS: Final = CARD / "first-boot.json"
"""What is to be set up. As long as it is there, something is left to do."""
NETWORK: Final = CARD / "gate.nmconnection"
"""The site's network, with its password."""
BUNDLE: Final = CARD / "bundle.json"
"""The gate's claim; gone when the gate is enrolled."""
PACKAGES: Final = CARD / "packages"
REPORT: Final = CARD / "first-boot.txt"

UNIT: Final = "gate-first-boot.service"
UNITS: Final = ROOT / "etc/systemd/system"
CONNECTION: Final = ROOT / "etc/NetworkManager/system-connections/gate.nmconnection"
STATE: Final = ROOT / "var/lib/gate-first-boot"
LEDS: Final = ROOT / "sys/class/leds"
INSTALLED: Final = ROOT / "etc/gate/gate.toml"

LOOK_EVERY_S: Final = float(os.environ.get("GATE_LOOK_S", "3"))
SUMS: Final = "SHA256SUMS"
"""In the set: the digest of each of its files. The signed bundle holds the digest of this one."""

UNIT_TEXT: Final = f"""[Unit]
Description=Gate: sets this machine up from the card
ConditionPathExists=/boot/firmware/gate/{SETTINGS.name}
RequiresMountsFor=/boot/firmware /var
After=local-fs.target dbus.service NetworkManager.service
StartLimitIntervalSec=0

[Service]
Type=exec
ExecStart=/usr/bin/python3 -I /boot/firmware/gate/first_boot.py run
Restart=on-failure
RestartSec=30
TimeoutStopSec=20
StandardOutput=journal+console

[Install]
WantedBy=multi-user.target
"""

LIGHTS: Final = {"setup": (500, 500), "install": (100, 100), "province": (100, 1900), "failed": (1900, 100)}
"""Milliseconds lit and dark of the green light: settings, packages, waiting for the province, something failed and is tried again."""

APT: Final = (
    *("-q", "-y", "-o", f"Dir::Etc::sourcelist={STATE}/sources.list", "-o", "Dir::Etc::sourceparts=/dev/null"),
    *("-o", f"Dir::State::lists={STATE}/lists", "-o", f"Dir::Cache::archives={STATE}/archives", "-o", "Dir::Cache::pkgcache="),
    *("-o", "Dir::Cache::srcpkgcache=", "-o", "DPkg::Lock::Timeout=600", "-o", "Dpkg::Use-Pty=0", "-o", "APT::Sandbox::User=root"),
    *("-o", "Dpkg::Options::=--force-confdef", "-o", "Dpkg::Options::=--force-confold"),
)
"""A repository on the card, in folders of its own: the system's own lists and sources stay as they are."""


class StepError(Exception):
    """A step could not be done. It says what and why, in words that may stand on the card."""


def main(argv: Sequence[str]) -> int:
    """Returns the exit code: 0 done or nothing to do, 1 to be tried again, 2 usage."""
    if list(argv) == ["begin"]:
        return begin()
    if list(argv) == ["run"]:
        return FirstBoot().run()
    sys.stderr.write(f"{__doc__}\n")
    return 2


def begin() -> int:
    """Put the unit where systemd finds it at every boot, whole and on the disk, and start it."""
    if not SETTINGS.exists():
        return 0
    put(UNITS / UNIT, UNIT_TEXT.encode(), 0o644)
    wants = UNITS / "multi-user.target.wants"
    wants.mkdir(parents=True, exist_ok=True)
    if not (wants / UNIT).is_symlink():
        (wants / UNIT).symlink_to(f"../{UNIT}")
        sync(wants)
    call("systemctl", "daemon-reload")
    call("systemctl", "start", "--no-block", UNIT)
    return 0


class FirstBoot:
    """One run of the steps."""

    def __init__(self) -> None:
        self.light = Light()
        self.lines: list[str] = []
        self.now = ""
        self.settings: Mapping[str, Any] = {}

    def run(self) -> int:
        """All steps in order. A failed one is told by light and report, and is tried again by systemd."""
        if not SETTINGS.exists():
            return 0
        # name, in Vietnamese, in English, how the light says it
        steps: Sequence[tuple[Callable[[], str], str, str, str]] = (
            (self.read, "đọc thẻ", "read the card", "setup"),
            (self.take_secrets, "lấy mật khẩu khỏi thẻ", "take secrets off the card", "setup"),
            (self.set_clock, "đồng hồ", "clock", "setup"),
            (self.set_name, "tên máy", "name", "setup"),
            (self.set_radio, "Wi-Fi", "Wi-Fi", "setup"),
            (self.set_login, "đăng nhập", "login", "setup"),
            (self.install, "cài phần mềm", "install the software", "install"),
            (self.enrol, "đăng ký với tỉnh", "enrol at the province", "province"),
        )
        STATE.mkdir(parents=True, exist_ok=True)
        for step, vi, en, light in steps:
            self.now = f"{vi} · {en}"
            self.light.show(light)
            self.report("…")
            try:
                done = step()
            except (StepError, OSError, ValueError, KeyError) as error:
                self.light.show("failed")
                self.report(f"KHÔNG ĐƯỢC, thử lại sau 30 giây · FAILED, tried again in 30 s: {error}")
                say(f"{en}: {error}")
                return 1
            self.lines.append(f"{uptime_s():6.0f} s  {self.now}: {done}")
            say(f"{en}: {done}")
        self.now = "xong · done"
        self.report("cổng đã đăng ký và chạy · the gate is enrolled and runs")
        self.light.back()
        self.finish()
        return 0

    def read(self) -> str:
        """The settings, whole: what the signed bundle says of them is looked at as long as it is there."""
        if BUNDLE.exists():
            named = json.loads(BUNDLE.read_bytes()).get("setup", {})
            for name in (SETTINGS.name, "first_boot.py"):
                if hashlib.sha256((CARD / name).read_bytes()).hexdigest() != named.get(name):
                    raise StepError(f"{name} trên thẻ bị hỏng, ghi lại thẻ · on the card is damaged: write the card again")
        self.settings = json.loads(SETTINGS.read_bytes())
        return str(self.settings["gate"])

    def take_secrets(self) -> str:
        """First onto the root file system, on the disk; only then off the card. And whatever an earlier owner of the card left."""
        if NETWORK.exists():
            put(CONNECTION, NETWORK.read_bytes(), 0o600)
            shred(NETWORK)
        current = (ROOT / "var/lib/cloud/instance").resolve().name
        for path in (ROOT / "var/lib/cloud/instances").glob("*"):
            if path.name != current:
                shutil.rmtree(path, ignore_errors=True)
        # A network of Imager's would hold the wire or the radio that the site's own is for.
        for path in [*(ROOT / "etc/netplan").glob("50-cloud-init*"), *(ROOT / "run/NetworkManager/system-connections").glob("netplan-*")]:
            shred(path)
        call("nmcli", "connection", "reload")
        return "ok"

    def set_clock(self) -> str:
        """A Pi has no clock. It is at least as late as when the province signed the card, or no certificate would be valid yet."""
        if not BUNDLE.exists():
            return "ok"
        issued = datetime.strptime(json.loads(BUNDLE.read_bytes())["issued"][:19], "%Y-%m-%dT%H:%M:%S").replace(tzinfo=UTC)
        if time.time() >= issued.timestamp():
            return "ok"
        must("date", "--utc", "--set", f"@{int(issued.timestamp())}")
        saved = ROOT / "var/lib/systemd/timesync/clock"
        if saved.exists():
            os.utime(saved)
        return f"theo thẻ · by the card: {issued:%Y-%m-%d %H:%M} UTC"

    def set_name(self) -> str:
        """Host name and time zone."""
        name = str(self.settings["gate"])
        if text_of(ROOT / "etc/hostname").strip() != name:
            put(ROOT / "etc/hostname", f"{name}\n".encode(), 0o644)
            call("hostname", name)
        kept = [line for line in text_of(ROOT / "etc/hosts").splitlines() if not line.startswith("127.0.1.1")]
        hosts = "\n".join([*kept, f"127.0.1.1\t{name}", ""])
        if text_of(ROOT / "etc/hosts") != hosts:
            put(ROOT / "etc/hosts", hosts.encode(), 0o644)
        call("timedatectl", "set-timezone", str(self.settings["timezone"]))
        return name

    def set_radio(self) -> str:
        """Raspberry Pi OS blocks the radio until a country is set. The card's ``cmdline.txt`` names it for the kernel; this unblocks."""
        country = self.settings["country"]
        if country is None:
            return "không dùng · not used"
        call("iw", "reg", "set", str(country))
        for path in (ROOT / "var/lib/systemd/rfkill").glob("*:wlan"):
            put(path, b"0\n", 0o644)
        if not call("rfkill", "unblock", "wifi"):
            for kind in (ROOT / "sys/class/rfkill").glob("*/type"):
                if kind.read_text().strip() == "wlan":
                    kind.with_name("soft").write_text("0")
        if not call("nmcli", "radio", "wifi", "on"):
            raise StepError("nmcli radio wifi on")
        return f"{country}"

    def set_login(self) -> str:
        """The technician's keys, and nobody else: no password, no root. Without a key nobody logs in."""
        keys = [str(key) for key in self.settings["ssh_keys"]]
        rules = b"PasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin no\nAllowUsers tech\n"
        put(ROOT / "etc/ssh/sshd_config.d/10-gate.conf", rules, 0o644)
        # The question for a user on the screen that a gate does not have.
        call("systemctl", "disable", "--now", "userconfig.service")
        if not keys:
            call("systemctl", "disable", "--now", "ssh.service", "ssh.socket")
            return "tắt · off"
        if not call("id", "tech"):
            must("useradd", "--create-home", "--shell", "/bin/bash", "--comment", "Technician", "tech")
        put(ROOT / "etc/sudoers.d/020_tech", b"tech ALL=(ALL) NOPASSWD:ALL\n", 0o440)
        home = ROOT / "home/tech/.ssh"
        home.mkdir(parents=True, exist_ok=True)
        put(home / "authorized_keys", "".join(f"{key}\n" for key in keys).encode(), 0o600)
        must("chown", "-R", "tech:tech", str(home))
        home.chmod(0o700)
        if not any((ROOT / "etc/ssh").glob("ssh_host_*_key")):
            must("ssh-keygen", "-A")
        must("systemctl", "enable", "ssh.service")
        must("systemctl", "restart", "--no-block", "ssh.service")
        return f"ssh tech@{self.settings['gate']}.local"

    def install(self) -> str:
        """From the card, hash for hash; no network."""
        wanted = {str(name): str(version) for name, version in self.settings["packages"].items()}
        if not lacking(wanted):
            self._forget_packages()
            return self._versions(wanted)
        log = STATE / "apt.log"
        with log.open("wb") as file:
            say_into(file, ["dpkg", "--configure", "-a"])
            if lacking(wanted):
                self._check_packages()
                for name in ("lists/partial", "archives/partial"):
                    (STATE / name).mkdir(parents=True, exist_ok=True)
                (STATE / "sources.list").write_text(f"deb [trusted=yes] file:{PACKAGES} ./\n")
                say_into(file, ["apt-get", *APT, "update"])
                # What an earlier power cut left half is finished with what is on the card.
                say_into(file, ["apt-get", *APT, "--fix-broken", "--no-install-recommends", "install"])
                say_into(file, ["apt-get", *APT, "--no-install-recommends", "install", *(f"{one}={two}" for one, two in wanted.items())])
        if missing := lacking(wanted):
            last = [line for line in log.read_text(errors="replace").splitlines() if line.strip()][-4:]
            raise StepError(f"{', '.join(missing)}: {' | '.join(last)}")
        must("sync")
        self._forget_packages()
        return self._versions(wanted)

    def enrol(self) -> str:
        """The gate gets its certificate by itself; here it is waited for, so that light and report go on saying so."""
        call("systemctl", "daemon-reload")
        must("systemctl", "enable", "gate-enrol.service")
        last = ""
        while BUNDLE.exists():
            if state("gate-enrol.service") in {"inactive", "failed"}:
                must("systemctl", "start", "--no-block", "gate-enrol.service")
            told = f"{network()} | {last_words('gate-enrol.service')}"
            if told != last:
                self.report(f"đang chờ · waiting: {told}")
                last = told
            time.sleep(LOOK_EVERY_S)
        if not INSTALLED.exists():
            raise StepError(f"không có {INSTALLED}, ghi lại thẻ · is missing: write the card again")
        must("systemctl", "start", "--no-block", "gate-eye.service", "gate.service")
        return network()

    def finish(self) -> None:
        """Nothing is left to do: the settings go last, and cloud-init has nothing more to say on this machine."""
        put(ROOT / "etc/cloud/cloud-init.disabled", b"", 0o644)
        shutil.rmtree(STATE, ignore_errors=True)
        SETTINGS.unlink()
        sync(CARD)

    def report(self, going_on: str) -> None:
        """What a laptop reads on the card: each step with its second since power on, and what is being done."""
        text = [
            "Cài đặt cổng từ thẻ · Setting the gate up from the card",
            f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC",
            "",
            *self.lines,
            f"{uptime_s():6.0f} s  {self.now}: {going_on}",
            "",
        ]
        put(REPORT, "\r\n".join(text).encode(), 0o644)

    def _check_packages(self) -> None:
        listed = (PACKAGES / SUMS).read_bytes()
        if BUNDLE.exists() and hashlib.sha256(listed).hexdigest() != json.loads(BUNDLE.read_bytes()).get("setup", {}).get(
            f"packages/{SUMS}"
        ):
            raise StepError(f"packages/{SUMS} bị hỏng, ghi lại thẻ · is damaged: write the card again")
        for line in listed.decode().splitlines():
            digest, _, name = line.partition("  ")
            with (PACKAGES / name).open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != digest:
                    raise StepError(f"packages/{name} bị hỏng, ghi lại thẻ · is damaged: write the card again")

    def _forget_packages(self) -> None:
        """Its room on the card is worth more; the package's own folder keeps what a return needs."""
        shutil.rmtree(PACKAGES, ignore_errors=True)
        sync(CARD)

    def _versions(self, wanted: Mapping[str, str]) -> str:
        return ", ".join(f"{name} {version}" for name, version in wanted.items())


class Light:
    """The green light on the board: ``ACT`` by the kernel's name, ``led0`` in older ones. Without one, nothing is said."""

    def __init__(self) -> None:
        names = [os.environ.get("GATE_LED", ""), "ACT", "led0"]
        self._led = next((LEDS / name for name in names if name and (LEDS / name / "trigger").exists()), None)
        # In memory: at power on the light does what it always does, and only a run before this one has changed it.
        self._own = ROOT / "run/gate-first-boot.light"

    def show(self, name: str) -> None:
        """Blink by ``LIGHTS``."""
        lit, dark = LIGHTS[name]
        with contextlib.suppress(OSError):
            if self._led is None:
                return
            if not self._own.exists():
                self._own.parent.mkdir(exist_ok=True)
                self._own.write_text((self._led / "trigger").read_text().partition("[")[2].partition("]")[0])
            call("modprobe", "--quiet", "ledtrig-timer")
            (self._led / "trigger").write_text("timer")
            (self._led / "delay_on").write_text(str(lit))
            (self._led / "delay_off").write_text(str(dark))
        say(f"light: {name}")

    def back(self) -> None:
        """As it was before: on a Pi it shows the card at work."""
        with contextlib.suppress(OSError):
            if self._led is not None:
                (self._led / "trigger").write_text(self._own.read_text())


def put(path: Path, content: bytes, mode: int) -> None:
    """A file, whole or not at all, and on the disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    growing = path.with_name(f"{path.name}.new")
    descriptor = os.open(growing, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    with contextlib.suppress(PermissionError):  # FAT knows no rights
        growing.chmod(mode)
    growing.replace(path)
    sync(path.parent)


def shred(path: Path) -> None:
    """Overwrite, on the disk, and remove. On flash old bytes may linger in cells that nobody reaches but by taking the chip off."""
    with path.open("r+b") as file:
        file.write(b"\0" * path.stat().st_size)
        file.flush()
        os.fsync(file.fileno())
    path.unlink()
    sync(path.parent)


def sync(folder: Path) -> None:
    """What was renamed or removed in a folder is so on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def call(*command: str) -> bool:
    """Whether a command is there and ends well; what it says goes to the journal."""
    try:
        return subprocess.run(command, check=False, stdin=subprocess.DEVNULL, stdout=sys.stderr, timeout=120).returncode == 0
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return False


def must(*command: str) -> None:
    """A command without which there is no gate. Raises StepError."""
    if not call(*command):
        raise StepError(f"lệnh không chạy được · the command failed: {' '.join(command)}")


def say_into(log: IO[bytes], command: Sequence[str]) -> None:
    """A command whose words go to a log. Whether it did what it should is looked at afterwards, by what is installed."""
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
    log.write(f"$ {' '.join(command)}\n".encode())
    log.flush()
    with contextlib.suppress(FileNotFoundError):
        subprocess.run(command, check=False, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, env=environment)


def said(*command: str) -> str:
    """What a command says; nothing where it is not there."""
    try:
        done = subprocess.run(command, check=False, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=30)
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip()


def lacking(wanted: Mapping[str, str]) -> list[str]:
    """Which of the packages are not installed whole in their version."""
    form = "${db:Status-Status} ${Version}"
    return [name for name, version in wanted.items() if said("dpkg-query", "-W", "-f", form, name) != f"installed {version}"]


def state(unit: str) -> str:
    """``active``, ``activating``, ``inactive``, ``failed``."""
    return said("systemctl", "show", "--value", "--property", "ActiveState", unit)


def last_words(unit: str) -> str:
    """The last line of a unit's log, which names no secret."""
    return said("journalctl", "--unit", unit, "--lines", "1", "--output", "cat")[:300]


def network() -> str:
    """Each interface: its kind, whether it is connected, and by which connection."""
    lines = said("nmcli", "--terse", "--fields", "DEVICE,TYPE,STATE,CONNECTION", "device").splitlines()
    kinds = (":ethernet:", ":wifi:", ":gsm:")
    return ", ".join(line.replace(":", " ").strip() for line in lines if any(kind in line for kind in kinds)) or "?"


def text_of(path: Path) -> str:
    """A file's text; nothing where there is no file."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""


def uptime_s() -> float:
    """Seconds since power on."""
    return float(text_of(Path("/proc/uptime")).split()[0])


def say(text: str) -> None:
    """To the journal."""
    sys.stderr.write(f"gate-first-boot: {text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
