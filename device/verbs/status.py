"""`gate status`: how the running gate is, from the status file that it writes each second."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Final

from device.condition import STATUS_FILE
from device.core.plain_words import VIEWS
from device.core.problems import ADVICE, Problem
from device.errors import NotRunning

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

STALE_S: Final = 10.0
"""A status that old was written by a gate that hangs or is gone."""

_NOTHING: Final[tuple[object, ...]] = (None, 0, "", [], {})
"""Not worth a word to a person."""


def read_status(runtime_dir: Path) -> dict[str, Any] | None:
    """The status of the gate that runs here, None where none does."""
    try:
        return _read(runtime_dir / STATUS_FILE)
    except NotRunning:
        return None


def print_status(runtime_dir: Path, *, as_json: bool) -> int:
    """Print the status. Returns 0 when the gate is well, 1 when it is not. Raises NotRunning when there is no gate to ask."""
    status = _read(runtime_dir / STATUS_FILE)
    print(json.dumps(status, ensure_ascii=False) if as_json else _drawn(status))
    return 0 if not status["problems"] else 1


def _read(path: Path) -> dict[str, Any]:
    try:
        age_s = time.time() - path.stat().st_mtime
        status: dict[str, Any] = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise NotRunning(f"{path}: {error}") from error
    if age_s > STALE_S:
        raise NotRunning(f"{path}: last written {age_s:.0f} s ago")
    return status


def _drawn(status: dict[str, Any]) -> str:
    lines = [f"{status['gate']}: {status['state']}"]
    for part in ("decisions", "journal", "uplink", "eye", "signals", "machine"):
        figures = ", ".join(f"{key} {_short(value)}" for key, value in status[part].items() if value not in _NOTHING)
        lines.append(f"  {part:10} {figures}")
    for code in status["problems"]:
        # Of the view it is known what is wrong with it; the advice for the code has to name everything.
        advice = VIEWS[status["eye"]["view"]] if code == Problem.VIEW else ADVICE[Problem(code)]
        lines.append(f"  ! {advice.vi} · {advice.en}")
    if not status["problems"]:
        lines.append("  Cổng hoạt động tốt. · The gate is well.")
    return "\n".join(lines)


def _short(value: object) -> str:
    if isinstance(value, dict):
        return "/".join(_short(part) for part in value.values() if part is not None) or "-"
    if isinstance(value, list):
        return " ".join(map(_short, value)) or "-"
    return f"{value:g}" if isinstance(value, float) else str(value)
