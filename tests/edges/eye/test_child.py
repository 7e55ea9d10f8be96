"""A process that the gate keeps running, with real ones that end, hang and will not stop."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from device.edges.eye.child import BACK_OFF_S, GOOD_RUN_S, STOP_LIMIT_S, Child, describe_exit, wait_readable
from tests.fakes.clock import FakeClock

LIMIT_S = 30.0
"""Only a process that never does what it should is waited for so long."""

WAITS = "import signal; signal.pause()"
ENDS = ""
DEAF = "import signal, sys; signal.signal(15, signal.SIG_IGN); open(sys.argv[1], 'w').close()\nwhile True: signal.pause()"


@pytest.fixture
def clock() -> FakeClock:
    """Moves only when told."""
    return FakeClock()


@pytest.fixture
def start(clock: FakeClock) -> Iterator[Callable[..., Child]]:
    """Makes children of a line of Python; no process is left afterwards."""
    made: list[Child] = []

    def make(program: str, *arguments: str, **environment: str) -> Child:
        made.append(Child([sys.executable, "-S", "-E", "-c", program, *arguments], clock, environment))
        made[-1].tend()
        return made[-1]

    yield make
    for child in made:
        child.close()


def wait_for_end(child: Child) -> None:
    """Wait until the process has ended; the child has still to take leave of it."""
    descriptor = child.fileno()
    assert descriptor is not None
    pid = child.pid
    wait_readable([descriptor], LIMIT_S)
    assert child.pid == pid


def pid_of(child: Child) -> int:
    """The running process."""
    assert child.pid is not None
    return child.pid


def is_gone(pid: int) -> bool:
    """No process of that number, not even a dead one that nobody has asked for."""
    return not Path(f"/proc/{pid}").exists()


def test_a_process_is_started_in_the_first_turn_with_its_own_environment(tmp_path: Path, start: Callable[..., Child]) -> None:
    """Beside everything that the gate itself has in its environment, and in a group of its own, so that Ctrl-C reaches the gate alone."""
    told = tmp_path / "told"
    child = start(
        "import os, sys; open(sys.argv[1], 'w').write(f\"{os.environ['MARK']} {os.environ['PATH']} {os.getpgid(0) == os.getpid()}\")",
        str(told),
        MARK="a mark",
    )
    wait_for_end(child)
    assert told.read_text() == f"a mark {os.environ['PATH']} True"
    assert child.restarts == 0


def test_what_a_process_says_does_not_mix_with_the_gate_s_answers(start: Callable[..., Child], capfd: pytest.CaptureFixture[str]) -> None:
    """Its standard output goes to the gate's standard error, and it has nothing to read."""
    child = start("import sys; print('said', repr(sys.stdin.read()))")
    wait_for_end(child)
    out, err = capfd.readouterr()
    assert (out, err) == ("", "said ''\n")


def test_a_process_that_ends_is_started_again_ever_more_slowly(start: Callable[..., Child], clock: FakeClock) -> None:
    """0.2, 0.5, 1, 2, 5, 5 … seconds; between two there is no process, no descriptor and no time that it runs."""
    child = start(ENDS)
    for number, wait_s in enumerate([*BACK_OFF_S, BACK_OFF_S[-1]], start=1):
        wait_for_end(child)
        child.tend()
        assert (child.pid, child.fileno(), child.running_s, child.restarts) == (None, None, 0.0, number)
        clock.advance(wait_s - 0.001)
        child.tend()
        assert child.pid is None
        clock.advance(0.001)
        child.tend()
        assert child.pid is not None
    assert BACK_OFF_S == (0.2, 0.5, 1.0, 2.0, 5.0)


def test_after_a_good_run_the_next_wait_is_the_shortest(start: Callable[..., Child], clock: FakeClock) -> None:
    """Ten seconds are a good run, and a moment less is none."""
    child = start(WAITS)
    for run_s, wait_s in ((GOOD_RUN_S - 0.001, BACK_OFF_S[0]), (GOOD_RUN_S - 0.001, BACK_OFF_S[1]), (GOOD_RUN_S, BACK_OFF_S[0])):
        clock.advance(run_s)
        assert child.running_s == pytest.approx(run_s)
        child.kill("for the test")
        clock.advance(wait_s - 0.001)
        child.tend()
        assert child.pid is None
        clock.advance(0.001)
        child.tend()
        assert child.pid is not None


def test_a_process_that_hangs_is_killed_at_once(start: Callable[..., Child], caplog: pytest.LogCaptureFixture) -> None:
    """A stopped one too; the log says why, and what it died of."""
    child = start(WAITS)
    pid = pid_of(child)
    os.kill(pid, signal.SIGSTOP)
    child.kill("silent for 3 s")
    assert is_gone(pid)
    assert child.pid is None
    assert f"the eye (pid {pid}) is killed: silent for 3 s" in caplog.text
    assert f"the eye (pid {pid}) ended: SIGKILL" in caplog.text
    child.kill("again")
    assert child.restarts == 1


def test_a_program_that_cannot_be_started_is_tried_again(tmp_path: Path, clock: FakeClock, caplog: pytest.LogCaptureFixture) -> None:
    """After the same waits; the gate works on meanwhile."""
    child = Child([str(tmp_path / "no such program")], clock, {})
    for number, wait_s in enumerate(BACK_OFF_S[:3], start=1):
        child.tend()
        assert (child.pid, child.restarts) == (None, number)
        clock.advance(wait_s - 0.001)
        child.tend()
        assert child.restarts == number
        clock.advance(0.001)
    assert caplog.text.count("the eye does not start") == 3


def test_an_orderly_stop_leaves_no_process(start: Callable[..., Child]) -> None:
    """It is asked to end, and goes; closing again does nothing."""
    child = start(WAITS)
    pid = pid_of(child)
    child.close()
    child.close()
    assert is_gone(pid)
    assert (child.pid, child.fileno(), child.restarts) == (None, None, 0)


def test_a_process_that_will_not_stop_is_killed(tmp_path: Path, start: Callable[..., Child], monkeypatch: pytest.MonkeyPatch) -> None:
    """Two seconds are the limit in a gate."""
    assert STOP_LIMIT_S == 2.0
    monkeypatch.setattr("device.edges.eye.child.STOP_LIMIT_S", 0.1)
    ready = tmp_path / "ready"
    os.mkfifo(ready)
    child = start(DEAF, str(ready))
    # Opening the pipe waits until the process has opened it too, and by then it is deaf.
    ready.read_bytes()
    pid = pid_of(child)
    child.close()
    assert is_gone(pid)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (0, "exit code 0"),
        (3, "exit code 3"),
        (-signal.SIGALRM, "a frame took too long (SIGALRM)"),
        (-signal.SIGSEGV, "SIGSEGV"),
        (-99, "signal 99"),
    ],
)
def test_an_exit_code_is_said_in_words(code: int, words: str) -> None:
    """For whoever reads the log."""
    assert describe_exit(code) == words


def test_waiting_ends_with_the_first_descriptor_that_can_be_read() -> None:
    """A hang-up at the other end counts as something to read; nothing at all is waited for no longer than was said."""
    quiet, other = os.pipe()
    ends, gone = os.pipe()
    os.close(gone)
    wait_readable([quiet, ends], LIMIT_S)
    wait_readable([quiet], 0)
    for descriptor in (quiet, other, ends):
        os.close(descriptor)
