"""Small files that must be whole."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import NoReturn

import pytest

from device.edges.machine.files import read_site_key, replace_durably, write_status
from device.errors import KeyUnusable

KEY = bytes(range(32))
HASHES = [bytes([number]) * 32 for number in (1, 2, 200)]


def others(path: Path) -> list[str]:
    """Names beside ``path`` in its folder."""
    return sorted(other.name for other in path.parent.iterdir() if other != path)


def test_a_file_is_replaced_whole_with_its_mode(tmp_path: Path) -> None:
    """The new content stands in the place of the old, readable by nobody else, and nothing is left behind."""
    target = tmp_path / "state"
    replace_durably(target, b"old")
    replace_durably(target, b"new")
    assert target.read_bytes() == b"new"
    assert target.stat().st_mode & 0o777 == 0o600
    assert others(target) == []


def test_content_and_name_are_synced_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The content is on the disk before the name points to it, and the name before the call returns."""
    steps: list[str] = []
    sync, rename = os.fsync, Path.replace

    def noted_sync(descriptor: int) -> None:
        steps.append("sync")
        sync(descriptor)

    def noted_rename(path: Path, target: Path) -> Path:
        steps.append("rename")
        return rename(path, target)

    monkeypatch.setattr(os, "fsync", noted_sync)
    monkeypatch.setattr(Path, "replace", noted_rename)
    replace_durably(tmp_path / "state", b"content")
    assert steps == ["sync", "rename", "sync"]


@pytest.mark.parametrize("step", ["fsync", "fchmod"])
def test_a_failing_disk_leaves_the_old_file_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """Whatever step fails, the old content stays and no half-written file lies about."""

    def fail(*_: object) -> NoReturn:
        raise OSError(5, "Input/output error")

    target = tmp_path / "state"
    replace_durably(target, b"old")
    monkeypatch.setattr(os, step, fail)
    with pytest.raises(OSError, match="Input/output error"):
        replace_durably(target, b"new")
    assert target.read_bytes() == b"old"
    assert others(target) == []


def test_the_status_file_is_replaced_at_once_and_can_be_read_by_all(tmp_path: Path) -> None:
    """A reader finds the old or the new status, never half of one."""
    target = tmp_path / "status.json"
    write_status(target, {"state": "ready"})
    with target.open("rb") as reader:
        write_status(target, {"state": "sẵn sàng", "waiting": 3})
        assert json.loads(reader.read()) == {"state": "ready"}
    assert json.loads(target.read_bytes()) == {"state": "sẵn sàng", "waiting": 3}
    assert target.stat().st_mode & 0o777 == 0o644
    assert others(target) == []


def test_the_status_file_follows_no_link(tmp_path: Path) -> None:
    """Whoever may write in the runtime folder cannot make the gate overwrite another file."""
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / ".status.json.new").symlink_to(victim)
    with pytest.raises(OSError, match=r"symbolic links"):
        write_status(tmp_path / "status.json", {})
    assert victim.read_text() == "precious"


@pytest.mark.parametrize("form", ["{}", "{}\n", "  {}\r\n"])
def test_a_site_key_is_64_digits_and_white_space_around_them(tmp_path: Path, form: str) -> None:
    """Upper and lower case digits are one key, with or without the line's end."""
    file = tmp_path / "site.key"
    for digits in (KEY.hex(), KEY.hex().upper()):
        file.write_text(form.format(digits))
        assert read_site_key(file) == KEY


@pytest.mark.parametrize(
    "content", [b"", KEY, KEY.hex()[:-2].encode(), KEY.hex().encode() + b"00", KEY.hex().replace("0", "g").encode(), b"\xff" * 64]
)
def test_anything_else_is_no_site_key_and_is_not_quoted(tmp_path: Path, content: bytes) -> None:
    """The error names the file and never repeats what may be most of a key."""
    file = tmp_path / "site.key"
    file.write_bytes(content)
    with pytest.raises(KeyUnusable, match=r"site\.key: not a site's key") as caught:
        read_site_key(file)
    assert KEY.hex()[:16] not in str(caught.value)


def test_a_missing_site_key_is_named(tmp_path: Path) -> None:
    """A key file that is not there, or is a folder, is told with its name and the reason."""
    with pytest.raises(KeyUnusable, match=r"site\.key: .*No such file"):
        read_site_key(tmp_path / "site.key")
    with pytest.raises(KeyUnusable, match="cannot be read"):
        read_site_key(tmp_path)


def test_a_pipe_in_place_of_a_key_does_not_hang_the_start(tmp_path: Path) -> None:
    """Only plain files are read: a pipe would wait for ever and a device never end."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(KeyUnusable, match="not a plain file"):
        read_site_key(tmp_path / "pipe")
