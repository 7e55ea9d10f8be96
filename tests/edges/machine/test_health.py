"""What the machine says of itself, and that what it does not say is None."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from device.edges.machine import health
from tests.mosquitto import Authority


def test_memory_disk_and_uptime_are_what_the_kernel_says(tmp_path: Path) -> None:
    """Of this process and of another, in bytes and seconds."""
    own, child = health.resident_bytes(), health.resident_bytes(os.getpid())
    assert own is not None
    assert child is not None
    assert own > 1 << 20
    assert 0.5 < own / child < 2
    available, free, up = health.memory_available_bytes(), health.disk_free_bytes(tmp_path), health.uptime_s()
    assert available is not None
    assert available > 1 << 20
    assert free is not None
    assert free > 0
    assert up is not None
    assert up > 0


def test_what_is_not_there_is_none(tmp_path: Path) -> None:
    """No such process, no thermometer, no firmware, no disk, no certificate."""
    nowhere = tmp_path / "nowhere"
    assert health.resident_bytes(2**22 + 1) is None
    assert health.cpu_temperature_celsius(nowhere) is None
    assert health.throttled_bits(nowhere) is None
    assert health.disk_free_bytes(nowhere) is None
    assert health.certificate_days(nowhere, 0) is None
    (tmp_path / "no.pem").write_text("no certificate")
    assert health.certificate_days(tmp_path / "no.pem", 0) is None


def test_the_thermometer_tells_thousandths_and_the_firmware_hexadecimal_digits(tmp_path: Path) -> None:
    """As the kernel and the Pi's firmware write them."""
    (tmp_path / "temp").write_text("48312\n")
    assert health.cpu_temperature_celsius(tmp_path / "temp") == 48.312
    node = tmp_path / "devices/platform/soc/soc:firmware"
    node.mkdir(parents=True)
    (node / "get_throttled").write_text("50005\n")
    bits = health.throttled_bits(tmp_path)
    assert bits == 0x50005
    assert bits & health.UNDER_VOLTAGE_NOW
    assert bits & health.UNDER_VOLTAGE_SINCE_BOOT


def test_a_pi_5_has_the_node_under_another_name_or_the_alarm_alone(tmp_path: Path) -> None:
    """Of the sensors only the one of the Pi's voltage is asked."""
    for number, (name, alarm) in enumerate((("cpu_thermal", "1"), ("rpi_volt", "0"))):
        sensor = tmp_path / f"class/hwmon/hwmon{number}"
        sensor.mkdir(parents=True)
        (sensor / "name").write_text(f"{name}\n")
        (sensor / "in0_lcrit_alarm").write_text(f"{alarm}\n")
    assert health.throttled_bits(tmp_path) == 0
    (tmp_path / "class/hwmon/hwmon1/in0_lcrit_alarm").write_text("1\n")
    assert health.throttled_bits(tmp_path) == health.UNDER_VOLTAGE_NOW
    node = tmp_path / "devices/platform/soc@107c000000/soc@107c000000:firmware"
    node.mkdir(parents=True)
    (node / "get_throttled").write_text("4\n")
    assert health.throttled_bits(tmp_path) == 4


@pytest.mark.parametrize(("told", "bytes_"), [("235929600\n", 235_929_600), ("max\n", None), (None, None)])
def test_a_limit_of_memory_is_one_that_the_kernel_holds(tmp_path: Path, told: str | None, bytes_: int | None) -> None:
    """Without the controller there is no file, whatever the unit says."""
    folder = tmp_path / "system.slice/gate.service"
    folder.mkdir(parents=True)
    if told is not None:
        (folder / "memory.max").write_text(told)
    assert health.memory_limit_bytes("gate.service", tmp_path) == bytes_


@pytest.mark.parametrize(("left_s", "days"), [(86_400, 1), (86_399, 0), (0, 0), (-1, -1), (14 * 86_400, 14)])
def test_the_days_of_a_certificate_are_whole_ones(tmp_path: Path, left_s: float, days: int) -> None:
    """One that has ended has less than none."""
    papers = Authority(tmp_path / "authority").issue("gate-07")
    end_ns = 0
    low, high = 0, 2**33
    while low < high:
        middle = (low + high) // 2
        left = health.certificate_days(papers.cert, middle * 1_000_000_000)
        assert left is not None
        low, high = (middle + 1, high) if left >= 0 else (low, middle)
    end_ns = (low - 1) * 1_000_000_000
    assert health.certificate_days(papers.cert, end_ns - int(left_s * 1e9)) == days
