"""Small files that must be whole: keys read, state written so that a power cut leaves the old or the new."""

from __future__ import annotations

import json
import os
import re
import stat
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from device.core.types import Json
from device.errors import KeyUnusable

SITE_KEY_DIGITS: Final = 64
"""Hexadecimal digits of a site's key of 32 bytes."""

_KEY_LINE: Final = re.compile(rb"[0-9A-Fa-f]{64}")


def replace_durably(path: Path, content: bytes, *, mode: int = 0o600) -> None:
    """Put ``content`` in the place of ``path`` so that after a power cut it holds all of the old or all of the new.

    Raises OSError, and then leaves the old file as it was and no other behind.
    """
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(name).unlink()
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make renames, new names and removals in ``folder`` durable. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_status(path: Path, status: Mapping[str, Json], *, mode: int = 0o644) -> None:
    """Put a JSON object in the place of ``path`` at once, for readers on this machine.

    It lies on a tmpfs, is gone at the next boot and is not synced. Raises OSError.
    """
    temporary = path.with_name(f".{path.name}.new")
    content = json.dumps(dict(status), ensure_ascii=False, separators=(",", ":")).encode()
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, mode)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(file.fileno(), mode)
        file.write(content)
    temporary.replace(path)


def read_site_key(path: Path) -> bytes:
    """The site's key of 32 bytes from its file of 64 hexadecimal digits. Raises KeyUnusable, which never quotes the file."""
    try:
        content = read_plain(path, limit=4096)
    except (OSError, ValueError) as error:
        raise KeyUnusable(f"{path}: the site's key cannot be read: {_why(error)}") from error
    digits = content.strip()
    if _KEY_LINE.fullmatch(digits) is None:
        raise KeyUnusable(f"{path}: not a site's key: {SITE_KEY_DIGITS} hexadecimal digits are needed, and nothing else")
    return bytes.fromhex(digits.decode("ascii"))


def read_plain(path: Path, limit: int) -> bytes:
    """The content of a plain file of at most ``limit`` bytes; a device or a pipe would never end. Raises OSError or ValueError."""
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ValueError("not a plain file")
        content = file.read(limit + 1)
    if len(content) > limit:
        raise ValueError(f"larger than {limit} bytes")
    return content


def _why(error: Exception) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)
