"""What a gate says of its health: to whoever asks on the spot, to the province, and to the technician's self-test.

Each figure is measured in one place, here or in the part that it is about;
each threshold of "not well" stands in ``core.problems.LIMITS``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from device.core.machine import State
from device.core.problems import CERTIFICATE, HEAT, LIMITS, MEMORY, SPACE, Problem
from device.core.rules import Standing
from device.core.timeline import ClockState
from device.core.types import View
from device.edges.lists.installed import lists_in_use
from device.edges.machine import health

if TYPE_CHECKING:
    from collections.abc import Mapping

    from device.config import GateConfig
    from device.core.types import ClockReading, Json
    from device.edges.broker.siblings import Siblings
    from device.edges.broker.uplink import MqttUplink
    from device.edges.eye.link import EyeLink
    from device.edges.lists.installed import GateList
    from device.edges.machine.clock import SystemClock
    from device.edges.pins.gpio_signals import GpioSignals
    from device.edges.record.journal import SqliteJournal
    from device.loop import Loop

STATUS_FILE: Final = "status.json"
"""In the gate's runtime folder, written each second."""


@dataclass(frozen=True, slots=True)
class Condition:
    """How the gate is, asked anew each time. From any thread: figures are read one after the other.

    ``uplink`` and ``siblings`` are None where the configuration has none.
    """

    config: GateConfig
    version: str
    clock: SystemClock
    journal: SqliteJournal
    lists: Mapping[str, GateList]
    signals: GpioSignals
    eye: EyeLink
    loop: Loop
    uplink: MqttUplink | None
    siblings: Siblings | None

    # ------------------------------------------------------------- what it is told by

    def problems(self) -> list[str]:
        """What is not well, as codes: empty on a gate that works and is connected."""
        uplink = {} if self.uplink is None else self.uplink.stats()
        machine = self._machine()
        now = self.clock.reading()
        found = {
            Problem.EYE_SILENT: self.loop.state is State.OUT_OF_SERVICE,
            Problem.VIEW: self.loop.beat is not None and self.loop.beat.view is not View.OK,
            Problem.STORAGE: self.journal.stats()["storage_state"] != "ok",
            Problem.SPACE: _is_wrong(SPACE, machine),
            Problem.SIGNALS: bool(self.signals.stats()["failing"]) or not self.signals.alive,
            Problem.OFFLINE: self.uplink is not None and uplink["phase"] != "online",
            Problem.HELD: uplink.get("hold") is not None,
            Problem.CERTIFICATE: self._certificate_ends(machine, now),
            Problem.LIST: any(one.standing(now) in {Standing.EXPIRED, Standing.MISSING} for one in self.lists.values()),
            Problem.SIBLINGS: self.siblings is not None and self.siblings.blind,
            Problem.CLOCK: not now.trusted,
            Problem.POWER: bool((health.throttled_bits() or 0) & health.UNDER_VOLTAGE_NOW),
            Problem.HEAT: _is_wrong(HEAT, machine),
            Problem.MEMORY: _is_wrong(MEMORY, machine),
        }
        return [code.value for code, wrong in found.items() if wrong]

    def health(self) -> Mapping[str, Json]:
        """What the health message says beyond the uplink's own figures, by the names of the contract."""
        tally, journal, beat = self.loop.tally, self.journal.stats(), self.loop.beat
        figures: dict[str, Json] = {
            **self._machine(),
            "dead_letters": journal["dead"],
            "dropped": journal["dropped"],
            "fsync_ms": journal["commit_ms"],
            "decide_ms": {**tally.decide_ms.summary()},
            "lamp_ms": {**tally.lamp_ms.summary()},
            "fsync_over_budget": tally.record_late,
            "record_failed": tally.record_failed,
            "sighting_age_ms": {**tally.read_ms.summary()},
            "unreadable": self._unreadable(),
            "decisions": tally.decisions,
            "eye_restarts": self.eye.stats()["restarts"],
            "storage_state": journal["storage_state"],
            "lists": self._lists_said(),
        }
        if beat is not None:
            age_s = max(0.0, (self.clock.monotonic_ns() - beat.taken_ns) / 1e9)
            figures |= {"frames": beat.frames, "frame_age_s": round(age_s, 3), "frames_read": beat.read}
            figures |= {"frames_refused": beat.refused, "camera_view": beat.view.value}
        return figures

    def hello(self) -> Mapping[str, Json]:
        """What the hello message says beyond the uplink's own."""
        return {"lists": self._lists_said(), "clock": self._clock_state()}

    def status(self) -> dict[str, Json]:
        """Everything for somebody who stands in front of the gate: the content of the status file."""
        tally, beat = self.loop.tally, self.loop.beat
        decisions: dict[str, Json] = {
            "decisions": tally.decisions,
            "accepted": tally.accepted,
            "rejected": tally.rejected,
            "referred": tally.referred,
            "recorded": tally.recorded,
            "record_late": tally.record_late,
            "record_failed": tally.record_failed,
            "lamp_ms": {**tally.lamp_ms.summary()},
        }
        view = None if beat is None else beat.view.value
        seen: dict[str, Json] = {"view": view, "unreadable": self._unreadable(), "refused_frames": None if beat is None else beat.refused}
        return {
            "gate": self.config.gate.id,
            "version": self.version,
            "state": self.loop.state.value,
            "problems": [*self.problems()],
            "decisions": decisions,
            "journal": {**self.journal.stats()},
            "uplink": {} if self.uplink is None else {**self.uplink.stats()},
            "eye": {**self.eye.stats(), **seen},
            "signals": {**self.signals.stats()},
            "machine": self._machine(),
        }

    # ------------------------------------------------------------- what it is made of

    def _machine(self) -> dict[str, Json]:
        """Of the computer itself, by the names of the contract; None where it does not say."""
        return {
            "resident_bytes": health.resident_bytes(),
            MEMORY: health.memory_available_bytes(),
            SPACE: health.disk_free_bytes(self.config.journal.path.parent),
            HEAT: health.cpu_temperature_celsius(),
            "throttled_bits": health.throttled_bits(),
            CERTIFICATE: self._certificate_days(),
            "clock": self._clock_state(),
            "uptime_s": health.uptime_s(),
        }

    def _lists_said(self) -> list[Json]:
        return [use.model_dump(mode="json", exclude_none=True) for use in lists_in_use(self.lists, self.clock.reading())]

    def _unreadable(self) -> dict[str, Json]:
        return {cause.value: count for cause, count in self.loop.tally.unreadable.items()}

    def _clock_state(self) -> str:
        reading = self.clock.reading()
        if not reading.trusted:
            return ClockState.UNSYNCED.value
        return (ClockState.HOLDOVER if reading.held_over else ClockState.SYNCED).value

    def _certificate_days(self) -> int | None:
        broker = self.config.broker
        reading = self.clock.reading()
        if broker is None or broker.cert is None or not reading.trusted:
            return None
        return health.certificate_days(broker.cert, reading.wall_ns)

    def _certificate_ends(self, machine: Mapping[str, Json], now: ClockReading) -> bool:
        """Whether the certificate needs somebody now, one that cannot be read, too. A clock that is not known proves nothing about it."""
        broker = self.config.broker
        if broker is None or broker.cert is None or not now.trusted:
            return False
        return machine[CERTIFICATE] is None or _is_wrong(CERTIFICATE, machine)


def _is_wrong(figure: str, figures: Mapping[str, Json]) -> bool:
    value = figures[figure]
    return isinstance(value, int | float) and LIMITS[figure].is_wrong(value)
