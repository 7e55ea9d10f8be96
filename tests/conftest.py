"""What holds for every test: how hard hypothesis tries, and that nothing is left running."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from hypothesis import HealthCheck, settings

from tests.waiting import happens

# No example has a deadline: a busy machine is no fault. `quick` and `ci` always try the same examples, so that a red run
# can be repeated; `long` searches. HYPOTHESIS_PROFILE or `pytest --hypothesis-profile` chooses.
settings.register_profile("quick", deadline=None, max_examples=20, derandomize=True, database=None)
settings.register_profile("ci", settings.get_profile("quick"), max_examples=100)
settings.register_profile(
    "long", deadline=None, max_examples=5_000, derandomize=False, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))

MOST_WORKERS: Final = 4


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """More than one for each processor, since tests wait, too; none for a part of the suite, which starts sooner and shows its output."""
    options = config.getini("addopts")
    # Other marks choose tests that need the machine for themselves.
    usual = config.option.markexpr == options[options.index("-m") + 1] and not config.option.keyword and config.option.capture != "no"
    whole = config.args_source is pytest.Config.ArgsSource.TESTPATHS
    return min(MOST_WORKERS, 1 + (os.cpu_count() or 1)) if whole and usual else 0


GRACE_S: Final = 2.0
"""A thread that was told to stop may take so long to end."""


def children() -> set[int]:
    """Process ids of this process's own children, also of those that ended and were not waited for.

    The kernel is asked first whether there are any, since looking through all processes costs some milliseconds.
    """
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return set()
    return {int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit() and parent_of(entry) == os.getpid()}


def stat_of(process: Path) -> list[str]:
    """What /proc says of a process after its name: state, parent, and so on; empty when the process has just gone."""
    try:
        stat = (process / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return stat.rpartition(")")[2].split()


def parent_of(process: Path) -> int | None:
    """The parent's process id; None when the process has just gone."""
    stat = stat_of(process)
    return int(stat[1]) if stat else None


def command_of(pid: int) -> str:
    """What a process was started as. One that has ended has no command left, and for a moment one that is just starting has none yet."""
    process = Path(f"/proc/{pid}")
    found = ""

    def known() -> bool:
        nonlocal found
        if stat_of(process)[:1] in ([], ["Z"]):
            return True
        found = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        return bool(found)

    happens(known, 1.0)
    return found or "ended, but not waited for"


def end(pid: int) -> None:
    """Kill what a test left behind, so that the next test is judged by its own doings."""
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


@pytest.fixture(autouse=True)
def nothing_left_running() -> Iterator[None]:
    """Fail a test that leaves a thread or a child process behind. Fixtures of a wider scope may keep theirs."""
    threads_before, children_before = set(threading.enumerate()), children()
    yield
    deadline = time.monotonic() + GRACE_S
    new_threads = [thread for thread in threading.enumerate() if thread not in threads_before]
    for thread in new_threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    left = [f"thread {thread.name}" for thread in new_threads if thread.is_alive()]
    for pid in children() - children_before:
        left.append(f"process {pid}: {command_of(pid)}")
        end(pid)
    if left:
        pytest.fail("left running: " + "; ".join(left))
