"""The eye as a process of its own: start, stop, limits and death, with real children and a real socket."""

from __future__ import annotations

import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Generator, Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from device.core.eye_messages import Beat, Hello, Message, Trouble, decode
from device.core.types import Sighting
from tests.conftest import stat_of
from tests.eye.pages import png, symbol
from tests.waiting import until

START_S = 20
WITHOUT_CAMERA_STACK = pytest.mark.skipif(find_spec("libcamera") is not None, reason="libcamera is installed, so nothing is missing")


class Stage:
    """A folder with a configuration, frames, and the gate's end of the socket."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.frames = folder / "frames"
        self.frames.mkdir()
        (folder / "site.key").write_text("0" * 64)
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.listener.bind(str(folder / "eye.sock"))
        self.listener.listen(2)
        self.listener.settimeout(START_S)
        self.config = folder / "gate.toml"
        self.configure(f"folder:{self.frames}")
        self.processes: list[subprocess.Popen[str]] = []

    def configure(self, source: str, more: str = "") -> None:
        """Write the configuration."""
        self.config.write_text(
            f'[gate]\nid = "test-gate"\nsite = "test-site"\nruntime_dir = "{self.folder}"\n'
            f'[privacy]\nsite_key = "{self.folder}/site.key"\n[camera]\nsource = "{source}"\n{more}\n'
        )

    def show(self, name: str, pixels: np.typing.NDArray[np.uint8]) -> None:
        """Put a picture before the eye."""
        (self.frames / name).write_bytes(png(pixels))

    def start(self, *, code: str | None = None, **environment: str) -> subprocess.Popen[str]:
        """An eye; ``code`` is run instead of the module."""
        command = ["-m", "device.eye"] if code is None else ["-c", code]
        process = subprocess.Popen(
            [sys.executable, *command, "--config", str(self.config)],
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | environment,
        )
        self.processes.append(process)
        return process

    def accept(self) -> Generator[Message, None, None]:
        """What the next eye says, until it has gone."""
        connection, _ = self.listener.accept()
        connection.settimeout(START_S)
        with connection:
            while datagram := connection.recv(65536):
                yield decode(datagram)

    def close(self) -> None:
        """Leave no process behind."""
        for process in self.processes:
            process.kill()
            process.wait()
            if process.stderr:
                process.stderr.close()
        self.listener.close()


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """A stage that is cleared afterwards."""
    stage = Stage(tmp_path)
    yield stage
    stage.close()


def ended(process: subprocess.Popen[str], limit_s: float = START_S) -> tuple[int, str]:
    """Exit code and what was written to standard error."""
    _, err = process.communicate(timeout=limit_s)
    return process.returncode, err


def test_it_says_hello_reads_its_folder_and_stops_when_told(stage: Stage) -> None:
    """SIGTERM is an orderly end."""
    stage.show("1.png", symbol("Rơ Châm H'Blui".encode()))
    process = stage.start()
    messages = stage.accept()
    hello = next(messages)
    assert isinstance(hello, Hello)
    assert (hello.pid, hello.source, hello.decoders) == (process.pid, "folder", ["zbar", "zxing", "zxing-plain"])
    sighting = next(message for message in messages if isinstance(message, Sighting))
    assert sighting.payload == "Rơ Châm H'Blui".encode()
    assert sighting.taken_ns <= sighting.read_ns <= time.monotonic_ns()
    process.send_signal(signal.SIGTERM)
    code, err = ended(process)
    assert code == 0
    assert "Traceback" not in err
    messages.close()


def test_it_gives_up_what_it_does_not_need(stage: Stage) -> None:
    """No core dump, through a pipe neither, and a bound on memory."""
    process = stage.start(
        code="import ctypes, signal, sys\n"
        "from device.eye import loop, __main__ as start\n"
        "def told(*_):\n"
        "    print('dumpable', ctypes.CDLL(None).prctl(3, 0, 0, 0, 0), file=sys.stderr, flush=True)\n"
        "    signal.pause()\n"
        "loop.EyeLoop.run = told\n"
        "start._run()\n"
    )
    assert process.stderr is not None
    assert process.stderr.readline() == "dumpable 0\n"
    assert resource.prlimit(process.pid, resource.RLIMIT_CORE) == (0, 0)
    soft, hard = resource.prlimit(process.pid, resource.RLIMIT_DATA)
    assert 0 < soft == hard <= 1 << 30


def test_a_frame_that_takes_too_long_ends_the_process(stage: Stage) -> None:
    """Whatever the library does: here the look never returns, and holds the interpreter as well."""
    stage.show("1.png", symbol(b"never"))
    endless = (
        "import ctypes, sys, logging\n"
        "from device.eye import loop, __main__ as start\n"
        "def hang(self, frame):\n"
        "    ctypes.PyDLL(None).pause()\n"
        "loop.EyeLoop._looks = hang\n"
        "sys.exit(start._run())\n"
    )
    process = stage.start(code=endless)
    messages = stage.accept()
    next(messages)
    before = time.monotonic()
    code, _ = ended(process)
    assert code == -signal.SIGALRM
    assert time.monotonic() - before < 4
    messages.close()


def test_the_largest_picture_that_is_let_in_fits_into_the_bound_on_memory(stage: Stage) -> None:
    """Twenty-five megapixels with transparency take several copies."""
    stage.configure(f"folder:{stage.frames}", "loop = false")
    largest = np.zeros((5000, 4990, 4), np.uint8)
    largest[..., 3] = 128
    (stage.frames / "1.png").write_bytes(png(largest, compress_level=1))
    stage.show("2.png", symbol(b"after the largest"))
    stage.start()
    messages = stage.accept()
    assert next(message for message in messages if isinstance(message, Sighting | Trouble)).__class__ is Sighting
    messages.close()


def test_an_eye_whose_gate_is_killed_ends_by_itself(stage: Stage) -> None:
    """The kernel sees to it, also while the eye hangs."""
    stage.show("1.png", np.zeros((9, 9), np.uint8))
    gate = (
        "import os, signal, subprocess, sys\n"
        "eye = subprocess.Popen([sys.executable, '-m', 'device.eye', '--config', sys.argv[-1]],\n"
        "    env=os.environ | {'GATE_EYE_PARENT': str(os.getpid())})\n"
        "print(eye.pid, file=sys.stderr, flush=True)\n"
        "signal.pause()\n"
    )
    process = stage.start(code=gate)
    messages = stage.accept()
    hello = next(messages)
    assert isinstance(hello, Hello)
    next(messages)
    os.kill(hello.pid, signal.SIGSTOP)
    process.kill()
    assert [message for message in messages if isinstance(message, Hello)] == []
    wait_gone(hello.pid)


def test_an_eye_that_was_started_by_a_gate_that_is_gone_already_ends_at_once(stage: Stage) -> None:
    """The gate died before the eye could ask the kernel to watch it."""
    stage.show("1.png", np.zeros((9, 9), np.uint8))
    code, _ = ended(stage.start(GATE_EYE_PARENT="1"))
    assert code == 0


def test_a_source_that_is_missing_is_waited_for(stage: Stage) -> None:
    """The folder is made while the eye already runs."""
    stage.configure(f"folder:{stage.folder / 'later'}")
    stage.start()
    messages = stage.accept()
    trouble = next(message for message in messages if isinstance(message, Trouble))
    assert trouble.code == "camera_missing"
    stage.frames.rename(stage.folder / "later")
    assert next(message for message in messages if not isinstance(message, Trouble)).__class__ is Beat
    messages.close()


@pytest.mark.parametrize(
    ("source", "more", "code", "says"),
    [
        pytest.param("picamera2", "", 1, "python3-libcamera", marks=WITHOUT_CAMERA_STACK),
        ("folder:x", "speed = 3", 2, "camera.speed: no such key"),
    ],
)
def test_what_cannot_be_mended_by_waiting_ends_it_with_a_sentence(stage: Stage, source: str, more: str, code: int, says: str) -> None:
    """What is missing, and what to do."""
    stage.configure(source, more)
    got, err = ended(stage.start())
    assert got == code
    assert says in err
    assert "Traceback" not in err


def test_a_decoder_that_mangles_names_keeps_the_eye_from_starting(stage: Stage) -> None:
    """A library that guesses at character sets is found before the first card."""
    mangling = (
        "import sys, dataclasses\n"
        "from device.eye import decoder, __main__ as start\n"
        "honest = decoder.ZbarDecoder.look\n"
        "def guess(self, pixels):\n"
        "    look = honest(self, pixels)\n"
        "    wrong = tuple(dataclasses.replace(r, payload=r.payload.decode().encode('utf-16')) for r in look.readings)\n"
        "    return dataclasses.replace(look, readings=wrong)\n"
        "decoder.ZbarDecoder.look = guess\n"
        "sys.exit(start._run())\n"
    )
    code, err = ended(stage.start(code=mangling))
    assert code == 1
    assert "zbar reads something else" in err


def test_starting_it_loads_no_library_of_other_sources(stage: Stage) -> None:
    """On a Pi each import costs; a folder needs no video, no camera, no network, no database."""
    listing = (
        "import sys\n"
        "from device.eye import __main__ as start, main, sources\n"
        "import pathlib, device.config as c\n"
        "sources.open_camera(c.load(pathlib.Path(sys.argv[-1])).camera)\n"
        "print(sorted({n.partition('.')[0] for n in sys.modules} & set(sys.argv[1].split(','))), file=sys.stderr)\n"
    )
    names = "av,picamera2,libcamera,paho,sqlite3,gpiozero,cryptography,segno,rich,ssl,asyncio"
    process = subprocess.run(
        [sys.executable, "-c", listing, names, str(stage.config)], stderr=subprocess.PIPE, text=True, check=True, timeout=START_S
    )
    assert process.stderr.strip() == "[]"


def wait_gone(pid: int) -> None:
    """Until the process is no more, or only a name that nobody has asked for."""
    until(lambda: stat_of(Path(f"/proc/{pid}"))[:1] in ([], ["Z"]), why=lambda: f"process {pid} is still there")
