"""One or more examples of every message, made by the same code that makes the real ones. All persons and places are invented."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Final

from device.core import wire
from device.core.reasons import Reason
from device.core.timeline import ClockState, Stamp
from device.core.types import (
    Assurance,
    Cause,
    Channel,
    ClockReading,
    Decision,
    Direction,
    JsonObject,
    Kind,
    Sign,
    Stored,
    Verdict,
    View,
)

GATE: Final = "gate-pleiku-01"
EPOCH: Final = "6f2b1c5e-8a43-4f0d-9b8e-2f6f3f1f7a01"
SESSION: Final = "0d7c41fb-55c2-4a39-9d0e-5b8d8f0c8e11"
BOOT: Final = "3c1f2b8a-9f0e-4a53-8e6d-7b1a2c3d4e5f"
SIGNATURE: Final = "MEUCIQDexample0signature0of0the0gates0own0key0AiB0over0the0bytes0before0it0AAAAAAAAAAA="
NOW_NS: Final = 1_795_000_000_123_000_000
VERSION: Final = "0.1.0"
_SITE: Final = wire.Terms("site-0042", "1", "5d41402abc4b2a76", "access control", "not stated")
_NOW: Final = wire.time_text(NOW_NS)
_LATER: Final = wire.time_text(NOW_NS + 30_000_000_000)
_SUBJECT: Final = hashlib.sha256(b"an invented subject").hexdigest()
_DIGEST: Final = hashlib.sha256(b"an invented payload").hexdigest()
_LISTS: Final = (wire.ListInUse(name="deny", version="17", age_s=3600),)
_SIGNED: Final = {"gate": GATE, "issued": _NOW, "signature": SIGNATURE}


def frozen(data: JsonObject, channel: Channel = Channel.CHECKIN, seq: int = 7, stamp: Stamp | None = None) -> dict[str, Any]:
    """An event as it is published, from its data."""
    reading = ClockReading(90_000_000_000, 90_000_000_000, NOW_NS, BOOT, trusted=True)
    stored = Stored(EPOCH, seq, f"019a1b2c-3d4e-7f60-8a9b-{seq:012x}", channel, data, reading)
    prev = hashlib.sha256(b"the body before").digest()
    body = wire.freeze_event(stored, stamp or Stamp(NOW_NS, ClockState.SYNCED, 12), prev, lambda _: SIGNATURE, GATE)
    event: dict[str, Any] = json.loads(body)
    return event


def _checkins() -> dict[str, dict[str, Any]]:
    passed = Decision(
        Verdict.ACCEPT,
        Reason.ACCEPTED,
        Sign.ACCEPT_IN,
        Kind.CITIZEN_CARD,
        "11",
        Direction.IN,
        Assurance.DECLARED,
        _SUBJECT,
        ("sex_mismatch",),
    )
    foreign = Decision(Verdict.REJECT, Reason.PAYMENT_CODE, Sign.REJECT, Kind.PAYMENT)
    unsure = Decision(Verdict.REFER, Reason.CLOCK_UNKNOWN, Sign.REFER, Kind.NATIONAL_QR, "masked", None, Assurance.DECLARED, _SUBJECT)
    between = Stamp(NOW_NS, ClockState.BOUNDED, 1_800_000, NOW_NS - 1_800_000_000_000, NOW_NS + 1_800_000_000_000)
    return {
        "passed": frozen(wire.checkin_data(passed, _SITE, decide_ms=1.25, lists=_LISTS, sealed="c2VhbGVkIGZvciB0aGUgcHJvdmluY2U=")),
        "refused": frozen(wire.checkin_data(foreign, _SITE, decide_ms=0.4, payload_length=86, payload_digest=_DIGEST), seq=8),
        "referred": frozen(wire.checkin_data(unsure, _SITE, decide_ms=0.9, sealed="c2VhbGVk"), seq=9, stamp=between),
    }


def _audits() -> dict[str, dict[str, Any]]:
    facts: dict[str, wire.AuditFact] = {
        "start": wire.Start(version=VERSION, policy=_SITE.policy, previous="unclean"),
        "stop": wire.Stop(reason="signal"),
        "gap": wire.Gap(first=101, last=180, count=64, cause="rows", oldest=_NOW, newest=_LATER, digest=_DIGEST),
        "dead_letter": wire.DeadLetter(seq=12, reason="payload_format_invalid", channel=Channel.CHECKIN),
        "clock_step": wire.ClockStep(step_ms=-3_600_000),
        "clock": wire.ClockKnown(state=ClockState.HOLDOVER, before=ClockState.SYNCED),
        "eye_lost": wire.EyeLost(silent_ms=2_100),
        "eye_back": wire.EyeBack(away_ms=3_400),
        "camera_view": wire.CameraView(view=View.COVERED, before=View.OK),
        "storage": wire.Storage(state="degraded", error="eio", lost=2),
        "journal_replaced": wire.JournalReplaced(cause="corrupt", old_epoch=EPOCH, salvaged=41, kept_as="journal.sqlite.corrupt-1"),
        "uplink": wire.UplinkTrouble(state="held", reason="forbidden"),
        "window": wire.WindowOpened(open_s=600),
        "command": wire.CommandFate(id="c-0001", state="rejected", reason="not_enabled"),
        "config": wire.ConfigFate(version=4, status="rejected", reason="not_enabled"),
        "list": wire.ListFate(name="deny", version=18, status="rejected", reason="not_enabled"),
    }
    return {name: frozen(wire.audit_data(fact), Channel.AUDIT, seq) for seq, (name, fact) in enumerate(facts.items(), 20)}


def _said(message: wire.Said) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(wire.encode(message))
    return content


def _health() -> wire.HealthMessage:
    times = wire.Percentiles(p50=4.2, p95=9.8, p99=21.0)
    return wire.HealthMessage(
        time=_NOW,
        version=VERSION,
        boot=BOOT,
        session=SESSION,
        live=wire.LaneFigures(depth=2, oldest_s=0.4),
        backlog=wire.LaneFigures(depth=0),
        published=1_204,
        acked=1_202,
        resent=3,
        offline_s=61.5,
        ack_ms=times,
        dead_letters=0,
        dropped=0,
        fsync_ms=times,
        decide_ms=times,
        lamp_ms=times,
        fsync_over_budget=0,
        decisions=1_180,
        frames=80_412,
        frame_age_s=0.03,
        frames_read=3_310,
        frames_refused=12,
        sighting_age_ms=times,
        unreadable={Cause.BLURRED: 41, Cause.TOO_FAR: 7},
        camera_view=View.OK,
        eye_restarts=0,
        cpu_celsius=51.5,
        throttled_bits=0,
        memory_available_bytes=612_000_000,
        disk_free_bytes=21_000_000_000,
        storage_state="ok",
        clock=ClockState.SYNCED,
        certificate_days=214,
        lists=_LISTS,
        config=_SITE.policy,
        uptime_s=86_400.0,
        restarts=1,
    )


def _state(*, online: bool) -> wire.StateMessage:
    return wire.StateMessage(online=online, session=SESSION, boot=BOOT, version=VERSION, since=_NOW)


EXAMPLES: Final[dict[str, dict[str, dict[str, Any]]]] = {
    "checkin": _checkins(),
    "audit": _audits(),
    "state": {"online": _said(_state(online=True)), "offline": _said(_state(online=False))},
    "hello": {
        "hello": _said(
            wire.HelloMessage(
                session=SESSION,
                epoch=EPOCH,
                oldest=1_203,
                newest=1_204,
                waiting=2,
                version=VERSION,
                config=_SITE.policy,
                lists=_LISTS,
                clock=ClockState.SYNCED,
            )
        )
    },
    "health": {"health": _said(_health())},
    "config-report": {
        "rejected": _said(wire.ConfigReport(desired=4, applied=_SITE.policy, status="rejected", errors=("not_enabled",))),
    },
    "command-state": {"rejected": _said(wire.CommandState(id="c-0001", state="rejected", time=_NOW, reason="not_enabled"))},
    "ack": {"ack": {"epoch": EPOCH, "upto": 1_180, "ranges": [[1_182, 1_202], [1_204, 1_204]], "server_time": _NOW}},
    "config": {
        "config": {"type": "vn.gate.config.v1", "version": 4, "config": {"policy": {"duplicate_window_s": 10}}, **_SIGNED},
    },
    "command": {
        "command": {"type": "vn.gate.command.v1", "id": "c-0001", "name": "open", "args": {}, "expires": _LATER, **_SIGNED},
    },
    "list": {
        "list": {
            "type": "vn.gate.list.v1",
            "name": "deny",
            "version": 18,
            "snapshot": {"sha256": _DIGEST, "bytes": 1_920},
            "deltas": [{"base": 17, "sha256": _SUBJECT, "bytes": 36}],
            "expires": _LATER,
            **_SIGNED,
        },
    },
    "enrol": {
        "request": {"type": "vn.gate.enrol.v1", "gate": GATE, "phase": "request", "csr": "MIHsMIGUAgEAMDIx", "board": "10000000abcdef01"},
        "done": {"type": "vn.gate.enrol.v1", "gate": GATE, "phase": "done"},
    },
    "enrol-answer": {
        "issued": {
            "type": "vn.gate.enrol-answer.v1",
            "gate": GATE,
            "csr": _DIGEST,
            "status": "issued",
            "chain": ["MIICGjCCAcGgAwIB", "MIIB3zCCAYSgAwIB"],
            "site_key": "BBY4mFZ1c2UgaXQh",
        },
        "refused": {"type": "vn.gate.enrol-answer.v1", "gate": GATE, "csr": _DIGEST, "status": "refused", "reason": "claim_used"},
    },
}
"""By message, then by the example's own name."""
