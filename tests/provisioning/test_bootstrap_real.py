"""``provisioning/bootstrap`` with the real tools, on this machine: needs a package source and some hundred megabytes."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

from tests.provisioning.pretend_machine import ROOT

LOOK: Final = "import device, importlib.metadata as m, sys; print(device.__file__, sys.prefix, m.version('gate-device'), sep='\\n')"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_fresh_copy_becomes_a_working_project(tmp_path: Path) -> None:
    """From the files under version control alone, in a folder with a space in its name; the second run changes nothing."""
    copy = tmp_path / "a fresh copy"
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in filter(None, listed.split("\0")):
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, copy / name)

    def run() -> tuple[str, list[str]]:
        command = [str(copy / "provisioning" / "bootstrap"), "python", "-c", LOOK]
        environment = {key: value for key, value in os.environ.items() if key != "VIRTUAL_ENV"}
        done = subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        return done.stderr, done.stdout.splitlines()

    said, found = run()
    assert "making .venv" in said
    assert found[:2] == [f"{copy}/device/__init__.py", f"{copy}/.venv"]
    made = (copy / ".venv" / "bootstrap.stamp").stat().st_mtime_ns
    assert run() == ("", found)
    assert (copy / ".venv" / "bootstrap.stamp").stat().st_mtime_ns == made
    for name in ("gate", "gate-provision"):
        helped = subprocess.run([copy / ".venv" / "bin" / name, "--help"], cwd=tmp_path, check=False, capture_output=True, text=True)
        assert (helped.returncode, helped.stderr) == (0, "")
