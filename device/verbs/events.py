"""`gate events`: what stands in the record and waits for the province, oldest of the newest first. Nothing personal is in it."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Final

from cryptography.x509 import load_pem_x509_certificates

from device.core.chain import examine_bodies, sentence
from device.core.explain import explain_event
from device.core.reasons import sentence_of
from device.core.timeline import ClockState
from device.core.types import Channel
from device.core.wire import time_text
from device.edges.keys.signer import load_certificate, verify
from device.edges.record.reader import JournalReader
from device.errors import KeyUnusable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cryptography.x509 import Certificate

    from device.core.chain import Finding
    from device.core.explain import Language
    from device.core.types import Json
    from device.edges.record.reader import Recorded

SUBJECT_DIGITS: Final = 8
"""So much of a keyed hash is enough to see that it is the same person again."""


def print_events(path: Path, *, as_json: bool, limit: int, explained: Language | None = None) -> int:
    """Print the newest ``limit`` events (0 for all), each decision explained in a language. Raises JournalError when there is no record."""
    for line in lines(path, limit, explained):
        print(json.dumps(line, ensure_ascii=False) if as_json else _sentence(line))
    return 0


def print_verdict(path: Path, cert: Path | None, past: Path, *, as_json: bool) -> int:
    """Whether what is still in the record is what was recorded. Returns 1 where it is not. Raises JournalError, ConfigError.

    ``cert`` is the gate's certificate, ``past`` a file of those that it had before: under one of their keys each event was signed.
    """
    findings, count = verdict(path, cert, past)
    if as_json:
        told = [{"seq": one.seq, "last": one.last, "fault": one.fault.value} for one in findings]
        print(json.dumps({"events": count, "findings": told}))
    else:
        for finding in findings:
            print(sentence(finding))
        good = "toàn vẹn · whole" if not findings else f"{len(findings)} lỗi · faults"
        print(f"{count} sự kiện · events: {good}")
    return 1 if findings else 0


def verdict(path: Path, cert: Path | None, past: Path) -> tuple[list[Finding], int]:
    """What is wrong with the events that are ready to be sent, and how many those are.

    Numbers that are not there are no fault here: the gate erases what the
    province has. Whether that was all of them the province can tell.
    """
    is_ours = None if cert is None else partial(_signed_by_one, [load_certificate(cert), *_certificates(past)])
    with JournalReader(path) as journal:
        return examine_bodies(journal.epoch, journal.bodies(), holes=False, is_ours=is_ours)


def _certificates(path: Path) -> list[Certificate]:
    """All in a file, none where there is no file. Raises KeyUnusable, naming it."""
    try:
        return load_pem_x509_certificates(path.read_bytes())
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        raise KeyUnusable(f"{path}: the certificates of before cannot be read: {error}") from error


def _signed_by_one(certificates: list[Certificate], content: bytes, signature: str) -> bool:
    return any(verify(certificate, content, signature) for certificate in certificates)


def lines(path: Path, limit: int, explained: Language | None = None) -> Iterator[dict[str, Json]]:
    """One object for each event that is still in the record."""
    with JournalReader(path) as journal:
        for recorded in journal.events(limit or None):
            yield _line(recorded, explained)


def _line(recorded: Recorded, explained: Language | None) -> dict[str, Json]:
    stored, data = recorded.stored, recorded.stored.data
    line: dict[str, Json] = {
        "seq": stored.seq,
        "time": time_text(recorded.stamp.time_ns),
        "clock": recorded.stamp.clock.value,
        "state": recorded.state,
        "channel": stored.channel.value,
    }
    if stored.channel is Channel.AUDIT:
        return line | {"what": data["what"], "detail": {key: value for key, value in data.items() if key != "what"}}
    told = {key: data.get(key) for key in ("decision", "reason", "direction", "kind", "variant", "assurance")}
    subject = data.get("subject")
    why: dict[str, Json] = {} if explained is None else {"explanation": explain_event(explained, data)}
    return line | told | {"subject": subject[:SUBJECT_DIGITS] if isinstance(subject, str) else None} | why


def _sentence(line: dict[str, Json]) -> str:
    doubt = "?" if line["clock"] in {ClockState.UNSYNCED, ClockState.BOUNDED} else " "
    head = f"{line['seq']:>8}  {line['time']}{doubt} {line['state']:9}"
    if "what" in line:
        detail = line["detail"]
        told = " ".join(f"{key}={value}" for key, value in detail.items()) if isinstance(detail, dict) else ""
        return f"{head}  {line['what']} {told}".rstrip()
    who = f"{line['decision']:6} {line['direction'] or '-':3} {line['kind']:16} {line['subject'] or '-':8}"
    if "explanation" in line:
        return f"{head}  {who}  {line['explanation']}"
    sentence = sentence_of(str(line["reason"]))
    return f"{head}  {who}  {sentence.vi} · {sentence.en}"
