"""What the machine under the gate says of itself: read from /proc and /sys, nothing guessed.

A figure that this machine does not offer is None.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from cryptography import x509

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_KIB = 1024
_DAY_S = 86_400

UNDER_VOLTAGE_NOW = 1
UNDER_VOLTAGE_SINCE_BOOT = 1 << 16
"""Of the Pi firmware's bits."""


def resident_bytes(pid: int | None = None) -> int | None:
    """Resident memory of a process, by default this one. Source: proc_pid_statm(5)."""
    fields = _read(Path(f"/proc/{'self' if pid is None else pid}/statm"))
    return None if fields is None else int(fields.split()[1]) * _PAGE_BYTES


def memory_available_bytes() -> int | None:
    """Memory that can be had without swapping. Source: proc_meminfo(5)."""
    for line in (_read(Path("/proc/meminfo")) or "").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * _KIB
    return None


def cpu_temperature_celsius(zone: Path = Path("/sys/class/thermal/thermal_zone0/temp")) -> float | None:
    """Temperature of the processor; thermal zone 0 on every Pi."""
    text = _read(zone)
    return None if text is None else int(text) / 1000


def throttled_bits(sysfs: Path = Path("/sys")) -> int | None:
    """The Pi firmware's bits: 0 under-voltage, 1 frequency capped, 2 throttled, 3 too hot; the same + 16 since boot.

    The firmware's node is ``soc:firmware``, on a Pi 5 ``soc@107c000000:firmware``; a kernel whose node does not tell them
    has the voltage's alarm alone.
    """
    for path in sorted(sysfs.glob("devices/platform/soc*/soc*:firmware/get_throttled")):
        text = _read(path)
        if text is not None:
            return int(text, 16)
    for name in sorted(sysfs.glob("class/hwmon/hwmon*/name")):
        alarm = _read(name.with_name("in0_lcrit_alarm")) if _read(name) == "rpi_volt" else None
        if alarm is not None:
            return UNDER_VOLTAGE_NOW * int(alarm)
    return None


def memory_limit_bytes(unit: str, cgroups: Path = Path("/sys/fs/cgroup")) -> int | None:
    """What the kernel lets a service of systemd have; None where it holds nobody to a limit of memory, or does not run the unit.

    Raspberry Pi's kernels give nobody one until ``cgroup_enable=memory`` stands in ``cmdline.txt``.
    """
    text = _read(cgroups / "system.slice" / unit / "memory.max")
    return None if text is None or text == "max" else int(text)


def disk_free_bytes(path: Path) -> int | None:
    """Free bytes for this user on the file system that holds ``path``."""
    try:
        return shutil.disk_usage(path).free
    except OSError:
        return None


def certificate_days(path: Path, wall_ns: int) -> int | None:
    """Whole days until the certificate in a PEM file expires, negative when it has; None where it cannot be read."""
    try:
        end = x509.load_pem_x509_certificate(path.read_bytes()).not_valid_after_utc
    except (OSError, ValueError):
        return None
    return int((end.timestamp() - wall_ns / 1e9) // _DAY_S)


def uptime_s() -> float | None:
    """Seconds since boot."""
    text = _read(Path("/proc/uptime"))
    return None if text is None else float(text.split()[0])


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None
