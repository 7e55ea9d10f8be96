"""What the province tells a gate beside acks: configuration, commands and lists.

Each is read, judged and answered, and what was refused is recorded. So far
every one is refused as ``not_enabled`` at the last step; the steps before it
(retained, unreadable, foreign, expired) are the ones that stay.
"""

from __future__ import annotations

import logging
from collections import OrderedDict

from device.core import wire
from device.core.types import ClockReading
from device.edges.mqtt_values import Publication
from device.edges.standing import Notices

log = logging.getLogger(__name__)

REMEMBERED = 256
"""Answers that are remembered, so that the same message again changes and records nothing."""


class Downlink:
    """Judges what comes from the province. For the uplink's own thread."""

    def __init__(self, gate: str, applied: str, notices: Notices) -> None:
        """``applied`` is the version of the configuration in force."""
        self._gate = gate
        self._applied = applied
        self._notices = notices
        self._seen: OrderedDict[tuple[str, str, str], None] = OrderedDict()
        self.refused = 0

    def take(self, topic: wire.Topic, payload: bytes, now: ClockReading, *, retained: bool) -> Publication | None:
        """Judge one message, and answer it where the contract has an answer."""
        self.refused += 1
        if topic.kind == "cmd":
            return self._command(topic.name, payload, now, retained=retained)
        if topic.kind == "config":
            return self._config(payload)
        self._list(topic.name, payload)
        return None

    def _command(self, name: str, payload: bytes, now: ClockReading, *, retained: bool) -> Publication:
        reason = self._fault_of(name, wire.read(wire.Command, payload), now, retained=retained)
        state = wire.CommandState(
            id=name, state="expired" if reason == "expired" else "rejected", time=wire.time_text(now.wall_ns), reason=reason
        )
        self._record(("cmd", name, reason), wire.CommandFate(id=name, state=state.state, reason=reason))
        return Publication(object(), wire.up(self._gate, "cmd", name), wire.encode(state))

    def _fault_of(self, name: str, command: wire.Command | wire.Unreadable, now: ClockReading, *, retained: bool) -> str:
        if retained:
            return "retained"
        if isinstance(command, wire.Unreadable) or command.id != name:
            return "malformed"
        if command.gate != self._gate:
            return "foreign"
        if now.trusted and command.expires[:19] <= wire.time_text(now.wall_ns)[:19]:
            return "expired"
        return "not_enabled"

    def _config(self, payload: bytes) -> Publication:
        desired = wire.read(wire.DesiredConfig, payload)
        version = None if isinstance(desired, wire.Unreadable) else desired.version
        reason = "malformed" if version is None else "not_enabled"
        self._record(("config", str(version), reason), wire.ConfigFate(version=version, status="rejected", reason=reason))
        report = wire.ConfigReport(desired=version, applied=self._applied, status="rejected", errors=(reason,))
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
            log.warning("refused from the province: %s %s (%s)", *key)
