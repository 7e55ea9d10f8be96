"""The people of the demo: a folder of frames in which made-up cards, badges, phones and foreign codes are held up one after another."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Final

import numpy as np
from PIL import Image

from device.workbench import foreign_codes, people
from device.workbench.scenes import Carriage, Pose, empty_scene, scene

if TYPE_CHECKING:
    from pathlib import Path

FPS: Final = 15.0
HELD_FRAMES: Final = 9
"""A code is held up for 0.6 s."""
PAUSE_FRAMES: Final = 9
"""Nobody is there for as long: more than the re-arm time."""
SHOWING_S: Final = (HELD_FRAMES + PAUSE_FRAMES) / FPS
MOST_SHOWINGS: Final = 60
"""A longer demo sees the same people again."""

LEAVES_AFTER: Final = 7
"""Somebody leaves so many showings after coming in: more than the demo's duplicate window."""

_TURNS: Final = ("card", "new card", "stranger", "phone", "again", "insurance", "two", "leave")

_PNG: Final = {"compress_level": 1}


@dataclass(frozen=True, slots=True)
class Turn:
    """One code held up: what it is for the reader, its bytes, and how it looks."""

    title: str
    payloads: tuple[bytes, ...]
    look: Carriage


def parade(count: int, rng: Random) -> list[Turn]:
    """So many showings: people with every accepted kind of code coming and going, and foreign codes in between."""
    crowd = people.people(count + 1, rng)
    strangers = foreign_codes.foreign_codes(rng)
    showings: list[Turn] = []
    for number in range(count):
        showings.append(_turn(number, crowd, strangers, showings))
    return showings


def _turn(number: int, crowd: list[people.Person], strangers: tuple[foreign_codes.ForeignCode, ...], before: list[Turn]) -> Turn:
    """One of the eight turns that follow each other again and again."""
    person, stranger = crowd[number], strangers[number // len(_TURNS) % len(strangers)]
    match _TURNS[number % len(_TURNS)]:
        case "card":
            return Turn("citizen card, 7 fields", (people.citizen_card(person),), Carriage.CARD)
        case "new card":
            return Turn("citizen card, 11 fields", (people.can_cuoc(person),), Carriage.CARD)
        case "phone":
            return Turn("national QR on a phone", (people.national_qr(person),), Carriage.PHONE)
        case "insurance":
            return Turn("health-insurance card", (people.health_insurance(person),), Carriage.CARD)
        case "stranger":
            return Turn(f"foreign code: {stranger.name}", (stranger.payload,), Carriage.PHONE)
        case "two":
            return Turn("two cards at once", (people.citizen_card(person), people.can_cuoc(crowd[-1])), Carriage.CARD)
        case "again":
            return before[-1]
        case _:
            return before[-LEAVES_AFTER]


def draw(showings: list[Turn], folder: Path, rng: Random, size: tuple[int, int] = (1280, 720)) -> int:
    """Draw the showings into ``folder`` as frames in order of name. Returns how many frames there are.

    Frames that look the same are the same file under another name: the eye
    reads each of them, the disk holds them once.
    """
    noise = np.random.default_rng(rng.getrandbits(32))
    empty = _save(empty_scene(noise, size), folder / "empty")
    number = 0
    for index, showing in enumerate(showings):
        frame = scene(showing.payloads, _view(showing, rng), noise, size)
        held = _save(frame, folder / f"held-{index:04d}")
        for original in (held,) * HELD_FRAMES + (empty,) * PAUSE_FRAMES:
            (folder / f"frame-{number:06d}.png").hardlink_to(original)
            number += 1
        held.unlink()
    empty.unlink()
    return number


def _view(showing: Turn, rng: Random) -> Pose:
    return Pose(
        px_per_module=rng.uniform(3.0, 4.5) if len(showing.payloads) == 1 else 3.2,
        turn_deg=rng.uniform(-20, 20),
        tilt_deg=rng.uniform(-12, 12),
        pan_deg=rng.uniform(-12, 12),
        blur_px=rng.uniform(0.2, 0.7),
        noise=rng.uniform(2, 5),
        shade=rng.uniform(0.1, 0.4),
        contrast=rng.uniform(0.6, 0.9),
        look=showing.look,
    )


def _save(frame: np.ndarray, path: Path) -> Path:
    Image.fromarray(frame, "L").save(path, format="PNG", **_PNG)
    return path
