"""The packaged gate as a service in a booted machine: its configuration, its camera's pictures, its province."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from PIL import Image

from device.workbench import people
from device.workbench.scenes import Pose, empty_scene, scene
from tests.lab.folder import Folder
from tests.lab.nspawn import Machine, wait_for

READY_LIMIT_S: Final = 40.0

CONFIGURATION: Final = """
[gate]
id = "lab-gate"
site = "lab-site"
direction = "both"
[eye]
socket = "/run/gate/eye/eye.sock"
[camera]
source = "folder:/var/lib/lab/frames"
fps = 10.0
[signals]
pin_factory = "mock"
[policy]
duplicate_window_s = 0.0
[privacy]
site_key = "credential:gate.site-key"
[journal]
unsynced_grace_s = 0.0
[broker]
host = "127.0.0.1"
port = 1883
first_connect_spread_s = 0.0
retry_max_s = 5.0
"""

MOSQUITTO: Final = "listener 1883 127.0.0.1\nallow_anonymous true\npersistence false\n"


def furnish(folder: Folder, configuration: str = CONFIGURATION, *, people_seen: int = 6, refused: Sequence[bytes] = ()) -> None:
    """Put configuration, key, broker and camera pictures into a copy that is not running. ``refused`` are held up after the cards."""
    root = folder.scratch / "upper"
    write(root / "etc/gate/gate.toml", configuration)
    write(root / "etc/credstore/gate.site-key", "5e" * 32, 0o600)
    write(root / "etc/mosquitto/conf.d/lab.conf", MOSQUITTO)
    draw(root / "var/lib/lab/frames", people_seen, refused)


CAMERA: Final = """[Service]
Environment=PYTHONPATH=/usr/local/lib/gate-lab LD_PRELOAD=/usr/local/lib/gate-lab/dmaheap_shim.so LAB_PICTURE=/run/lab/picture
Environment=LIBCAMERA_LOG_LEVELS=*:WARN
"""
HEAPS: Final = "d /dev/dma_heap 0755\nf /dev/dma_heap/system 0666\nf /dev/dma_heap/vidbuf_cached 0666\n"
"""See camera/dmaheap_shim.c."""

VIRTUAL: Final = Path(__file__).parent / "camera" / "virtual.yaml"


def furnish_camera(folder: Folder, size: tuple[int, int] = (1280, 720)) -> None:
    """The same with real picamera2 on libcamera's virtual camera, which sees its own grey until it is shown something."""
    root, (width, height) = folder.scratch / "upper", size
    camera = f'"picamera2"\nwidth_px = {width}\nheight_px = {height}'
    furnish(folder, CONFIGURATION.replace('"folder:/var/lib/lab/frames"', camera).replace("fps = 10.0", "fps = 15.0"))
    write(root / "etc/systemd/system/gate-eye.service.d/camera.conf", CAMERA)
    write(root / "etc/tmpfiles.d/lab-heaps.conf", HEAPS)
    described = VIRTUAL.read_text(encoding="utf-8").replace("width: 1280", f"width: {width}").replace("height: 720", f"height: {height}")
    write(root / "usr/share/libcamera/pipeline/virtual/virtual.yaml", described)
    card = scene([people.citizen_card(people.people(1, people.seeded(6))[0])], Pose(px_per_module=4), np.random.default_rng(6), size)
    for name, pixels in (("card", card), ("nobody", empty_scene(np.random.default_rng(6), size))):
        picture = root / f"var/lib/lab/{name}.luma"
        picture.write_bytes(pixels.tobytes())
        picture.chmod(0o644)


def show(machine: Machine, name: Literal["card", "nobody"]) -> None:
    """Hold it up before the virtual camera."""
    machine.run("sh", "-c", f"mkdir -p /run/lab && cp /var/lib/lab/{name}.luma /run/lab/new && mv /run/lab/new /run/lab/picture")


def write(path: Path, text: str, mode: int = 0o644) -> None:
    """A file with these rights, in folders that anybody may enter."""
    for parent in reversed(path.parents):
        if not parent.exists():
            parent.mkdir(mode=0o755)
            parent.chmod(0o755)
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)


def draw(folder: Path, count: int, refused: Sequence[bytes] = ()) -> None:
    """Cards of different people and other codes, each for a few frames, with an empty view between them."""
    write(folder / "README", "made-up cards\n")
    noise = np.random.default_rng(11)
    nobody = empty_scene(noise, (640, 480))
    codes = [*(people.citizen_card(person) for person in people.people(count, people.seeded(11))), *refused]
    for number, code in enumerate(codes):
        card = scene([code], Pose(px_per_module=4), noise, (640, 480))
        for step, picture in enumerate([*[card] * 3, *[nobody] * 8]):
            path = folder / f"{number:03d}-{step:02d}.png"
            Image.fromarray(picture).save(path)
            path.chmod(0o644)


def status(machine: Machine) -> dict[str, Any]:
    """What the gate says of itself; empty where none answers."""
    said = machine.run("gate", "status", "--json", check=False).stdout
    try:
        found: dict[str, Any] = json.loads(said)
    except ValueError:
        return {}
    return found


def decisions(machine: Machine) -> int:
    """How many decisions the running gate has made."""
    return int(status(machine).get("decisions", {}).get("decisions", 0))


def wait_deciding(machine: Machine, units: Sequence[str] = ("gate.service", "gate-eye.service")) -> float:
    """Wait until the gate decides, and return the seconds. Fails with what the units said.

    What an earlier gate left behind does not count.
    """
    machine.run("rm", "-f", "/run/gate/status.json")
    return wait_for(
        lambda: decisions(machine) > 0,
        READY_LIMIT_S,
        lambda: f"no decision; {status(machine)}\n" + "\n".join(machine.journal(unit) for unit in units),
    )
