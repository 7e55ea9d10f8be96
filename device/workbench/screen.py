"""The demo's picture of the gate in a terminal: lamps, the last answers, the counts."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, Self

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.text import Text

from device.core.score import Lamp
from device.core.types import Sign

if TYPE_CHECKING:
    from device.core.player import Snapshot
    from device.loop import Loop

COLOURS: Final = {"green": "green3", "red": "red1", "amber": "orange1", "blue": "dodger_blue1", "white": "white"}
WORDS: Final = {
    Sign.READY: ("sẵn sàng", "ready"),
    Sign.UNREADABLE: ("đưa gần hơn, giữ yên", "closer, hold still"),
    Sign.ACCEPT_IN: ("mời vào", "come in"),
    Sign.ACCEPT_OUT: ("mời ra", "go out"),
    Sign.ALREADY: ("vừa quét rồi", "just scanned"),
    Sign.REJECT: ("không nhận mã này", "this code is not taken"),
    Sign.REFER: ("xin gặp người trực", "see the attendant"),
    Sign.OUT_OF_SERVICE: ("ngừng phục vụ", "out of service"),
    Sign.COMMISSIONING: ("chờ lệnh của kỹ thuật viên", "waiting for the technician's order"),
    Sign.ORDER_TAKEN: ("đã nhận lệnh", "the order is taken"),
}
KEPT: Final = 10


class Screen:
    """Draws on a terminal; on a pipe it writes a line for each answer; ``quiet`` says nothing at all."""

    def __init__(self, *, quiet: bool) -> None:
        self._console = Console(stderr=quiet, quiet=quiet, highlight=False)
        self._live = Live(console=self._console, refresh_per_second=20, transient=True) if self._console.is_terminal and not quiet else None
        self._quiet = quiet
        self._snapshot: Snapshot | None = None
        self._answers: deque[str] = deque(maxlen=KEPT)
        self._loop: Loop | None = None
        self._named = 0

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def say(self, text: str) -> None:
        """One line about what is going on."""
        if not self._quiet:
            self._console.print(text, style="dim")

    def follow(self, loop: Loop) -> None:
        """Draw this loop's counts."""
        self._loop = loop

    def lamps(self, snapshot: Snapshot) -> None:
        """The pins changed: called by the signals' own thread."""
        self._snapshot = snapshot
        # A sign may begin with a short dark, to be told from the same one before it: it is named when it is seen.
        speaks = any(level > 0 for lamp, level in snapshot.lamps.items() if lamp is not Lamp.WHITE)
        if snapshot.sign is None or snapshot.showing == self._named or not speaks:
            return
        self._named = snapshot.showing
        vietnamese, english = WORDS[snapshot.sign]
        said = f"{vietnamese} · {english}{self._why(snapshot.sign)}"
        if snapshot.sign is not Sign.READY:
            self._answers.append(said)
        if self._live is None and not self._quiet:
            print(f"{_lit(snapshot):20} {said}", flush=True)

    def _why(self, sign: Sign) -> str:
        """What was read, where the newest decision is the one that this sign answers."""
        decision = None if self._loop is None else self._loop.last
        if decision is None or decision.sign is not sign:
            return ""
        return f"  [{decision.kind.value}: {decision.reason.value}]"

    def refresh(self) -> None:
        """Draw the newest state."""
        if self._live is not None and self._snapshot is not None:
            self._live.update(self._picture(self._snapshot))

    def _picture(self, snapshot: Snapshot) -> Panel:
        lamps = Text("  ")
        for lamp, level in snapshot.lamps.items():
            lamps.append("●" if level > 0 else "○", style=COLOURS[lamp.value] if level > 0 else "grey30")
            lamps.append(f" {lamp.value}   ", style="bold" if level > 0 else "grey42")
        lamps.append("♪ " + (f"{snapshot.tone_hz} Hz" if snapshot.tone_hz else ""), style="bold" if snapshot.tone_hz else "grey42")
        answers = [Text(f"  {answer}", style="grey50") for answer in self._answers]
        if answers:
            answers[-1].style = "bold"
        filler = [Text("")] * (KEPT - len(answers))
        return Panel(Group(lamps, Text(""), *answers, *filler, Text(""), self._counts()), title="gate demo", width=78)

    def _counts(self) -> Text:
        if self._loop is None:
            return Text("")
        tally, beat = self._loop.tally, self._loop.beat
        frames = 0 if beat is None else beat.frames
        return Text(
            f"  {frames} frames   {tally.decisions} decisions   {tally.accepted} accepted   "
            f"{tally.rejected} rejected   {tally.recorded} recorded",
            style="dim",
        )


def _lit(snapshot: Snapshot) -> str:
    lit = [lamp.value for lamp, level in snapshot.lamps.items() if level > 0]
    return "+".join(lit) if lit else "dark"
