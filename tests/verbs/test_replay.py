"""`gate replay`: what would be read and decided, a line a frame, and nothing personal unless asked for."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from device.cli import main
from device.eye.camera import Luma
from device.workbench import foreign_codes, people
from device.workbench.scenes import Pose, scene

RNG = people.seeded(11)
PERSON, OTHER = people.people(2, RNG)
PAYMENT = foreign_codes.payment_code("0123456789")


def save(path: Path, *payloads: bytes) -> None:
    """A picture in which these codes are held up."""
    Image.fromarray(scene(payloads, Pose(px_per_module=4), np.random.default_rng(1), (800, 600))).save(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Pictures good and bad."""
    save(tmp_path / "1-card.png", people.citizen_card(PERSON))
    save(tmp_path / "2-two.png", people.can_cuoc(OTHER), PAYMENT)
    (tmp_path / "3-text.png").write_text("no picture")
    Image.new("L", (640, 480), 128).save(tmp_path / "4-empty.jpg")
    (tmp_path / "notes.txt").write_text("not named like a picture")
    return tmp_path


def lines(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, object]]:
    """What the command printed, read as JSON."""
    assert main(["replay", *arguments, "--json"]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


@pytest.mark.parametrize("ladder", ["one-shot", "full"])
def test_each_picture_gets_a_line_and_each_code_an_outcome(folder: Path, capsys: pytest.CaptureFixture[str], ladder: str) -> None:
    """Accepted and refused codes alike, the largest first; a file that is no picture has an error."""
    card, two, text, empty = lines(capsys, str(folder), "--ladder", ladder)
    assert card["codes"] == [{"kind": "citizen_card", "outcome": "accept", "reason": "accepted"}]
    assert {(code["kind"], code["outcome"]) for code in two["codes"]} == {("citizen_card", "accept"), ("payment", "reject")}  # type: ignore[attr-defined]  # parsed JSON
    assert text["frame"] == "3-text.png"
    assert "3-text.png" in str(text["error"])
    assert empty["codes"] == []
    assert all(isinstance(line["cpu_ms"], float) and isinstance(line["wall_ms"], float) for line in (card, two, empty))


def test_nothing_personal_is_printed_unless_asked_for(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither in lines for programs nor in lines for people."""
    for extra in ([], ["--json"]):
        assert main(["replay", str(folder), *extra]) == 0
        out = capsys.readouterr()
        assert PERSON.number not in out.out + out.err
        assert PERSON.name not in out.out + out.err


@pytest.mark.parametrize(("words", "accepted"), [(["--explain"], "mời qua"), (["--explain", "en"], "please pass")])
def test_each_decision_is_explained_in_one_sentence(
    folder: Path, capsys: pytest.CaptureFixture[str], words: list[str], accepted: str
) -> None:
    """In Vietnamese unless told otherwise, with nothing personal in it; without the word there is none."""
    card, two, *_ = lines(capsys, str(folder), *words)
    told = [str(code["explanation"]) for line in (card, two) for code in line["codes"]]  # type: ignore[attr-defined]  # parsed JSON
    assert len(told) == 3
    assert accepted in told[0]
    assert all(sentence.count(". ") == 0 and sentence.endswith(".") for sentence in told)
    assert PERSON.name not in "".join(told)
    assert "explanation" not in lines(capsys, str(folder))[0]["codes"][0]  # type: ignore[index]  # parsed JSON


def test_the_payload_comes_byte_for_byte_when_asked_for(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Base64 of exactly what the symbol holds."""
    (line,) = lines(capsys, str(folder / "1-card.png"), "--payload")
    assert base64.b64decode(line["codes"][0]["payload_b64"]) == people.citizen_card(PERSON)  # type: ignore[index]  # parsed JSON


def test_the_payload_is_refused_under_systemd(folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Its journal would keep it."""
    monkeypatch.setenv("INVOCATION_ID", "0" * 32)
    assert main(["replay", str(folder), "--payload"]) == 2
    assert "refused under systemd" in capsys.readouterr().err


def test_the_same_card_in_two_pictures_is_accepted_twice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No memory of passages: each picture is judged as if it were the first."""
    for name in ("a.png", "b.png"):
        save(tmp_path / name, people.citizen_card(PERSON))
    assert [line["codes"][0]["reason"] for line in lines(capsys, str(tmp_path))] == ["accepted", "accepted"]  # type: ignore[index]  # parsed JSON


@pytest.mark.parametrize("what", ["missing", "empty"])
def test_nothing_to_look_at_is_an_error_that_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str], what: str) -> None:
    """With the path, and what to do."""
    path = tmp_path / what
    if what == "empty":
        path.mkdir()
    assert main(["replay", str(path)]) == 1
    error = capsys.readouterr().err
    assert str(path) in error
    assert "Check that the folder or file exists" in error


def test_people_read_sentences_in_vietnamese_and_english(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And a closing count on standard error."""
    assert main(["replay", str(folder)]) == 0
    out = capsys.readouterr()
    assert "2-two.png: reject: payment: Đây là mã thanh toán" in out.out
    assert "4-empty.jpg: nothing read" in out.out
    assert "2 accept, 1 error, 3 frames, 1 reject" in out.err


def film(path: Path, *pictures: Luma) -> None:
    """A video of these frames."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=15)
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width = pictures[0].shape
        stream.pix_fmt = "gray"
        for picture in pictures:
            for packet in stream.encode(av.VideoFrame.from_ndarray(picture, format="gray")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)


def test_on_a_laptop_a_video_is_looked_at_frame_by_frame(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each frame has its number in its name; what is no video is an error with its name and exit code 1."""
    card = scene([people.citizen_card(PERSON)], Pose(px_per_module=4), np.random.default_rng(1), (640, 480))
    film(tmp_path / "film.mkv", np.full_like(card, 128), card)
    empty, seen = lines(capsys, str(tmp_path / "film.mkv"))
    assert (empty["frame"], empty["codes"]) == ("film.mkv#0", [])
    assert seen["frame"] == "film.mkv#1"
    assert seen["codes"] == [{"kind": "citizen_card", "outcome": "accept", "reason": "accepted"}]
    (tmp_path / "text.mkv").write_text("no video")
    assert main(["replay", str(tmp_path / "text.mkv")]) == 1
    assert "text.mkv: not a video" in capsys.readouterr().err


def test_on_a_gate_a_video_is_not_looked_at(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing to play it is there: exit code 2, and where it is."""
    monkeypatch.setattr("device.laptop.is_here", lambda _: False)
    (tmp_path / "film.mp4").touch()
    assert main(["replay", str(tmp_path / "film.mp4")]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert f"`provisioning/bootstrap gate replay {tmp_path / 'film.mp4'}` in a clone of the project" in err
