"""The gate's end of the link, with real sockets and real child processes that die, hang and lie."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from device.config import GateConfig, parse
from device.core.eye_messages import Beat, Glimpse, Hello, Message, Trouble, encode
from device.core.types import Box, Sighting
from device.edges.eye.link import BAD_LIMIT, START_LIMIT_S, EyeLink
from device.edges.machine.clock import SystemClock
from device.errors import ConfigError
from tests.eye.pages import png, symbol
from tests.fakes.clock import FakeClock

HELLO = Hello(pid=1, source="test", decoders=[])
BEAT = Beat(frames=1, skipped=0, empty=0, read=0, taken_ns=0, cpu_ms=0)
SIGHTING = Sighting(b"064090001234", 1, 2, 3, Box(0, 0, 9, 9), "zxing")


def configured(folder: Path, **eye: object) -> GateConfig:
    """A gate whose runtime folder is ``folder``."""
    return parse(
        {
            "gate": {"id": "test-gate", "site": "test-site", "runtime_dir": str(folder)},
            "privacy": {"site_key": str(folder / "site.key")},
            "eye": eye,
        },
        "test",
    )


class Peer:
    """A pretended eye at the other end of the socket."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.settimeout(5)
        self.socket.connect(str(path))

    def say(self, *messages: Message | bytes) -> Peer:
        """One datagram each."""
        for message in messages:
            self.socket.send(message if isinstance(message, bytes) else encode(message))
        return self

    def hung_up(self) -> bool:
        """Whether the gate has closed the connection."""
        try:
            return self.socket.recv(1) == b""
        except ConnectionResetError:
            return True


@pytest.fixture
def peers(tmp_path: Path) -> Iterator[Callable[[], Peer]]:
    """Makes pretended eyes; all are gone afterwards."""
    made: list[Peer] = []

    def make() -> Peer:
        made.append(Peer(tmp_path / "eye.sock"))
        return made[-1]

    yield make
    for peer in made:
        peer.socket.close()


@pytest.fixture
def clock() -> FakeClock:
    """Moves when told."""
    return FakeClock()


@pytest.fixture
def link(tmp_path: Path, clock: FakeClock) -> Iterator[EyeLink]:
    """A gate's end without an eye of its own."""
    link = EyeLink(configured(tmp_path), clock, None)
    yield link
    link.close()


def heard(link: EyeLink) -> list[Message]:
    """All that waits to be heard."""
    messages = []
    while (message := link.receive(0)) is not None:
        messages.append(message)
    return messages


# ---------------------------------------------------------------- messages


def test_messages_come_in_order(link: EyeLink, peers: Callable[[], Peer]) -> None:
    """Each call gives one message, in the order in which they were said."""
    peers().say(HELLO, BEAT, SIGHTING, Glimpse(frame=2, taken_ns=4))
    assert heard(link) == [HELLO, BEAT, SIGHTING, Glimpse(frame=2, taken_ns=4)]


def test_nothing_to_hear_is_none_after_the_time_and_not_before(link: EyeLink) -> None:
    """The gate's loop has other things to do."""
    before = time.monotonic()
    assert link.receive(0.15) is None
    assert 0.15 <= time.monotonic() - before < 0.6
    before = time.monotonic()
    assert link.receive(0) is None
    assert time.monotonic() - before < 0.1


def test_a_message_ends_the_wait(link: EyeLink, peers: Callable[[], Peer]) -> None:
    """A sighting is not kept waiting until the time is over."""
    peers().say(SIGHTING)
    before = time.monotonic()
    assert link.receive(5) == SIGHTING
    assert time.monotonic() - before < 1


def test_the_eye_is_alive_while_it_beats_or_sees_and_not_before_and_not_for_long_after(
    link: EyeLink, clock: FakeClock, peers: Callable[[], Peer]
) -> None:
    """Hello and trouble are words, not frames."""
    peer = peers()
    assert not link.alive
    for message, alive in ((HELLO, False), (Trouble(code="camera_missing", what=""), False), (SIGHTING, True), (BEAT, True)):
        peer.say(message)
        heard(link)
        assert link.alive is alive
        clock.advance(2.0)
        assert link.alive is alive
        clock.advance(0.01)
        assert not link.alive


def test_a_trouble_that_lasts_is_told_once_and_again_after_it_was_over(link: EyeLink, peers: Callable[[], Peer]) -> None:
    """The eye says it four times a second, the gate's record needs it once."""
    missing, stopped = Trouble(code="camera_missing", what="a"), Trouble(code="camera_missing", what="b")
    peers().say(missing, missing, missing, stopped, stopped, BEAT, stopped)
    assert heard(link) == [missing, stopped, BEAT, stopped]


@pytest.mark.parametrize("datagram", [b"no json", b"{}", b"x" * 9000, b'{"v":2,"type":"beat"}', b"\xff\xfe"])
def test_a_bad_datagram_is_dropped_and_counted_and_the_next_is_heard(link: EyeLink, peers: Callable[[], Peer], datagram: bytes) -> None:
    """The eye parses hostile pictures: what it says is believed only where it is well-formed."""
    peers().say(datagram, BEAT)
    assert heard(link) == [BEAT]
    assert link.stats()["bad_datagrams"] == 1


def test_an_eye_that_sends_too_many_bad_datagrams_is_cut_off(
    link: EyeLink, peers: Callable[[], Peer], caplog: pytest.LogCaptureFixture
) -> None:
    """Twenty and no more; the log has two lines about it and not twenty."""
    peer = peers().say(*[b"bad"] * BAD_LIMIT)
    assert heard(link) == []
    assert peer.hung_up()
    assert (link.stats()["dropped"], link.stats()["bad_datagrams"]) == (1, BAD_LIMIT)
    assert len(caplog.records) == 2


def test_a_new_connection_starts_with_a_clean_record(link: EyeLink, peers: Callable[[], Peer]) -> None:
    """The count is of one eye."""
    for _ in range(3):
        peer = peers().say(*[b"bad"] * (BAD_LIMIT - 1), BEAT)
        assert heard(link) == [BEAT]
        peer.socket.close()
    assert link.stats()["dropped"] == 0


def test_a_flood_of_words_that_are_no_news_does_not_hold_the_gate(link: EyeLink, peers: Callable[[], Peer]) -> None:
    """The time of one call is kept, whatever comes."""
    peer = peers()
    missing = Trouble(code="camera_missing", what="again")
    peer.say(missing)
    assert link.receive(1) == missing
    peer.socket.settimeout(0)
    before = time.monotonic()
    end = before + 0.3
    while time.monotonic() < end:
        try:
            while True:
                peer.say(missing)
        except BlockingIOError:
            pass
        assert link.receive(0.05) is None
    assert time.monotonic() - before < 1


# ---------------------------------------------------------------- connections


def test_the_newest_connection_wins(link: EyeLink, peers: Callable[[], Peer]) -> None:
    """An eye that was started again does not wait until the old one is missed."""
    old = peers().say(BEAT)
    heard(link)
    new = peers().say(HELLO)
    assert heard(link) == [HELLO]
    assert old.hung_up()
    new.say(SIGHTING)
    assert heard(link) == [SIGHTING]
    assert link.stats()["connections"] == 2


def test_an_eye_that_goes_and_comes_again_is_heard_again(link: EyeLink, peers: Callable[[], Peer]) -> None:
    """What it said before it went is still heard."""
    for _ in range(5):
        peers().say(HELLO, BEAT).socket.close()
        assert heard(link) == [HELLO, BEAT]
    assert link.stats()["connected"] is False


def test_only_this_user_and_root_may_connect(link: EyeLink, peers: Callable[[], Peer], monkeypatch: pytest.MonkeyPatch) -> None:
    """The mode of the socket says so, and the kernel's word about the other end is asked as well."""
    monkeypatch.setattr("device.edges.eye.link._peer", lambda _: (os.getuid() + 12345, 12345))
    stranger = peers().say(SIGHTING)
    assert heard(link) == []
    assert stranger.hung_up()
    assert link.stats()["refused"] == 1


def test_an_eye_of_another_user_may_connect_by_the_group_of_its_socket(
    tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only where the configuration names a socket for a separately run eye; a third user is still refused."""
    path = tmp_path / "shared.sock"
    link = EyeLink(configured(tmp_path, socket=str(path)), clock, None)
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    group = path.stat().st_gid
    for gid, let_in in ((group, True), (group + 12345, False)):
        monkeypatch.setattr("device.edges.eye.link._peer", lambda _, gid=gid: (os.getuid() + 12345, gid))
        eye = Peer(path).say(BEAT)
        assert heard(link) == ([BEAT] if let_in else [])
        eye.socket.close()
    link.close()


def test_the_gates_own_eye_is_never_of_another_user(link: EyeLink, peers: Callable[[], Peer], monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a socket of its own in the configuration the group counts for nothing."""
    monkeypatch.setattr("device.edges.eye.link._peer", lambda _: (os.getuid() + 12345, os.getgid()))
    peers().say(BEAT)
    assert heard(link) == []


def test_a_stranger_does_not_push_out_the_eye(link: EyeLink, peers: Callable[[], Peer], monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused before the old connection is closed."""
    eye = peers().say(BEAT)
    heard(link)
    with monkeypatch.context() as patch:
        patch.setattr("device.edges.eye.link._peer", lambda _: (os.getuid() + 12345, 12345))
        peers()
        heard(link)
    eye.say(SIGHTING)
    assert heard(link) == [SIGHTING]


def test_the_socket_is_for_its_owner_alone(link: EyeLink, tmp_path: Path) -> None:
    """The socket of the gate's own eye has mode 0600."""
    assert stat.S_IMODE((tmp_path / "eye.sock").stat().st_mode) == 0o600
    assert link.stats()["connected"] is False


def test_a_socket_left_by_a_gate_that_was_killed_is_replaced(tmp_path: Path, clock: FakeClock, peers: Callable[[], Peer]) -> None:
    """No hand has to remove it."""
    stale = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    stale.bind(str(tmp_path / "eye.sock"))
    stale.close()
    link = EyeLink(configured(tmp_path), clock, None)
    peers().say(BEAT)
    assert heard(link) == [BEAT]
    link.close()
    link.close()
    assert not (tmp_path / "eye.sock").exists()


def test_a_second_gate_on_the_same_socket_is_refused(link: EyeLink, tmp_path: Path, clock: FakeClock) -> None:
    """They would take each other's eyes in turn; and the first is not disturbed."""
    with pytest.raises(ConfigError, match=r"gate\.runtime_dir: another gate uses"):
        EyeLink(configured(tmp_path), clock, None)
    assert (tmp_path / "eye.sock").is_socket()
    assert link.stats()["connections"] == 0


def test_a_path_that_is_too_long_for_a_socket_is_refused_with_its_key(tmp_path: Path, clock: FakeClock) -> None:
    """The kernel's own message names no length."""
    with pytest.raises(ConfigError, match=r"gate\.runtime_dir: .* has 1\d\d bytes; the path of a socket has at most 107"):
        EyeLink(configured(tmp_path / ("x" * (108 - len(str(tmp_path))))), clock, None)


@pytest.mark.parametrize("where", ["file", "link"])
def test_a_path_that_is_taken_by_something_else_is_refused_and_left_alone(tmp_path: Path, clock: FakeClock, where: str) -> None:
    """Only a socket that somebody left behind is removed."""
    taken = tmp_path / "eye.sock"
    (tmp_path / "kept").write_text("kept")
    if where == "file":
        taken.write_text("kept")
    else:
        taken.symlink_to(tmp_path / "kept")
    with pytest.raises(ConfigError, match="no socket can be made"):
        EyeLink(configured(tmp_path), clock, None)
    assert taken.read_text() == "kept"


def test_a_folder_that_cannot_be_made_is_refused_with_its_key(tmp_path: Path, clock: FakeClock) -> None:
    """Here a file is in the way."""
    (tmp_path / "run").write_text("")
    with pytest.raises(ConfigError, match=r"gate\.runtime_dir: .*run cannot be used"):
        EyeLink(configured(tmp_path / "run"), clock, None)


def test_a_socket_named_by_the_configuration_has_no_eye_started(tmp_path: Path, clock: FakeClock, peers: Callable[[], Peer]) -> None:
    """An eye that is run separately is awaited, and none is started."""
    marker = tmp_path / "started"
    link = EyeLink(configured(tmp_path, socket=str(tmp_path / "eye.sock")), clock, ["touch", str(marker)])
    peers().say(BEAT)
    assert heard(link) == [BEAT]
    assert not marker.exists()
    assert link.stats()["pid"] is None
    link.close()


# ---------------------------------------------------------------- the eye's process

PRETENDED = textwrap.dedent(
    """
    import json, os, signal, socket, sys
    path, what = sys.argv[1], sys.argv[2]
    link = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET); link.connect(path)
    def say(**members): link.send(json.dumps({"v": 1} | members).encode())
    say(type="hello", pid=os.getpid(), source=os.environ.get("GATE_EYE_PARENT", ""), decoders=[])
    if what == "liar":
        while True: link.send(b"nonsense")
    while True:
        say(type="beat", frames=1, skipped=0, empty=0, read=0, taken_ns=0, cpu_ms=0)
        signal.sigtimedwait([], 0.05)
    """
)


SILENT = [sys.executable, "-S", "-E", "-c", "import signal; signal.pause()"]


class Gate:
    """A gate's end with an eye of its own, on the machine's clock."""

    def __init__(self, folder: Path, what: str, silent_limit_s: float = 0.6) -> None:
        program = folder / "pretended_eye.py"
        program.write_text(PRETENDED)
        command = [sys.executable, "-S", "-E", str(program), str(folder / "eye.sock"), what]
        self.link = EyeLink(configured(folder, silent_limit_s=silent_limit_s), SystemClock(), command)
        self.hellos: list[Hello] = []

    def until(self, reached: Callable[[], object], limit_s: float = 10) -> float:
        """Turn until something is so; the seconds that it took."""
        start = time.monotonic()
        while not reached():
            assert time.monotonic() - start < limit_s, self.link.stats()
            message = self.link.receive(0.02)
            if isinstance(message, Hello):
                self.hellos.append(message)
        return time.monotonic() - start

    @property
    def pid(self) -> int:
        """Of the eye."""
        pid = self.link.stats()["pid"]
        assert isinstance(pid, int)
        return pid


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Gate]]:
    """Makes gates with pretended eyes; no process is left afterwards."""
    made: list[Gate] = []

    def make(what: str, **settings: float) -> Gate:
        made.append(Gate(tmp_path, what, **settings))
        return made[-1]

    yield make
    for gate in made:
        gate.link.close()


def is_gone(pid: int) -> bool:
    """No process of that number, not even a dead one that nobody has asked for."""
    return not Path(f"/proc/{pid}").exists()


def has_another(gate: Gate, pid: int) -> bool:
    """Whether an eye runs that is not that process."""
    return gate.link.stats()["pid"] not in {pid, None}


def has_said_hello(gate: Gate) -> bool:
    """Whether the eye that runs has been heard."""
    return any(hello.pid == gate.link.stats()["pid"] for hello in gate.hellos)


def test_the_gate_s_own_eye_is_started_and_told_whose_it_is(start: Callable[..., Gate]) -> None:
    """So that it can end with its gate."""
    gate = start("well")
    gate.until(lambda: gate.link.alive)
    assert [(hello.pid, hello.source) for hello in gate.hellos] == [(gate.pid, str(os.getpid()))]


def test_a_killed_eye_is_started_again_within_a_second(start: Callable[..., Gate]) -> None:
    """Again and again; each time the wait grows, and nobody is left as a zombie."""
    gate = start("well", silent_limit_s=2.0)
    for round_ in range(3):
        gate.until(lambda: gate.link.alive)
        pid = gate.pid
        os.kill(pid, signal.SIGKILL)
        gate.until(partial(has_another, gate, pid))
        assert is_gone(pid)
        assert gate.link.stats()["restarts"] == round_ + 1
        gate.until(partial(has_said_hello, gate))


@pytest.fixture
def supervised(tmp_path: Path, clock: FakeClock) -> Iterator[EyeLink]:
    """A gate's end with a process of its own that says nothing by itself: a peer speaks for it, and time moves only when told."""
    link = EyeLink(configured(tmp_path, silent_limit_s=0.6), clock, SILENT)
    yield link
    link.close()


def own_pid(link: EyeLink) -> int:
    """The process that runs as the gate's own eye."""
    pid = link.stats()["pid"]
    assert isinstance(pid, int)
    return pid


def test_a_stopped_eye_is_missed_killed_and_replaced(supervised: EyeLink, clock: FakeClock, peers: Callable[[], Peer]) -> None:
    """It holds its connection and says nothing: out of service after the limit, and in service again by itself."""
    peers().say(BEAT)
    assert heard(supervised) == [BEAT]
    pid = own_pid(supervised)
    os.kill(pid, signal.SIGSTOP)
    clock.advance(0.6)
    assert supervised.receive(0) is None
    assert (supervised.alive, own_pid(supervised)) == (True, pid)
    clock.advance(0.001)
    assert not supervised.alive
    assert supervised.receive(0) is None
    assert is_gone(pid)
    clock.advance(0.2)
    supervised.receive(0)
    assert own_pid(supervised) != pid
    peers().say(BEAT)
    assert heard(supervised) == [BEAT]
    assert supervised.alive


def test_an_eye_that_cannot_be_started_is_no_error(tmp_path: Path, clock: FakeClock) -> None:
    """The gate works on, says that it is out of service, and tries again."""
    link = EyeLink(configured(tmp_path), clock, [str(tmp_path / "no such program")])
    clock.advance(5)
    assert link.receive(0) is None
    assert not link.alive
    assert link.stats()["restarts"] == 2
    link.close()


def test_an_eye_that_waits_for_its_camera_is_out_of_service_and_left_in_peace(
    supervised: EyeLink, clock: FakeClock, peers: Callable[[], Peer]
) -> None:
    """It says so: that is no silence, and killing it would help nobody."""
    peer = peers().say(HELLO)
    assert heard(supervised) == [HELLO]
    pid = own_pid(supervised)
    for _ in range(10):
        clock.advance(0.5)
        peer.say(Trouble(code="camera_missing", what=""))
        heard(supervised)
    assert not supervised.alive
    assert (own_pid(supervised), supervised.stats()["restarts"]) == (pid, 0)


def test_an_eye_without_a_first_word_is_given_time_and_then_killed(supervised: EyeLink, clock: FakeClock) -> None:
    """A Pi's camera stack takes seconds to load; a hang at the start must end all the same."""
    pid = own_pid(supervised)
    clock.advance(START_LIMIT_S)
    supervised.receive(0)
    assert own_pid(supervised) == pid
    clock.advance(0.001)
    supervised.receive(0)
    assert supervised.stats()["restarts"] == 1


def test_a_gate_that_was_slow_itself_does_not_take_its_eye_for_silent(
    supervised: EyeLink, clock: FakeClock, peers: Callable[[], Peer]
) -> None:
    """After a stall of the gate the beats that wait are heard before the eye is judged; without any it is killed."""
    peer = peers().say(BEAT)
    assert heard(supervised) == [BEAT]
    peer.say(BEAT)
    clock.advance(0.9)
    assert supervised.receive(0) == BEAT
    assert supervised.receive(0) is None
    assert (supervised.alive, supervised.stats()["restarts"]) == (True, 0)
    clock.advance(0.9)
    assert supervised.receive(0) is None
    assert supervised.stats()["restarts"] == 1


def test_an_eye_that_talks_nonsense_is_replaced(start: Callable[..., Gate]) -> None:
    """It is of another version, or no longer itself."""
    gate = start("liar")
    gate.until(lambda: gate.link.stats()["restarts"])
    assert gate.link.stats()["dropped"] == 1


def test_a_failed_start_of_the_gate_leaves_no_lock(tmp_path: Path, clock: FakeClock) -> None:
    """The next attempt gets the socket."""
    (tmp_path / "eye.sock").write_text("in the way")
    with pytest.raises(ConfigError):
        EyeLink(configured(tmp_path), clock, None)
    (tmp_path / "eye.sock").unlink()
    EyeLink(configured(tmp_path), clock, None).close()


# ---------------------------------------------------------------- the real eye


def test_the_real_eye_comes_back_after_every_kind_of_death(tmp_path: Path) -> None:
    """Killed, stopped, aborted: a code before the camera is seen again each time, within the limits that were promised."""
    frames = tmp_path / "frames"
    frames.mkdir()
    (frames / "1.png").write_bytes(png(symbol(b"still here")))
    (tmp_path / "site.key").write_text("0" * 64)
    file = tmp_path / "gate.toml"
    file.write_text(
        f'[gate]\nid = "test-gate"\nsite = "test-site"\nruntime_dir = {json.dumps(str(tmp_path))}\n'
        f'[privacy]\nsite_key = "site.key"\n[camera]\nsource = {json.dumps(f"folder:{frames}")}\n'
    )
    config = configured(tmp_path)
    link = EyeLink(config, SystemClock(), [sys.executable, "-m", "device.eye", "--config", str(file)])
    try:
        seen_by = _see(link)
        for number in (signal.SIGKILL, signal.SIGSTOP, signal.SIGABRT, signal.SIGALRM):
            os.kill(seen_by, number)
            before, seen_by = seen_by, _see(link, but=seen_by)
            assert is_gone(before)
        assert link.stats()["restarts"] == 4
    finally:
        link.close()


def _see(link: EyeLink, but: int = 0) -> int:
    """Wait until a code is seen by an eye other than ``but``; the number of that eye's process."""
    eye = 0
    end = time.monotonic() + 20
    while True:
        message = link.receive(0.1)
        if isinstance(message, Hello) and message.pid != but:
            eye = message.pid
        elif isinstance(message, Sighting) and eye:
            assert link.alive
            return eye
        assert time.monotonic() < end
