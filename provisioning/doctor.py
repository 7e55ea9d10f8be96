"""The laptop's own check: whether the tool has what it needs, before somebody stands at a site without it."""

from __future__ import annotations

import platform
import shutil
import stat
import sys
import time
from collections.abc import Callable, Iterator
from typing import Final, TypedDict

from provisioning.authority.keys import Purpose
from provisioning.common.errors import Refused
from provisioning.desk import Desk
from provisioning.paper.style import missing_letters, typefaces

OLDEST_PYTHON: Final = (3, 11)
RELEASED_S: Final = 1_795_737_600
"""27 November 2026: no clock is right that is before it."""
LEAST_FREE_MIB: Final = 500


class Check(TypedDict):
    """One row: ``pass``, ``warn`` or ``fail``, the check's key in the catalogue, and what was found."""

    outcome: str
    check: str
    value: str


def checks(desk: Desk) -> Iterator[Check]:
    """Each check, in the order in which one would mend them."""
    version = platform.python_version()
    yield Check(outcome="pass" if sys.version_info >= OLDEST_PYTHON else "fail", check="python", value=version)
    yield Check(outcome="pass" if time.time() > RELEASED_S else "fail", check="clock", value=time.strftime("%Y-%m-%d %H:%M"))
    for key, look in (
        ("home", _home),
        ("registry", _registry),
        ("authority", _authority),
        ("root_key", _root_key),
        ("typeface", _typeface),
        ("ssh", _ssh),
    ):
        yield _looked(desk, key, look)
    free = shutil.disk_usage(next(path for path in (desk.settings.home, *desk.settings.home.parents) if path.exists())).free >> 20
    yield Check(outcome="pass" if free >= LEAST_FREE_MIB else "fail", check="space", value=f"{free} MiB")


def _looked(desk: Desk, key: str, look: Callable[[Desk], tuple[str, str]]) -> Check:
    try:
        outcome, value = look(desk)
    except Refused as refused:
        outcome, value = "fail", refused.code
    return Check(outcome=outcome, check=key, value=value)


def _home(desk: Desk) -> tuple[str, str]:
    folder = desk.settings.home
    if not folder.exists():
        return "warn", f"{folder} -"
    open_to_others = stat.S_IMODE(folder.stat().st_mode) & 0o077
    return "fail" if open_to_others and sys.platform != "win32" else "pass", f"{folder} {stat.S_IMODE(folder.stat().st_mode):o}"


def _registry(desk: Desk) -> tuple[str, str]:
    return "pass", desk.registry.name


def _authority(desk: Desk) -> tuple[str, str]:
    if not desk.authority.exists:
        return "warn", "-"
    return "pass", f"{min(desk.authority.certificate(issuer).not_valid_after_utc for issuer in (Purpose.GATES, Purpose.CLAIMS)):%Y-%m-%d}"


def _root_key(desk: Desk) -> tuple[str, str]:
    path = desk.authority.folder / f"{Purpose.ROOT}.key.pem"
    return ("warn", str(path)) if path.exists() else ("pass", "-")


def _typeface(_: Desk) -> tuple[str, str]:
    for path in typefaces().values():
        missing = missing_letters(path)
        if missing:
            return "fail", f"{path.name}: {missing}"
    return "pass", "DejaVu Sans"


def _ssh(_: Desk) -> tuple[str, str]:
    program = shutil.which("ssh")
    return ("warn", "E210") if program is None else ("pass", program)
