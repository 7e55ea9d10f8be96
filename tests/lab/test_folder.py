"""The laboratory's folder is what it claims to be, and a copy leaves it as it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab.folder import Folder

pytestmark = [pytest.mark.lab, pytest.mark.timeout(1800)]


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["systemctl", "--version"], "systemd 257"),
        (["python3", "--version"], "Python 3.13"),
        (["python3", "-c", "import lgpio; print(lgpio.__file__)"], "/usr/local/lib/python3.13/dist-packages"),
        (["python3", "-c", "import numpy; print(numpy.__file__)"], "/usr/lib/python3/dist-packages"),
        (["python3", "-c", "import libcamera; print([c.id for c in libcamera.CameraManager.singleton().cameras])"], "Gate"),
    ],
)
def test_the_folder_holds_what_a_pi_has(copy: Folder, command: list[str], said: str) -> None:
    """Debian 13's systemd and Python; numpy and libcamera from apt; lgpio beside them."""
    assert said in copy.run(command).stdout


def test_a_copy_leaves_the_folder_alone_and_keeps_what_was_done(copy: Folder, folder: Path) -> None:
    """What a test writes is there for its next command, not for the next test."""
    copy.run(["sh", "-c", "echo written >/etc/of-a-test"])
    assert copy.run(["cat", "/etc/of-a-test"]).stdout == "written\n"
    assert not (folder / "etc/of-a-test").exists()


def test_a_copy_of_a_copy_begins_where_that_one_is(copy: Folder, tmp_path: Path) -> None:
    """An installed gate is copied for each test that harms it."""
    copy.run(["sh", "-c", "echo first >/etc/of-a-test"])
    second = copy.copy(tmp_path / "second")
    second.run(["sh", "-c", "echo second >>/etc/of-a-test"])
    assert second.run(["cat", "/etc/of-a-test"]).stdout == "first\nsecond\n"
    assert copy.run(["cat", "/etc/of-a-test"]).stdout == "first\n"


def test_offline_means_offline(copy: Folder) -> None:
    """A gate's package must not fetch anything: without being asked for, there is no network but a loopback."""
    assert copy.run(["ip", "-brief", "link"]).stdout.split()[0] == "lo"
    assert len(copy.run(["ip", "-brief", "link"]).stdout.splitlines()) == 1
