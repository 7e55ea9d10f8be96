"""From a box of parts to a gate in service, step by step: ``python -m tests.bench.parts``.

Prints how many steps a person takes, how many commands those are, and how long
the machine lets the person wait: real brokers, worker, card folder and gate's
own signed report. How long hands take no machine can measure.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from device.core import wire
from device.edges.certificate.enrol import Places, enrol
from device.edges.keys.signer import Signer
from device.workbench.broker import LOOPBACK
from provisioning.acceptance import questions
from provisioning.cli import main as provision
from tests.provisioning.card.pi_card import a_set, pi_card
from tests.provisioning.enrolment_kit import PHRASE, Province, province

BY_HAND: Final = (
    "write Raspberry Pi OS with Imager, put the card in again",
    "put board, camera, lamps, button and relay into the case",
    "put the card into the Pi, close, hang it up, plug it in",
    "stick the label on, hang the poster up",
    "hold up the four test codes, the good one at three distances",
    "pull the plug twice and stall the gate once",
    "answer the questions of the acceptance",
)


@dataclass
class Day:
    """What a technician does for one gate."""

    steps: list[tuple[str, float]] = field(default_factory=list)

    def wait(self, what: str, do: Callable[[], Any]) -> Any:  # noqa: ANN401 - whatever the step gives
        """A step in which the person waits for the machine."""
        started_s = time.perf_counter()
        found = do()
        self.steps.append((what, round(time.perf_counter() - started_s, 2)))
        return found

    def run(self, *words: str) -> dict[str, Any]:
        """A command."""

        def do() -> dict[str, Any]:
            out = io.StringIO()
            with contextlib.redirect_stdout(out):
                code = provision([*words, "--yes", "--json"])
            if code:
                raise SystemExit(f"{words}: {code}")
            told: dict[str, Any] = json.loads(out.getvalue())
            return told

        told: dict[str, Any] = self.wait(" ".join(words[:2]), do)
        return told


def gate_day(town: Province, folder: Path) -> Day:
    """All steps for one gate of a new site."""
    day = Day()
    words = ("--name", "Trường Hoa Phượng", "--kind", "school", "--commune", "23575", "--contact", "Văn phòng", "--hotline", "0269 000 000")
    more = ("--purpose", "đón học sinh", "--legal-basis", "nội quy", "--broker", LOOPBACK, "--port", str(town.gates_port))
    site = day.run("site", "add", *words, *more)["id"]
    gate = day.run("gate", "add", "--site", site, "--door", "relay", "--power-loss", "open")["id"]
    card = pi_card(folder / "bootfs")
    a_set(folder / "packages" / "arm64")
    day.run("card", "write", "--gate", gate, "--boot", str(card), "--enrol-port", str(town.enrol_port))
    day.run("gate", "wiring", gate, "--out", str(folder))
    day.run("label", gate, "--out", str(folder))
    day.run("poster", site, "--out", str(folder))
    day.run("targets", site, "--out", str(folder))
    places = Places(card / "gate", folder / "etc", folder / "store")
    day.wait("the gate enrols", lambda: enrol(places, 60))
    report, answers = folder / "report.json", folder / "answers.json"
    day.wait("gate-provision gate report", lambda: report.write_bytes(_report(gate, places)))
    answers.write_text(json.dumps(dict.fromkeys(questions(town.registry.gate(gate)), True)), encoding="utf-8")
    given = ("--report", str(report), "--answers", str(answers), "--by", "Lê Văn Thử", "--out", str(folder))
    day.run("acceptance", gate, *given)
    day.run("gate", "in-service", gate)
    return day


def _report(gate: str, places: Places) -> bytes:
    """Signed by the gate's own key; what it found is that of a gate on which everything was tried."""
    reasons = ("accepted", "accepted", "accepted", "expired", "revoked", "unknown_issuer")
    deeds = [
        wire.Deed(seq=seq, what="checkin", decision="accept" if seq < 4 else "reject", reason=reason)
        for seq, reason in enumerate(reasons, start=1)
    ]
    deeds += [wire.Deed(seq=seq, what="start", previous="unclean") for seq in (7, 8, 9)]
    told = wire.SelftestReport(
        gate=gate,
        version="0",
        time=wire.time_text(time.time_ns()),
        epoch="0190a0b0-0000-7000-8000-000000000000",
        rows=[wire.Tried(part="clock", grade="pass", value="synchronised")],
        deeds=deeds,
    )
    body = wire.encode(told)
    return wire.with_signature(body, Signer(places.store / "gate.key").sign(body))


def main() -> None:
    """Print the figures as JSON."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ |= {"GATE_PROVISION_HOME": name, "GATE_PROVISION_PASSPHRASE": PHRASE}
        town = province(folder)
        with town.brokers(), town.working():
            day = gate_day(town, folder)
        town.registry.close()
    waited_s = round(sum(seconds for _, seconds in day.steps), 1)
    told = {"by_hand": len(BY_HAND), "commands_and_waits": len(day.steps), "waited_s": waited_s, "steps": day.steps, "hands": BY_HAND}
    sys.stdout.write(json.dumps(told, ensure_ascii=False, indent=1) + "\n")


if __name__ == "__main__":
    main()
