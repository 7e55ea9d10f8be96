"""The demo's picture of the gate: lines where it is read by a program, lamps where it is seen by a person."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast

import pytest

from device.core.eye_messages import Beat
from device.core.player import Snapshot
from device.core.reasons import Reason
from device.core.score import Lamp
from device.core.types import Assurance, Decision, Direction, Kind, Sign, Verdict
from device.loop import Loop, Tally
from device.workbench.screen import KEPT, WORDS, Screen

ACCEPTED = Decision(Verdict.ACCEPT, Reason.ACCEPTED, Sign.ACCEPT_IN, Kind.CITIZEN_CARD, "11", Direction.IN, Assurance.DECLARED, "0" * 64)
DARK: Mapping[Lamp, float] = dict.fromkeys(Lamp, 0.0)


def snapshot(sign: Sign | None, showing: int, *lit: Lamp, tone_hz: int | None = None) -> Snapshot:
    """What the pins do."""
    return Snapshot(0, sign, {**DARK, **dict.fromkeys(lit, 1.0)}, tone_hz, 1.0, relay=False, showing=showing)


@dataclass
class Counted:
    """Of a loop, what the screen draws."""

    last: Decision | None = None
    tally: Tally = field(default_factory=Tally)
    beat: Beat | None = None


def follow(screen: Screen, counted: Counted) -> None:
    """Draw these counts."""
    screen.follow(cast("Loop", counted))


def test_every_sign_has_its_words() -> None:
    """In Vietnamese and English; a new sign cannot reach the screen without them."""
    assert set(WORDS) == set(Sign)


def test_on_a_pipe_each_answer_is_a_line_when_it_is_first_seen(capsys: pytest.CaptureFixture[str]) -> None:
    """A sign begins dark, goes on and blinks: one line. The same sign once more is another."""
    with Screen(quiet=False) as screen:
        follow(screen, Counted(last=ACCEPTED))
        screen.lamps(snapshot(Sign.ACCEPT_IN, 1))
        screen.lamps(snapshot(Sign.ACCEPT_IN, 1, Lamp.WHITE))
        assert capsys.readouterr().out == ""
        screen.lamps(snapshot(Sign.ACCEPT_IN, 1, Lamp.GREEN, Lamp.WHITE))
        screen.lamps(snapshot(Sign.ACCEPT_IN, 1))
        screen.lamps(snapshot(Sign.ACCEPT_IN, 1, Lamp.GREEN))
        screen.lamps(snapshot(Sign.ACCEPT_IN, 2, Lamp.GREEN))
        screen.lamps(snapshot(None, 3, Lamp.GREEN))
    first, second = capsys.readouterr().out.splitlines()
    assert first == "green+white          mời vào · come in  [citizen_card: accepted]"
    assert second == "green                mời vào · come in  [citizen_card: accepted]"


def test_the_reason_is_named_only_by_the_decision_that_the_sign_answers(capsys: pytest.CaptureFixture[str]) -> None:
    """A sign that comes between must not be explained by the person before."""
    with Screen(quiet=False) as screen:
        screen.lamps(snapshot(Sign.REJECT, 1, Lamp.RED))
        follow(screen, Counted(last=ACCEPTED))
        screen.lamps(snapshot(Sign.REJECT, 2, Lamp.RED))
    assert capsys.readouterr().out.splitlines() == ["red                  không nhận mã này · this code is not taken"] * 2


def test_quiet_says_nothing_at_all(capsys: pytest.CaptureFixture[str]) -> None:
    """With `--json` standard output holds one object and no more."""
    with Screen(quiet=True) as screen:
        screen.say("drawing")
        follow(screen, Counted(last=ACCEPTED))
        screen.lamps(snapshot(Sign.ACCEPT_IN, 1, Lamp.GREEN))
        screen.refresh()
    assert capsys.readouterr() == ("", "")


def test_in_a_terminal_lamps_tone_answers_and_counts_are_drawn(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The last picture has all of it; standing ready is no answer, and of many answers the newest are kept."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "100")
    beat = Beat(frames=321, skipped=0, empty=0, read=0, taken_ns=0, cpu_ms=0)
    with Screen(quiet=False) as screen:
        follow(screen, Counted(last=ACCEPTED, tally=Tally(decisions=12, accepted=11, rejected=1, recorded=12), beat=beat))
        screen.lamps(snapshot(Sign.REJECT, 1, Lamp.RED))
        screen.lamps(snapshot(Sign.REFER, 2, Lamp.AMBER))
        screen.lamps(snapshot(Sign.READY, 3, Lamp.BLUE))
        for number in range(KEPT - 1):
            screen.lamps(snapshot(Sign.ACCEPT_IN, 4 + number, Lamp.GREEN, tone_hz=2000))
        screen.refresh()
    picture = capsys.readouterr().out
    assert "gate demo" in picture
    assert "2000 Hz" in picture
    assert "321 frames   12 decisions   11 accepted   1 rejected   12 recorded" in picture
    assert "xin gặp người trực" in picture
    assert "không nhận mã này" not in picture
    assert "sẵn sàng" not in picture
