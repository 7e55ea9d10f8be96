"""An emulated Raspberry Pi 3 (qemu's raspi3b): Debian's arm64 kernel with the Pi's own pin driver, watched from outside.

The levels are read from the machine's own registers through qemu's monitor, so
nothing in the guest can make them up. BCM2835 ARM Peripherals, chapter 6:
GPFSEL (function, three bits a pin) and GPLEV (level, one bit a pin).
"""

from __future__ import annotations

import re
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tests.lab import service
from tests.lab.folder import Folder
from tests.lab.nspawn import wait_for

SD_BYTES: Final = "4G"
"""qemu wants a card whose size is a power of two."""
LIMIT_S: Final = 900.0
GPIO: Final = 0x3F200000
FUNCTIONS: Final = GPIO
LEVELS: Final = GPIO + 0x34
PINS_A_WORD: Final = 10
INPUT, OUTPUT = 0, 1

KILLS: Final = """
[Unit]
After=gate.service
[Service]
Type=oneshot
ExecStart=/bin/sh /opt/lab-kills.sh
[Install]
WantedBy=multi-user.target
"""


KILL_SCRIPT: Final = """
mount -t debugfs debugfs /sys/kernel/debug 2>/dev/null
mkdir -p /run/systemd/system/gate.service.d
printf '[Service]\\nRestart=no\\n' >/run/systemd/system/gate.service.d/once.conf
systemctl daemon-reload
say() { echo "LAB-$*" >/dev/console; }
pulled() { grep -q 'GPIO21 .*out hi' /sys/kernel/debug/gpio; }
until_pulled() { until pulled; do sleep 0.1; done; }
state() { systemctl show --value -p ActiveState gate.service; }
until_dead() { until [ "$(state)" = inactive ] || [ "$(state)" = failed ]; do sleep 0.1; done; }
begin() {
    systemctl reset-failed gate.service
    systemctl start gate-eye.service gate.service
    until_pulled
    say BEGIN $1
}
stamp() { systemctl show --value -p $1 gate.service; }
end() {
    until_dead
    say REST $1
    say AFTER $1 $(($(stamp InactiveEnterTimestampMonotonic) - $(stamp ExecMainExitTimestampMonotonic)))
    sleep 4
    say NEXT
}
begin kill; systemctl kill --signal=KILL gate.service; end kill
begin watchdog; systemctl kill --signal=STOP gate.service; end watchdog
begin stop; systemctl stop gate.service; end stop
mkdir -p /run/lab
LG_WD=/run/lab /opt/gate/current/bin/python /opt/lab-relay.py >/dev/console 2>&1
gpioset --chip gpiochip0 GPIO21=1 GPIO17=1 & until_pulled; kill -9 $!
cp /etc/gate/gate.toml /run/lab/good.toml
echo 'nonsense' >>/etc/gate/gate.toml
say BEGIN refused; systemctl start gate.service; end refused
cp /run/lab/good.toml /etc/gate/gate.toml
say PANIC $(sysctl -n kernel.panic)
begin crash
echo c >/proc/sysrq-trigger
"""
"""The gate dies in four ways while its relay is pulled; in the last it never starts, and the lines are what somebody left.

Then the kernel dies.
"""
ENDS: Final = ("kill", "watchdog", "stop", "refused")
"""After each of these the machine goes on."""

RELAY_SCRIPT: Final = Path(__file__).parent / "guest" / "relay.py"


UNWATCHED: Final = """
[Manager]
RuntimeWatchdogSec=off
RebootWatchdogSec=off
"""
"""The emulated watchdog has no clock and resets the board as it is started. It is wanted for a crashed kernel, which starts anew by it."""


class Pi3:
    """One run of the emulated board."""

    def __init__(self, folder: Folder, kernel: Path, scratch: Path) -> None:
        self.console = scratch / "console"
        self._monitor = scratch / "monitor"
        self._image = scratch / "card.img"
        self._kernel = kernel
        script = (
            f"set -eu; rm -rf usr/share/doc var/cache/apt var/lib/apt usr/share/gate/wheels; truncate --size={SD_BYTES} {self._image}; "
        )
        script += f"mkfs.ext4 -q -F -E lazy_itable_init=1 -d . {self._image}"
        subprocess.run(folder.mounted_command(["sh", "-c", script]), check=True)

    def run(self, watch: Callable[[Pi3], bool]) -> float:
        """Boot, and call ``watch`` again and again until it says that it has seen enough; returns the seconds."""
        command = ["qemu-system-aarch64", "-M", "raspi3b", "-accel", "tcg,thread=multi", "-display", "none"]
        command += ["-serial", f"file:{self.console}", "-monitor", f"unix:{self._monitor},server,nowait"]
        command += ["-kernel", str(self._kernel / "vmlinuz"), "-initrd", str(self._kernel / "initrd.gz")]
        command += ["-dtb", str(self._kernel / "bcm2837-rpi-3-b.dtb"), "-drive", f"file={self._image},if=sd,format=raw,cache=unsafe"]
        command += [
            "-append",
            "console=ttyAMA0 quiet systemd.show_status=0 nokaslr mitigations=off audit=0 lab.root=/dev/mmcblk0 ",
        ]
        # As Raspberry Pi's own kernels are built: an output stays as it was when its holder dies.
        command[-1] += "pinctrl_bcm2835.persist_gpio_outputs=1"
        started = time.monotonic()
        with subprocess.Popen(command, stdin=subprocess.DEVNULL) as machine:
            try:
                wait_for(self._monitor.exists, 30, self.words)
                while machine.poll() is None and not watch(self):
                    assert time.monotonic() - started < LIMIT_S, self.words()
                    assert not self.said("Kernel panic") or self.said("LAB-BEGIN crash"), self.words()
            finally:
                machine.kill()
        return time.monotonic() - started

    def said(self, word: str) -> bool:
        """Whether the guest has said this on its console."""
        return self.console.exists() and word in self.console.read_text(errors="replace")

    def figures(self, word: str) -> list[int]:
        """The numbers that the guest said last behind this word."""
        return [int(number) for number in re.findall(rf"{word}((?: -?\d+)+)", self.console.read_text(errors="replace"))[-1].split()]

    def words(self) -> str:
        """The console's last words."""
        return self.console.read_text(errors="replace")[-3000:] if self.console.exists() else "nothing was said"

    def level(self, pin: int) -> int:
        """The level of a pin, by its register."""
        return (self.word(LEVELS) >> pin) & 1

    def function(self, pin: int) -> int:
        """What a pin is: 0 an input, 1 an output."""
        return (self.word(FUNCTIONS + 4 * (pin // PINS_A_WORD)) >> (3 * (pin % PINS_A_WORD))) & 7

    def word(self, address: int) -> int:
        """A word of the machine's physical memory."""
        with socket.socket(socket.AF_UNIX) as channel:
            channel.settimeout(10)
            channel.connect(str(self._monitor))
            channel.sendall(f"xp /1wx {address:#x}\n".encode())
            said = b""
            while not (found := re.search(rb": (0x[0-9a-f]{8})", said)):
                part = channel.recv(4096)
                assert part, self.words()
                said += part
        return int(found[1], 16)


def furnish(folder: Folder, configuration: str) -> None:
    """A gate with the Pi's own pins, and a unit that kills it after a while and switches off."""
    service.furnish(folder, configuration, people_seen=4)
    upper = folder.scratch / "upper"
    service.write(upper / "etc/systemd/system/lab-kills.service", KILLS)
    service.write(upper / "etc/systemd/system.conf.d/99-lab.conf", UNWATCHED)
    service.write(upper / "opt/lab-kills.sh", KILL_SCRIPT)
    service.write(upper / "opt/lab-relay.py", RELAY_SCRIPT.read_text(encoding="utf-8"))
    wants = upper / "etc/systemd/system/multi-user.target.wants"
    wants.mkdir(parents=True, exist_ok=True)
    (wants / "lab-kills.service").symlink_to("/etc/systemd/system/lab-kills.service")
