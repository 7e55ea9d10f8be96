"""The guard of ``tests/conftest.py`` sees what a test leaves running, and ends it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

pytest_plugins = ["pytester"]

CONFTEST: Final = (Path(__file__).resolve().parents[1] / "conftest.py").read_text(encoding="utf-8")

UNTIDY: Final = """
import os, subprocess, threading

kept = []

def test_thread():
    threading.Thread(target=threading.Event().wait, name="forgotten", daemon=True).start()

def test_process():
    kept.append(subprocess.Popen(["sleep", "600"]))

def test_ended_process():
    pid = os.fork() or os._exit(0)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)

def test_tidy():
    subprocess.run(["true"])
    threading.Timer(0.01, int).start()  # ends within the grace
"""


def test_what_a_test_leaves_running_fails_it(pytester: pytest.Pytester) -> None:
    """A thread, a process and one not waited for are each named in the report of the test that left them; a tidy test passes."""
    pytester.makeconftest(CONFTEST.replace("GRACE_S: Final = 2.0", "GRACE_S: Final = 0.2"))
    pytester.makepyfile(UNTIDY)
    result = pytester.runpytest_subprocess("-p", "no:randomly", "-p", "no:cacheprovider")
    result.assert_outcomes(passed=4, errors=3)
    result.stdout.fnmatch_lines_random(
        ["*left running: thread forgotten*", "*left running: process *: sleep 600*", "*left running: *: ended, but not waited for*"]
    )
