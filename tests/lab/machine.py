"""An emulated PC with Debian's own kernel: what a container cannot have, a GPIO chip and a watchdog of the kernel.

The processor is emulated too (TCG), and counts its instructions: one is a
nanosecond of the machine's time, and time in which it has nothing to do passes
at once. So a busy host makes a run longer and nothing in it later, and what
happens when is the same on every host: that of a processor of a thousand
million instructions a second, about one core of a Pi 3.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from device.workbench.foreign_codes import payment_code
from tests.lab import service
from tests.lab.folder import Folder, prepare

ONE_PERSON: Final = Path("/var/lib/lab/one-person")
SIZE: Final = "2G"
LIMIT_S: Final = 1700.0

NEEDLESS: Final = [
    *("usr/share/lintian", "usr/share/perl", "usr/share/perl5", "usr/lib/x86_64-linux-gnu/perl", "usr/lib/uml", "usr/bin/linux.uml"),
    *("var/lib/apt", "var/cache", "usr/share/doc", "usr/share/gate/wheels", "usr/lib/python3.13/test", "boot"),
]
"""Left out of the image: it is written anew for each session."""

MASKED: Final = [
    *("systemd-udev-settle", "apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer", "e2scrub_reap"),
    *("fstrim.timer", "man-db.timer", "systemd-networkd-wait-online", "getty@tty1", "serial-getty@ttyS0", "systemd-random-seed"),
    *("systemd-tpm2-setup", "systemd-tpm2-setup-early", "systemd-pcrphase", "systemd-pcrphase-sysinit", "systemd-pcrmachine"),
]

_IMAGE: Final = """
set -eu
for name in {needless}; do rm -rf "./$name"; done
mkdir -p var/cache usr/lib/modules/lab mnt/share
touch etc/.updated var/.updated
cp {kernel}/modules/gpio-sim.ko {kernel}/modules/configfs.ko {kernel}/modules/i6300esb.ko {kernel}/modules/watchdog.ko usr/lib/modules/lab/
for unit in {masked}; do ln -sf /dev/null "etc/systemd/system/$unit.service"; done
truncate --size={size} {image}
mkfs.ext4 -q -F -E lazy_itable_init=1 -d . {image}
"""


PROVINCE: Final = (
    Ed25519PrivateKey.generate()
    .public_key()
    .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    .decode("ascii")
)
"""Somebody must be known who could sign an order, or no window opens."""


class Emulated:
    """One machine: its disk, and the folder that it shares with the host."""

    def __init__(self, folder: Folder, scratch: Path) -> None:
        self.share = scratch / "share"
        self.share.mkdir(parents=True)
        self.console = scratch / "console"
        self._image = scratch / "root.img"
        self._kernel = prepare("kernel")
        script = _IMAGE.format(needless=" ".join(NEEDLESS), kernel=self._kernel, masked=" ".join(MASKED), size=SIZE, image=self._image)
        subprocess.run(folder.mounted_command(["sh", "-c", script]), check=True)

    def run(self, *, memory_mib: int = 512, clock: str = "utc", reboots: bool = False, watchdog: bool = False) -> float:
        """Boot, and wait until the machine is off again; returns the seconds. Fails with the console's last words."""
        command = ["qemu-system-x86_64", "-accel", "tcg,thread=single,tb-size=256", "-icount", "shift=0,sleep=off"]
        command += ["-cpu", "Nehalem", "-M", "q35", "-m", str(memory_mib), "-rtc", f"base={clock},clock=vm"]
        command += ["-nodefaults", "-display", "none", "-serial", f"file:{self.console}", "-nic", "none"]
        command += ["-kernel", str(self._kernel / "vmlinux"), "-initrd", str(self._kernel / "initrd.gz")]
        command += ["-append", "console=ttyS0 quiet systemd.show_status=0 panic=-1 nokaslr mitigations=off audit=0 random.trust_cpu=on"]
        command += ["-drive", f"file={self._image},if=virtio,format=raw,cache=unsafe", "-device", "virtio-rng-pci"]
        command += ["-virtfs", f"local,path={self.share},mount_tag=share,security_model=none,multidevs=remap"]
        command += ["-device", "i6300esb", "-action", "watchdog=reset"] if watchdog else []
        command += [] if reboots else ["-no-reboot"]
        started = time.monotonic()
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=LIMIT_S)
        assert done.returncode == 0, done.stderr + self.console.read_text(errors="replace")[-3000:]
        return time.monotonic() - started

    def result(self, name: str) -> Any:  # noqa: ANN401 - JSON is what it is
        """What the guest left in the shared folder. Fails with the console's last words where it left nothing."""
        path = self.share / f"{name}.json"
        assert path.exists(), self.words()
        return json.loads(path.read_text())

    def words(self) -> str:
        """The console's and the guest's own log's last words."""
        log = self.share / "log"
        return self.console.read_text(errors="replace")[-3000:] + (log.read_text(errors="replace")[-6000:] if log.exists() else "")


def furnish(folder: Folder, scripts: Path, configuration: str) -> None:
    """A gate with its configuration, and the guest's script as a service that is started last and powers off."""
    service.furnish(folder, configuration, people_seen=4, refused=[payment_code("0123456789")])
    upper = folder.scratch / "upper"
    service.write(upper / "etc/gate/province.pem", PROVINCE)
    service.draw(upper / ONE_PERSON.relative_to("/"), 1)
    shutil.copytree(scripts, upper / "opt/lab/tests/lab/guest", dirs_exist_ok=True)
    service.write(upper / "etc/systemd/system/lab.service", LAB_UNIT)
    wants = upper / "etc/systemd/system/multi-user.target.wants"
    wants.mkdir(parents=True, exist_ok=True)
    (wants / "lab.service").symlink_to("/etc/systemd/system/lab.service")
    service.write(upper / "etc/systemd/system/lab-board.service", BOARD_UNIT)
    (wants / "lab-board.service").symlink_to("/etc/systemd/system/lab-board.service")
    service.write(upper / "etc/fstab", "share /mnt/share 9p trans=virtio,version=9p2000.L 0 0\n")


LAB_UNIT: Final = """
[Unit]
RequiresMountsFor=/mnt/share
After=lab-board.service multi-user.target gate.service
[Service]
Type=exec
Environment=PYTHONPATH=/opt/lab
ExecStart=/opt/gate/current/bin/python -u -m tests.lab.guest.guest
ExecStopPost=/usr/bin/systemctl poweroff
StandardOutput=append:/mnt/share/log
StandardError=append:/mnt/share/log
"""

BOARD_UNIT: Final = """
[Unit]
DefaultDependencies=no
After=systemd-remount-fs.service
Before=gate.service sysinit.target systemd-udevd.service
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh /opt/lab/tests/lab/guest/board.sh
"""
