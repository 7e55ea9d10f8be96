"""What the province tells a gate beside acks: configuration, commands and lists.

Each is read, judged and answered, and what was refused is recorded.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from device.core import wire
from device.core.orders import Refusal
from device.core.types import ClockReading
from device.edges.broker.notices import Notices
from device.edges.broker.values import Publication

log = logging.getLogger(__name__)

REMEMBERED = 256
"""Answers that are remembered, so that the same message again changes and records nothing."""


@dataclass(frozen=True, slots=True)
class ConfigVerdict:
    """What became of a desired configuration: the version asked for, how it stands, and why."""

    desired: int | None
    status: wire.ConfigStatus
    errors: tuple[str, ...] = ()


class OrderTaker(Protocol):
    """Whoever carries orders out (``edges.orders.desk``). For the uplink's own thread."""

    @property
    def carried_out(self) -> int:
        """How many orders were carried out since the start."""
        ...

    def wake(self, now: ClockReading) -> None:
        """Once, before the first connection: what a restart left unfinished."""
        ...

    def submit(self, name: str, payload: bytes, now: ClockReading, *, retained: bool) -> Refusal | None:
        """One order as it came; why it is not begun, or None."""
        ...

    def answers(self, now: ClockReading) -> Sequence[wire.CommandState]:
        """What became of orders since it was last asked."""
        ...


class ListTaker(Protocol):
    """Whoever fetches lists (``edges.lists.fetch``). Hands over and returns: the fetching has a thread of its own."""

    @property
    def names(self) -> Sequence[str]:
        """The lists that the rules name."""
        ...

    def announced(self, gate: str, name: str, payload: bytes) -> None:
        """A list of that name is offered, to this gate or to all."""
        ...

    def arrived(self, digest: str, payload: bytes) -> None:
        """A part of a list, by its digest."""
        ...

    def online(self, *, connected: bool) -> None:
        """Whether parts can be asked for now."""
        ...


class Downlink:
    """Judges what comes from the province. For the uplink's own thread."""

    def __init__(self, gate: str, applied: str, notices: Notices) -> None:
        """``applied`` is the version of the configuration in force. Without a ``desk`` no command is carried out."""
        self._gate = gate
        self._applied = applied
        self._notices = notices
        self._seen: OrderedDict[tuple[str, str, str], None] = OrderedDict()
        self.desk: OrderTaker | None = None
        self.fetcher: ListTaker | None = None
        self.judge_config: Callable[[bytes], ConfigVerdict] | None = None
        self.refused = 0

    def answers(self, now: ClockReading) -> list[Publication]:
        """What became of commands since it was last asked."""
        states = [] if self.desk is None else self.desk.answers(now)
        return [Publication(object(), wire.up(self._gate, "cmd", state.id), wire.encode(state)) for state in states]

    def receive(self, topic: wire.Topic, payload: bytes, now: ClockReading, *, retained: bool) -> Publication | None:
        """Judge one message, and answer it where the contract has an answer."""
        if topic.kind == "cmd":
            return self._command(topic.name, payload, now, retained=retained)
        if topic.kind in {"list", "part"} and self.fetcher is not None:
            if topic.kind == "list":
                self.fetcher.announced(topic.gate, topic.name, payload)
            else:
                self.fetcher.arrived(topic.name, payload)
            return None
        if topic.kind == "config":
            return self._config(payload)
        self.refused += 1
        self._list(topic.name, payload)
        return None

    def _command(self, name: str, payload: bytes, now: ClockReading, *, retained: bool) -> Publication | None:
        refusal = Refusal("not_enabled") if self.desk is None else self.desk.submit(name, payload, now, retained=retained)
        if refusal is None:
            return None
        self.refused += 1
        state = wire.CommandState(id=name, state=refusal.state, time=wire.time_text(now.wall_ns), reason=refusal.reason)
        self._record(("cmd", name, refusal.reason), wire.CommandFate(id=name, state=refusal.state, reason=refusal.reason))
        return Publication(object(), wire.up(self._gate, "cmd", name), wire.encode(state))

    def _config(self, payload: bytes) -> Publication:
        verdict = _not_enabled(payload) if self.judge_config is None else self.judge_config(payload)
        if verdict.status == "rejected":
            self.refused += 1
        self._note_config(verdict)
        return self.report(verdict)

    def _note_config(self, verdict: ConfigVerdict) -> None:
        version = verdict.desired
        reason = verdict.errors[0] if verdict.errors else None
        self._record(("config", str(version), str(reason)), wire.ConfigFate(version=version, status=verdict.status, reason=reason))

    def report(self, verdict: ConfigVerdict) -> Publication:
        """What the gate says of a configuration."""
        report = wire.ConfigReport(desired=verdict.desired, applied=self._applied, status=verdict.status, errors=verdict.errors)
        return Publication(object(), wire.up(self._gate, "config"), wire.encode(report), retain=True)

    def _list(self, name: str, payload: bytes) -> None:
        manifest = wire.read(wire.ListManifest, payload)
        readable = not isinstance(manifest, wire.Unreadable) and manifest.name == name
        version = manifest.version if isinstance(manifest, wire.ListManifest) else None
        reason = "not_enabled" if readable else "malformed"
        self._record(("list", f"{name} {version}", reason), wire.ListFate(name=name, version=version, status="rejected", reason=reason))

    def _record(self, key: tuple[str, str, str], fact: wire.AuditFact) -> None:
        """Once for each message and reason."""
        if key in self._seen:
            self._seen.move_to_end(key)
            return
        self._seen[key] = None
        if len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)
        if self._notices.record(fact):
            log.warning("from the province: %s %s (%s)", *key)


def _not_enabled(payload: bytes) -> ConfigVerdict:
    desired = wire.read(wire.DesiredConfig, payload)
    if isinstance(desired, wire.Unreadable):
        return ConfigVerdict(None, "rejected", ("malformed",))
    return ConfigVerdict(desired.version, "rejected", ("not_enabled",))
