"""`gate bench eye`: what counts as read, and a report that has a figure for every reader."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from device.workbench.bench_eye import ReadingScore, bench_photographs, texts
from device.workbench.people import citizen_card, people, seeded
from device.workbench.rivals import rivals, tuned
from device.workbench.scenes import Pose, scene

PERSON = citizen_card(people(1, seeded(4))[0])


def test_a_score_is_told_in_percent_of_the_codes_held_up() -> None:
    """With CPU time by its mean, middle and worst; without a code there is no time, and no division by nothing."""
    score = ReadingScore(codes=8, first=2, read=5, wrong=1, cpu_ms=[4.0, 1.0, 3.0, 2.0, 10.0])
    row = {"codes": 8, "first_percent": 25.0, "read_percent": 62.5, "wrong": 1, "mean_ms": 4.0, "p50_ms": 3.0, "p95_ms": 10.0}
    assert score.row() == row
    assert ReadingScore().row() == {
        "codes": 0,
        "first_percent": 0.0,
        "read_percent": 0.0,
        "wrong": 0,
        **dict.fromkeys(("mean_ms", "p50_ms", "p95_ms")),
    }


class ScriptedReader:
    """Reads what a test says, frame after frame."""

    def __init__(self, *answers: list[bytes]) -> None:
        self.answers = list(answers)

    def __call__(self, _pixels: object) -> list[bytes]:
        """The next answer; more frames than answers is an error."""
        return self.answers.pop(0)


@pytest.mark.parametrize(
    ("answers", "first", "read", "wrong", "frames"),
    [
        ([[b"card"]], 1, 1, 0, 1),
        ([[], [b"card"]], 0, 1, 0, 2),
        ([[], [], [b"card"]], 0, 1, 0, 3),
        ([[], [], []], 0, 0, 0, 3),
        ([[b"Card"], [b"card", b"other"]], 0, 1, 2, 2),
    ],
    ids=["at once", "second frame", "third frame", "never", "wrong, then right"],
)
def test_a_code_counts_once_and_a_wrong_payload_always(answers: list[list[bytes]], first: int, read: int, wrong: int, frames: int) -> None:
    """A person holds it up for three frames; whoever has read it looks no more."""
    score = ReadingScore()
    reader = ScriptedReader(*answers)
    score.hold_up(b"card", [np.zeros((1, 1), np.uint8)] * 3, reader)
    assert (score.codes, score.first, score.read, score.wrong, len(score.cpu_ms)) == (1, first, read, wrong, frames)
    assert reader.answers == []


@pytest.mark.parametrize(
    ("written", "read", "same"),
    [
        (b"line\r\n", b"line", True),
        ("Trần".encode(), "Trần".encode(), True),
        ("日本".encode("shift_jis"), "日本".encode(), True),
        (b"\xe9", "é".encode(), True),
        (b"one", b"two", False),
        (b"line\n1", b"line1", False),
    ],
)
def test_a_photographs_payload_is_compared_as_text(written: bytes, read: bytes, *, same: bool) -> None:
    """Collections of pictures write them in other character sets and with other line ends than the symbol has."""
    assert bool(texts(written) & texts(read)) is same


def test_own_photographs_are_read_by_the_eye_and_by_all_its_rivals(tmp_path: Path) -> None:
    """A picture without a payload beside it is left out; what is read differently counts for nobody."""
    picture = scene([PERSON], Pose(px_per_module=4), np.random.default_rng(1), (640, 480))
    for name, payload in (("right", PERSON), ("wrong", b"something else"), ("unknown", None)):
        Image.fromarray(picture).save(tmp_path / f"{name}.png")
        if payload is not None:
            (tmp_path / f"{name}.payload").write_bytes(payload)
    found = bench_photographs(tmp_path)
    assert found.pop("photographs") == 2
    assert set(found) == {"eye one-shot", "eye full", *rivals(), *tuned()}
    assert found["eye one-shot"]["right"] == 1  # type: ignore[index, call-overload]  # parsed JSON
    assert found["eye full"]["mean_ms"] > 0  # type: ignore[index, call-overload, operator]  # parsed JSON
