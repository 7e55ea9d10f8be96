"""What only a laptop has: asked for by name, and said in one sentence where it is not."""

from __future__ import annotations

import subprocess
import sys

import pytest

from device.errors import LaptopOnly
from device.laptop import VIDEO, WORKBENCH, is_here, need


@pytest.mark.parametrize("part", [VIDEO, WORKBENCH])
def test_a_clone_has_both_parts(part: str) -> None:
    """Where the tests run is a laptop; the built wheel is asked in the tests of the whole system."""
    assert is_here(part)
    need(part, "anything")


def test_what_is_not_here_is_refused_with_where_it_is_and_how_to_run_it() -> None:
    """The words that the person typed stand in the command to be typed there."""
    with pytest.raises(LaptopOnly) as caught:
        need("device.no_such_part", "demo --json")
    assert str(caught.value) == "`gate demo --json` runs on a laptop: `provisioning/bootstrap gate demo --json` in a clone of the project"


def test_asking_imports_nothing() -> None:
    """A verb that needs no video must not pay for one."""
    code = f"import sys; from device.laptop import is_here; print(is_here({VIDEO!r}), is_here({WORKBENCH!r}), 'numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["True", "True", "False"]
