"""The wheels of the package: exactly what the lock names for the gate's machine."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from provisioning.package.wheelhouse import LOCK, TARGETS, WheelhouseError, check_machine, complete, missing, pins


@pytest.mark.parametrize("architecture", TARGETS)
def test_the_lock_is_read_for_the_gates_machine_and_not_for_this_one(architecture: str) -> None:
    """Markers are judged for Python 3.13 on the target; each pin keeps its hashes and loses its marker."""
    found = pins(LOCK.read_text(encoding="utf-8"), TARGETS[architecture])
    assert {"pydantic", "zxing-cpp", "cryptography", "paho-mqtt", "gpiozero"} <= set(found)
    assert "colorama" not in found
    assert found["numpy"].lines.startswith("numpy==")
    assert " ; " not in found["zxing-cpp"].lines
    assert all("--hash=sha256:" in pin.lines for pin in found.values())


def wheel(folder: Path, machine: int) -> Path:
    """A wheel with one library for a machine of this ELF number."""
    path = folder / "made_up-1-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("made_up/library.so", b"\x7fELF" + bytes(14) + machine.to_bytes(2, "little") + bytes(20))
    return path


def test_a_library_for_another_processor_is_found(tmp_path: Path) -> None:
    """A wheel's name can lie; the library's own header does not."""
    check_machine(wheel(tmp_path, 62), TARGETS["amd64"])
    check_machine(wheel(tmp_path, 183), TARGETS["arm64"])
    with pytest.raises(WheelhouseError, match=r"made_up/library\.so is for ELF machine 62, not for arm64"):
        check_machine(wheel(tmp_path, 62), TARGETS["arm64"])


def asking(folder: Path, name: str, *lines: str) -> None:
    """A wheel with these requirements and nothing else."""
    asked = "".join(f"Requires-Dist: {line}\n" for line in lines)
    with zipfile.ZipFile(folder / f"{name}-1-py3-none-any.whl", "w") as archive:
        archive.writestr(f"{name}-1.dist-info/METADATA", f"Metadata-Version: 2.4\nName: {name}\n{asked}")


def test_what_the_wheels_need_and_nobody_brings_is_missing(tmp_path: Path) -> None:
    """Extras and other processors are left out, names are compared as pip does, and numpy is apt's."""
    machine = "platform_machine == 'aarch64'"
    asking(tmp_path, "gate_device", "Paho.MQTT>=2", "numpy>=1", f"only-on-a-pi; {machine}", "rich>=14; extra == 'bench'", "here_already")
    asking(tmp_path, "here_already", "needed-by-another")
    assert missing(tmp_path, TARGETS["arm64"]) == ["needed-by-another", "only-on-a-pi", "paho-mqtt"]
    assert missing(tmp_path, TARGETS["amd64"]) == ["needed-by-another", "paho-mqtt"]


def test_what_the_lock_does_not_name_is_never_fetched(tmp_path: Path) -> None:
    """Said with the names, and what to do."""
    asking(tmp_path, "gate_device", "no-such-package-anywhere")
    with pytest.raises(WheelhouseError, match=r"not in the lock for amd64: no-such-package-anywhere; renew .*requirements\.lock"):
        complete(tmp_path, LOCK.read_text(encoding="utf-8"), TARGETS["amd64"])
