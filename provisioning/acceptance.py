"""Whether a gate may go into service: its own signed report, what stands in its record of the tries, and what the technician has seen."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import select

from device.core import wire
from device.edges.keys.signer import verify
from provisioning.common import times
from provisioning.common.errors import Refused
from provisioning.common.signing import signed
from provisioning.places.wiring import Door, Fitted, Kit, fitted
from provisioning.registry.registry import Registry
from provisioning.registry.tables import Certificate, Gate

Grade: TypeAlias = Literal["pass", "warn", "fail"]

QUESTIONS: Final = (
    *("green", "red", "amber", "both", "blue", "white", "buzzer"),
    *("door", "power_open", "power_locked", "button", "reach", "papers"),
)
"""What only eyes, ears and hands tell, in the order in which it is asked; each in the catalogue as ``accept.{question}``."""
DISTANCES: Final = 3
"""The good code is held up at so many distances."""
RESTARTS: Final = 3
"""Two pulled plugs and one stall that the watchdog ended."""
OLDEST: Final = timedelta(hours=wire.DEEDS_H)
AHEAD: Final = timedelta(minutes=10)
"""A gate's clock may be so much ahead of the laptop's."""


@dataclass(frozen=True, slots=True)
class AcceptanceRow:
    """One row of an acceptance. ``check`` is a part of the gate, or a key of the catalogue's ``accept``."""

    check: str
    grade: Grade
    value: str


@dataclass(frozen=True, slots=True)
class JudgedGate:
    """The whole of it."""

    gate: Gate
    report: wire.SelftestReport
    digest: str
    lines: Sequence[AcceptanceRow]

    @property
    def well(self) -> bool:
        """Whether nothing failed."""
        return all(line.grade != "fail" for line in self.lines)

    def document(self, by: str, at: datetime, key: Ed25519PrivateKey) -> bytes:
        """The signed JSON."""
        told = {
            "type": "vn.gate.acceptance.v1",
            "gate": self.gate.id,
            "site": self.gate.site,
            "lane": self.gate.lane,
            "board": self.gate.board,
            "kit": self.gate.kit,
            "door": self.gate.door,
            "power_loss": self.gate.power_loss,
            "by": by,
            "time": times.on_the_wire(at),
            "well": self.well,
            "version": self.report.version,
            "report": self.digest,
            "lines": [asdict(line) for line in self.lines],
        }
        return signed(told, key)


def questions(gate: Fitted) -> Sequence[str]:
    """Those about the parts that a gate has: a door is tried, and seen without power, where there is one."""
    asked = {part.name for part in fitted(gate)} | {"reach", "papers"}
    if gate.kit == Kit.BASIC:
        # Without an amber lamp both others say what it would.
        asked.add("both")
    if gate.door == Door.RELAY:
        asked |= {"door", f"power_{gate.power_loss}"}
    return [question for question in QUESTIONS if question in asked]


def read_report(path: Path, gate: Gate, registry: Registry, now: datetime) -> tuple[wire.SelftestReport, str]:
    """A gate's report, and its SHA-256.

    Raises Refused (E130, E184): one that is damaged, another gate's, unsigned or old counts for nothing.
    """
    try:
        body = path.read_bytes().strip()
    except OSError as error:
        raise Refused("E130", path=path, why=error.strerror) from error
    return checked_report(body, path, gate, registry, now), hashlib.sha256(body).hexdigest()


def checked_report(body: bytes, path: Path, gate: Gate, registry: Registry, now: datetime) -> wire.SelftestReport:
    """The report in ``body``, which comes from ``path`` or is to go there. Raises Refused (E184) like ``read_report``."""
    report = wire.read(wire.SelftestReport, body)
    if isinstance(report, wire.Unreadable):
        raise Refused("E184", path=path, why="form", detail=report.where)
    if report.gate != gate.id:
        raise Refused("E184", path=path, why="gate", detail=report.gate)
    content, signature = wire.split_signature(body)
    with registry.change() as session:
        rows = session.scalars(select(Certificate.pem).where(Certificate.gate == gate.id)).all()
    keys = [x509.load_pem_x509_certificate(pem.encode()) for pem in rows]
    if signature is None or not any(verify(key, content, signature) for key in keys):
        raise Refused("E184", path=path, why="signature", detail="-")
    age_s = now.timestamp() - wire.seconds_of(report.time)
    if not -AHEAD.total_seconds() <= age_s <= OLDEST.total_seconds():
        raise Refused("E184", path=path, why="time", detail=report.time)
    return report


def read_answers(path: Path, asked: Sequence[str]) -> Mapping[str, bool]:
    """A technician's answers from a JSON file: each question that is asked, true or false. Raises Refused (E130, E186)."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise Refused("E130", path=path, why=error.strerror) from error
    except ValueError as error:
        raise Refused("E186", path=path, questions=", ".join(asked)) from error
    if not isinstance(found, dict) or set(found) != set(asked) or not all(isinstance(value, bool) for value in found.values()):
        raise Refused("E186", path=path, questions=", ".join(asked))
    return found


def province_deeds(path: Path, report: wire.SelftestReport) -> list[wire.Deed]:
    """What the province's collector holds of the gate's present epoch: the gate may have forgotten it since. Raises Refused (E130)."""
    asked = "SELECT seq, body FROM events WHERE gate = ? AND epoch = ? AND time >= ? ORDER BY seq DESC LIMIT ?"
    since = wire.time_text((wire.seconds_of(report.time) - wire.DEEDS_H * 3600) * 1_000_000_000)
    found = []
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as store:
            rows = store.execute(asked, (report.gate, report.epoch, since, wire.DEEDS_LIMIT)).fetchall()
    except sqlite3.Error as error:
        raise Refused("E130", path=path, why=error) from error
    for seq, body in rows:
        data: dict[str, Any] = json.loads(body).get("data", {})
        if "decision" in data:
            found.append(wire.Deed(seq=seq, what="checkin", decision=data["decision"], reason=data["reason"]))
        elif data.get("what") == "start":
            found.append(wire.Deed(seq=seq, what="start", previous=data.get("previous")))
    return found


def judge(gate: Gate, report: wire.SelftestReport, digest: str, answers: Mapping[str, bool], more: Iterable[wire.Deed] = ()) -> JudgedGate:
    """All lines of an acceptance."""
    deeds = {deed.seq: deed for deed in (*more, *report.deeds)}.values()
    accepted = sum(deed.decision == "accept" for deed in deeds)
    reasons = Counter(deed.reason for deed in deeds if deed.what == "checkin")
    cuts = sum(deed.previous == "unclean" for deed in deeds)
    lines = [AcceptanceRow(row.part, row.grade, row.value) for row in report.rows]
    lines.append(_counted("distances", accepted, DISTANCES))
    lines += [_counted(f"code_{reason}", reasons[reason], 1) for reason in ("expired", "revoked", "unknown_issuer")]
    lines.append(_counted("restarts", cuts, RESTARTS))
    lines += [_seen(question, well=answers[question]) for question in questions(gate)]
    return JudgedGate(gate, report, digest, lines)


def _seen(question: str, *, well: bool) -> AcceptanceRow:
    return AcceptanceRow(question, "pass" if well else "fail", "✓" if well else "✗")


def _counted(check: str, found: int, needed: int) -> AcceptanceRow:
    return AcceptanceRow(check, "pass" if found >= needed else "fail", f"{found} / {needed}")
