"""A card from the shop and a machine that boots from it: Raspberry Pi OS Lite's stand-in under qemu, with a power cord.

The card is two disks: an ext4 root (a layer over the laboratory's) and a FAT boot
partition, as Raspberry Pi Imager leaves it. The host needs neither FAT nor loop
devices: mtools reads and writes the image, as a laptop would the card.
"""

from __future__ import annotations

import base64
import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, Literal, Self, TypeAlias

from tests.lab.folder import prepare
from tests.waiting import happens, until

Form: TypeAlias = Literal["skipped", "customised"]
NAMESPACE: Final = f"gate-lab-stock-{os.getpid()}"
"""Two runs on one machine keep out of each other's way."""
MIB: Final = 1 << 20
FIRMWARE: Final = {
    "kernel8.img": 9_700_000,
    "kernel_2712.img": 9_800_000,
    "initramfs8": 14_000_000,
    "initramfs_2712": 14_000_000,
    "start4.elf": 2_300_000,
    "start.elf": 3_000_000,
    "overlays.tar": 2_300_000,
    "bcm2711-rpi-4-b.dtb": 56_000,
    "bcm2710-rpi-3-b.dtb": 33_000,
    "bcm2712-rpi-5-b.dtb": 79_000,
}
"""Sizes of what stands on Raspberry Pi OS's boot partition; nobody here reads it."""
CMDLINE: Final = "console=serial0,115200 console=tty1 root=PARTUUID=deadbeef-02 rootfstype=ext4 fsck.repair=yes rootwait resize"
CONFIG: Final = "# For more options and information see\ncamera_auto_detect=1\nauto_initramfs=1\narm_64bit=1\n[all]\n"
IMAGER_SECRETS: Final = (b"00112233445566778899aabbccddeeff", b"$y$j9T$madeUpForATest")
"""Of a customised card: another network's key, and the digest of a password."""
IMAGER_USER: Final = """#cloud-config
manage_resolv_conf: false

hostname: cong1
manage_etc_hosts: true
packages:
- avahi-daemon

apt:
  preserve_sources_list: true
  conf: |
    Acquire {
      Check-Date "false";
    };

timezone: Asia/Ho_Chi_Minh
user:
  name: lan
  shell: /bin/bash
  lock_passwd: false
  passwd: "$y$j9T$madeUpForATest"
  sudo: null

runcmd:
  - [ systemctl, enable, --now, ssh ]
"""
IMAGER_NETWORK: Final = """network:
  version: 2
  ethernets:
    eth0:
      dhcp4: true
      dhcp6: true
      optional: true
  wifis:
    wlan0:
      dhcp4: true
      regulatory-domain: "VN"
      access-points:
        "TruongHoc":
          password: "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
      optional: true
"""


class StockCard:
    """A card in a card reader."""

    def __init__(self, folder: Path, form: Form = "skipped") -> None:
        """As Imager leaves it: its customisation skipped, or with name, user, network and country."""
        self.folder = folder
        folder.mkdir(parents=True)
        self.stock = prepare("stock")
        self.root, self.boot = folder / "root.qcow2", folder / "boot.img"
        _run("qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", str(self.stock / "root.img"), str(self.root))
        self._imager(form)

    @contextlib.contextmanager
    def mounted(self) -> Iterator[Path]:
        """Its boot partition as a folder, as a laptop shows it; what is changed there is on the card afterwards."""
        at = self.folder / "mounted"
        shutil.rmtree(at, ignore_errors=True)
        at.mkdir()
        _run("mcopy", "-s", "-p", "-n", "-i", str(self.boot), "::*", str(at))
        before = _files(at)
        yield at
        after = _files(at)
        for name in before.keys() - after.keys():
            _run("mdel", "-i", str(self.boot), f"::{name}")
        for name, content in sorted(after.items()):
            if before.get(name) != content:
                for folder in list(Path(name).parents)[-2::-1]:
                    subprocess.run(["mmd", "-D", "s", "-i", str(self.boot), f"::{folder}"], check=False, capture_output=True)
                _run("mcopy", "-o", "-i", str(self.boot), str(at / name), f"::{name}")
        shutil.rmtree(at)

    def text(self, name: str) -> str:
        """A file of the boot partition; empty where there is none."""
        done = subprocess.run(["mtype", "-i", str(self.boot), f"::{name}"], check=False, capture_output=True)
        return done.stdout.decode(errors="replace")

    def holds(self, secret: bytes) -> dict[str, int]:
        """How many lines of the raw disks hold some bytes: also in what was removed, and in what the journal of ext4 keeps."""
        raw = self.folder / "root.raw"
        _run("qemu-img", "convert", "-O", "raw", str(self.root), str(raw))
        try:
            found = {}
            for name, path in (("root", raw), ("boot", self.boot)):
                done = subprocess.run(["grep", "-c", "-a", "-F", "-e", secret, str(path)], check=False, capture_output=True, text=True)
                found[name] = int(done.stdout)
            return found
        finally:
            raw.unlink()

    def _imager(self, form: Form) -> None:
        at = self.folder / "imager"
        at.mkdir()
        noise = random.Random(1)  # noqa: S311 - what nobody reads
        for name, size in FIRMWARE.items():
            (at / name).write_bytes(noise.randbytes(size))
        issue = (self.stock / "packages.info").read_text().splitlines()[:2]
        (at / "issue.txt").write_text("\n".join(issue) + "\n")
        (at / "config.txt").write_text(CONFIG)
        if form == "skipped":
            (at / "cmdline.txt").write_text(f"{CMDLINE}\n")
            (at / "meta-data").write_text("dsmode: local\ninstance_id: rpios-image\n")
            (at / "user-data").write_text("#cloud-config\n# all examples are commented out\n")
            (at / "network-config").write_text("# all examples are commented out\n#network:\n#  version: 2\n")
        else:
            (at / "cmdline.txt").write_text(f"{CMDLINE} cfg80211.ieee80211_regdom=VN ds=nocloud;i=rpi-imager-1796000000000")
            (at / "meta-data").write_text("instance-id: rpi-imager-1796000000000\n")
            (at / "user-data").write_text(IMAGER_USER)
            (at / "network-config").write_text(IMAGER_NETWORK)
        with self.boot.open("wb") as file:
            file.truncate(512 * MIB)
        _run("mkdosfs", "-n", "bootfs", "-F", "32", "-s", "1", str(self.boot))
        _run("mcopy", "-i", str(self.boot), *map(str, sorted(at.iterdir())), "::")
        shutil.rmtree(at)


class StockMachine:
    """A machine with a card in it. Its processor is emulated; its network card hangs on the province's bridge by ``tap``."""

    def __init__(self, card: StockCard, tap: str | None = "stock0", *, clock: str = "utc") -> None:
        self.card, self.tap, self.clock = card, tap, clock
        self._process: subprocess.Popen[bytes] | None = None
        self._logs: list[Path] = []
        self.started_s = 0.0
        self._asked = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.pull()

    @property
    def since_s(self) -> float:
        """Seconds since power on."""
        return time.monotonic() - self.started_s

    def start(self) -> None:
        """Power on. What the card's ``cmdline.txt`` says is the kernel's, but for where a Pi's disks and consoles are."""
        folder, words = self.card.folder, self.card.text("cmdline.txt").split()
        kept = [word for word in words if not word.startswith(("console=", "root=", "resize", "rootwait"))]
        number = len(self._logs)
        self._logs.append(folder / f"journal{number}")
        (folder / "shell").unlink(missing_ok=True)
        command = ["qemu-system-x86_64", "-accel", "tcg,thread=multi,tb-size=512", "-M", "q35", "-cpu", "Nehalem"]
        command += ["-m", "1024", "-smp", "2"]
        command += ["-nodefaults", "-display", "none", "-no-reboot", "-rtc", f"base={self.clock}", "-device", "virtio-rng-pci"]
        command += ["-kernel", str(self.card.stock / "vmlinux"), "-initrd", str(self.card.stock / "initrd.gz")]
        command += ["-append", " ".join(["console=ttyS0 root=/dev/vda rw net.ifnames=0 panic=5 mitigations=off nokaslr", *kept])]
        for disk, kind in ((self.card.root, "qcow2"), (self.card.boot, "raw")):
            command += ["-drive", f"file={disk},if=virtio,format={kind},cache=writeback"]
        command += ["-serial", f"file:{folder}/console{number}", "-serial", f"file:{self._logs[-1]}"]
        command += ["-serial", f"unix:{folder}/shell,server=on,wait=off"]
        if self.tap is None:
            command += ["-nic", "none"]
        else:
            command += ["-netdev", f"tap,id=n,ifname={self.tap},script=no,downscript=no"]
            command += ["-device", f"virtio-net-pci,netdev=n,mac=52:54:00:aa:bb:{int(self.tap[-1]):02x}"]
            command = ["ip", "netns", "exec", NAMESPACE, *command]
        with (folder / "qemu.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        self.started_s = time.monotonic()

    def pull(self) -> None:
        """Pull the plug: what the machine had not written to its disks is gone."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def off(self) -> None:
        """Shut down in order."""
        assert self._process is not None
        with contextlib.suppress(TimeoutError):
            self.run("systemctl --no-block poweroff", 10)
        self._process.wait(90)
        self._process = None

    def run(self, command: str, limit_s: float = 290.0) -> tuple[int, str]:
        """A shell command as root inside: its exit code, and what it said. Raises TimeoutError when nobody answers."""
        end_s = time.monotonic() + limit_s
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(limit_s)
            if not happens(lambda: self._connected(line), limit_s):
                raise TimeoutError("the machine has no shell")
            # Somebody who waited no longer may have left an answer on the way: ours has our number.
            self._asked += 1
            ours = b"LAB %d " % self._asked
            line.sendall(b"%d %s\n" % (self._asked, base64.b64encode(command.encode())))
            got = b""
            while b"\n" not in (tail := got[got.find(ours) :] if ours in got else b""):
                line.settimeout(max(0.1, end_s - time.monotonic()))
                part = line.recv(65536)
                if not part:
                    raise TimeoutError("the machine is gone")
                got += part
        _, _, code, words = tail.split(b"\n", 1)[0].split(b" ", 3)
        return int(code), base64.b64decode(words).decode(errors="replace").rstrip()

    def said(self, command: str) -> str:
        """What a command says that has to end well."""
        code, words = self.run(command)
        assert code == 0, f"{command}: {words}"
        return words

    def does(self, command: str) -> bool:
        """Whether a command ends well; False while nobody answers."""
        try:
            return self.run(command, 20)[0] == 0
        except (TimeoutError, ConnectionError):
            return False

    def wait(self, command: str, limit_s: float) -> float:
        """Until a command ends well; the seconds since power on."""
        until(lambda: self.does(command), limit_s, lambda: f"{command}\n{self.log()[-6000:]}")
        return self.since_s

    def wait_for(self, words: str, limit_s: float) -> float:
        """Until something stands in this boot's journal; the seconds since power on."""
        until(lambda: words in self.log(), limit_s, lambda: f"{words}\n{self.log()[-6000:]}")
        return self.since_s

    def log(self) -> str:
        """The journal of this boot, as far as it came out."""
        path = self._logs[-1]
        return path.read_text(errors="replace").replace("\r", "") if path.exists() else ""

    def _connected(self, line: socket.socket) -> bool:
        try:
            line.connect(str(self.card.folder / "shell"))
        except OSError:
            return False
        return True


def cut(machine: StockMachine, ready: Callable[[], object], limit_s: float) -> float:
    """Pull the plug as soon as something is so; the seconds since power on."""
    machine.start()
    until(ready, limit_s, lambda: machine.log()[-6000:])
    at_s = machine.since_s
    machine.pull()
    return at_s


def _files(at: Path) -> dict[str, bytes]:
    return {str(path.relative_to(at)): path.read_bytes() for path in at.rglob("*") if path.is_file()}


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)
