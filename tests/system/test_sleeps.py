"""A test waits for a state, not for a time: a pause that is long enough here is too short on a slower machine."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Final

TESTS: Final = Path(__file__).resolve().parents[1]

LABORATORIES: Final = frozenset({"lab", "faults", "bench", "hardware"})
"""Where time itself is what is tried: whole machines, faults that last, measurements."""


def pauses(source: str) -> list[int]:
    """The lines on which something sleeps, by whatever name it was imported."""
    return [
        node.lineno
        for node in ast.walk(ast.parse(source))
        if (isinstance(node, ast.Attribute) and node.attr == "sleep")
        or (isinstance(node, ast.Name) and node.id == "sleep")
        or (isinstance(node, ast.ImportFrom) and any(name.name == "sleep" for name in node.names))
        or (isinstance(node, ast.Constant) and isinstance(node.value, str) and "time.sleep(" in node.value)
    ]


def test_no_test_sleeps_outside_the_laboratories() -> None:
    """Not in the programs that tests start, either."""
    found = {
        f"{path.relative_to(TESTS)}:{line}"
        for path in TESTS.rglob("*.py")
        if path.relative_to(TESTS).parts[0] not in LABORATORIES and path.name != Path(__file__).name
        for line in pauses(path.read_text(encoding="utf-8"))
    }
    assert found == set()


def test_a_pause_is_seen_by_whatever_name() -> None:
    """The measure itself."""
    assert pauses("import time\ntime.sleep(1)\n") == [2]
    assert pauses("from time import sleep as rest\nrest(1)\n") == [1]
    assert pauses("CODE = 'import time; time.sleep(60)'\n") == [1]
    assert pauses("Event().wait(1)\n") == []
