"""The checklist for real hardware: resumed, judged, signed, and never passed by passing over."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.hardware import checklist
from tests.hardware.checklist import Run, is_signed, main, sign
from tests.hardware.probes import ProbeError
from tests.hardware.steps import STEPS, Step
from tests.mosquitto import Authority, Papers


def fails() -> bool:
    """A probe of something that is not here."""
    raise ProbeError("no camera")


MADE = (
    Step("probe", "a", "a", "ms", (None, 50), probe=lambda: 12.5),
    Step("number", "b", "b", "/10", (9, 10)),
    Step("yes", "c", "c"),
)


def answering(*answers: str) -> Callable[[str], str]:
    """A person who gives these answers, and no other."""
    waiting: Iterator[str] = iter(answers)
    return lambda _: next(waiting)


def run(folder: Path, steps: tuple[Step, ...], *answers: str) -> Run:
    """One go over the steps."""
    work = Run(folder / "state.json", steps, answering(*answers), lambda _: None)
    work.go()
    return work


def test_all_good_is_passed(tmp_path: Path) -> None:
    """A probe within its bounds, a number with a comma, a yes in Vietnamese."""
    result = run(tmp_path, MADE, "9,5", "có").result()
    assert result["passed"]
    assert [row["value"] for row in result["steps"]] == [12.5, 9.5, True]


@pytest.mark.parametrize(
    ("answers", "bad"), [(("8", "yes"), "number"), (("10", "no"), "yes"), (("", "yes"), "number"), (("11", "y"), "number")]
)
def test_one_step_that_is_not_good_or_passed_over_is_not_passed(tmp_path: Path, answers: tuple[str, ...], bad: str) -> None:
    """Out of bounds, no, or no answer at all."""
    result = run(tmp_path, MADE, *answers).result()
    assert not result["passed"]
    assert [row["code"] for row in result["steps"] if not row["good"]] == [bad]


def test_after_a_pulled_plug_it_goes_on_where_it_was(tmp_path: Path) -> None:
    """Each answer is durable at once; only what is missing is asked."""
    with pytest.raises(StopIteration):
        run(tmp_path, MADE, "10")
    assert run(tmp_path, MADE, "yes").result()["passed"]


def test_what_cannot_be_understood_is_asked_again(tmp_path: Path) -> None:
    """Neither taken for a no nor for a zero."""
    assert run(tmp_path, MADE, "ten", "10", "maybe", "y").result()["passed"]


def test_a_probe_that_cannot_be_made_is_not_passed_and_is_tried_again(tmp_path: Path) -> None:
    """A camera that was missing may be there the next time."""
    assert not run(tmp_path, (Step("camera", "d", "d", probe=fails),)).result()["passed"]
    assert run(tmp_path, (Step("camera", "d", "d", probe=lambda: True),)).result()["passed"]


@pytest.fixture
def papers(tmp_path: Path) -> Papers:
    """A gate's key and certificate."""
    return Authority(tmp_path / "authority").issue("gate-1")


def test_a_result_is_signed_and_no_altered_one_is(tmp_path: Path, papers: Papers) -> None:
    """Another value, another verdict, another gate, a verdict that its steps do not bear out."""
    good = sign(run(tmp_path, MADE, "10", "yes").result(), papers.key)
    assert is_signed(good, papers.cert)
    altered: dict[str, Any] = json.loads(json.dumps(good))
    altered["result"]["steps"][0]["value"] = 1.0
    assert not is_signed(altered, papers.cert)
    assert not is_signed(good, Authority(tmp_path / "other").issue("gate-2").cert)
    lying = run(tmp_path, MADE).result() | {"passed": True, "steps": [{"code": "x", "good": False}]}
    assert not is_signed(sign(lying, papers.key), papers.cert)
    assert not is_signed(sign({"passed": True, "steps": []}, papers.key), papers.cert)


def test_the_command_signs_what_came_of_it_and_verifies_it(
    tmp_path: Path, papers: Papers, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 0 for a passed run and for its verification, 1 for any other."""
    monkeypatch.setattr(checklist, "STEPS", MADE)
    out = tmp_path / "result.json"
    files = ["--state", str(tmp_path / "state"), "--out", str(out)]
    assert main(["run", "--key", str(papers.key), *files], answering("10", "")) == 1
    assert main(["verify", str(out), "--cert", str(papers.cert)]) == 1
    assert main(["run", "--key", str(papers.key), *files], answering("yes")) == 0
    assert main(["verify", str(out), "--cert", str(papers.cert)]) == 0
    assert "PASSED" in capsys.readouterr().out


def test_every_step_is_named_once_in_two_languages_and_can_be_judged() -> None:
    """A step without bounds, probe or question could not fail."""
    assert len({step.code for step in STEPS}) == len(STEPS)
    for step in STEPS:
        assert step.vi != step.en
        no: bool = False
        assert not step.good(no)
        assert step.unit == "" or step.limit != (None, None), step.code
