"""The configuration that the province desires: taken only signed and whole, tried, and taken back when it cuts the gate off.

What it may change is named here; it can neither make the gate another one,
nor point it at other keys or files. It lies beside the configuration file and
is laid over it at each start. A new one is on trial until the gate has been
well with it, and connected where the connection was changed; if that does not
come in time, or the program does not come up, the one before is in force
again, and the province is told.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, ValidationError

from device import config as configuration
from device.config import GateConfig
from device.core import wire
from device.edges.broker.downlink import ConfigVerdict
from device.edges.keys.trust_files import Province, Signs, load_province
from device.edges.machine.files import read_plain, replace_durably
from device.errors import ConfigError
from device.settings import commissioned
from device.settings.checks import check_needed

log = logging.getLogger(__name__)

TRIAL_NS: Final = 600_000_000_000
"""Nanoseconds after which a configuration that has not proved itself is taken back: ten minutes."""
WELL_NS: Final = 10_000_000_000
"""Nanoseconds that the gate must have run well with a configuration to keep it, and be connected where the connection was changed."""
STARTS_LIMIT: Final = 3
"""Starts that a configuration has for its trial; at the next one it is taken back."""

CHANGEABLE: Final[Mapping[str, frozenset[str] | None]] = {
    "gate": frozenset({"direction", "lane"}),
    "policy": None,
    "privacy": frozenset({"purpose", "legal_basis"}),
    "signals": frozenset({"profile"}),
    "journal": frozenset({"max_rows", "max_mib", "retention_days", "budget_ms", "unsynced_grace_s", "strict"}),
    "broker": frozenset(
        {
            "host",
            "port",
            "confirm",
            "keep_after_puback_h",
            "first_connect_spread_s",
            "retry_min_s",
            "retry_max_s",
            "backlog_per_s",
            "health_every_s",
        }
    ),
}
"""The keys that the province may set, by section; None where it may set all."""

_CONNECTION: Final = frozenset({"host", "port"})
_FILE_LIMIT_BYTES: Final = 256 * 1024


class Note(BaseModel):
    """What the gate remembers about configurations. ``trial`` is a version that has not yet proved itself."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    floor: int = 0
    """The highest version that was ever taken: an older one never comes back."""
    trial: int | None = None
    starts: int = 0
    connection: bool = False
    status: wire.ConfigStatus | None = None
    errors: tuple[str, ...] = ()
    desired: int | None = None


class Desired:
    """The folder of desired configurations. For the uplink's thread, and for the loop's ``watch``."""

    def __init__(self, path: Path, folder: Path, province: Province, gate: str) -> None:
        """``path`` is the configuration file over which ``folder``'s are laid; ``gate`` is the id that they must name."""
        self._path = path
        self._folder = folder
        self._province = province
        self._gate = gate
        self._note = self._read_note()
        self._since_ns: int | None = None
        self.changed = False
        """Whether the program must start again to be what is desired."""

    # ------------------------------------------------------------- at the start

    def effective(self) -> GateConfig:
        """The configuration to run with. Raises ConfigError only where the file itself cannot be used."""
        self._count_start()
        for name in ("current", "previous"):
            body = self._body(name)
            if body is None:
                continue
            try:
                return self._merged(body.config)
            except ConfigError as error:
                log.warning("the desired configuration %d cannot be used: %s", body.version, error)
                if name == "current":
                    self._roll_back("unusable")
        return commissioned.load(self._path)

    def _count_start(self) -> None:
        note = self._note
        if note.trial is None:
            return
        if note.starts >= STARTS_LIMIT:
            self._roll_back("did_not_start")
            return
        self._write(note.model_copy(update={"starts": note.starts + 1}))

    # ------------------------------------------------------------- what comes

    def receive(self, payload: bytes) -> ConfigVerdict:
        """One desired configuration. It is in force after the next start, which ``changed`` asks for."""
        desired = self._province.read(wire.DesiredConfig, payload)
        if isinstance(desired, str):
            return ConfigVerdict(None, "rejected", (desired,))
        reason = self._fault_of(desired, payload)
        if reason is not None:
            return ConfigVerdict(desired.version, "rejected", (reason,))
        if desired.version == self._note.floor:
            return self.report() or ConfigVerdict(desired.version, "applied", ())
        try:
            self._keep(desired, payload)
        except OSError as error:
            log.warning("the desired configuration cannot be kept: %s", error)
            return ConfigVerdict(desired.version, "rejected", ("storage",))
        log.info("configuration %d is on trial", desired.version)
        self.changed = True
        return ConfigVerdict(desired.version, "applied", ())

    def report(self) -> ConfigVerdict | None:
        """What became of the last one that was taken, for each new connection."""
        note = self._note
        return None if note.status is None else ConfigVerdict(note.desired, note.status, note.errors)

    def _fault_of(self, desired: wire.DesiredConfig, payload: bytes) -> str | None:
        if desired.gate != self._gate:
            return "foreign"
        if desired.version < self._note.floor:
            return "old_version"
        if desired.version == self._note.floor:
            return None if payload == self._content("current") or self._note.status == "rolled_back" else "version_reused"
        if forbidden(desired.config) is not None:
            return "not_changeable"
        try:
            self._merged(desired.config)
        except ConfigError as error:
            log.warning("the desired configuration %d is refused: %s", desired.version, error)
            return "invalid"
        return None

    def _keep(self, desired: wire.DesiredConfig, payload: bytes) -> None:
        """Keep a new configuration. The last good one becomes the one before; one that is still on trial does not."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        current = self._content("current")
        if current is not None and self._note.trial is None:
            replace_durably(self._folder / "previous.json", current)
        connection = bool(_CONNECTION & set(desired.config.get("broker", {})))
        note = Note(
            floor=desired.version,
            trial=desired.version,
            connection=connection or self._note.connection,
            status="applied",
            desired=desired.version,
        )
        # The note first: a version that was begun never counts as unknown.
        self._write(note)
        replace_durably(self._folder / "current.json", payload)

    # ------------------------------------------------------------- the trial

    def watch(self, now_ns: int, *, online: bool, well: bool) -> None:
        """End the trial when the configuration has proved itself, or its time is over. Called once a second with CLOCK_MONOTONIC."""
        note = self._note
        if note.trial is None or self.changed:
            return
        if self._since_ns is None:
            self._since_ns = now_ns
        since_ns = now_ns - self._since_ns
        if well and since_ns >= WELL_NS and (online or not note.connection):
            log.info("configuration %d is good", note.trial)
            self._write(note.model_copy(update={"trial": None, "starts": 0, "connection": False}))
        elif since_ns >= TRIAL_NS:
            self._roll_back("cut_off" if note.connection and not online else "not_well")
            self.changed = True

    def _roll_back(self, reason: str) -> None:
        """Put the configuration before in force again; the version that failed never comes back."""
        note = self._note
        log.warning("configuration %s is taken back: %s", note.trial or note.desired, reason)
        previous = self._content("previous")
        try:
            if previous is None:
                (self._folder / "current.json").unlink(missing_ok=True)
            else:
                replace_durably(self._folder / "current.json", previous)
            self._write(Note(floor=note.floor, status="rolled_back", errors=(reason,), desired=note.desired))
        except OSError as error:
            log.warning("that it is taken back cannot be noted: %s", error)

    # ------------------------------------------------------------- files

    def _merged(self, config: Mapping[str, Any]) -> GateConfig:
        name = f"{self._path} with the desired configuration"
        wrong = forbidden(config)
        if wrong is not None:
            raise ConfigError(f"{name}: {wrong}: may not be changed from outside")
        tree = commissioned.read_tree(self._path)
        for section, keys in config.items():
            held = tree.get(section, {})
            if section == "broker" and section not in tree:
                raise ConfigError(f"{name}: broker: there is none to change")
            tree[section] = {**(held if isinstance(held, dict) else {}), **keys}
        merged = configuration.parse(tree, name, self._path.absolute().parent)
        check_needed(merged, name)
        return merged

    def _body(self, name: str) -> wire.DesiredConfig | None:
        content = self._content(name)
        if content is None:
            return None
        found = self._province.read(wire.DesiredConfig, content)
        return found if isinstance(found, wire.DesiredConfig) and found.gate == self._gate else None

    def _content(self, name: str) -> bytes | None:
        try:
            return read_plain(self._folder / f"{name}.json", _FILE_LIMIT_BYTES)
        except (OSError, ValueError):
            return None

    def _read_note(self) -> Note:
        try:
            return Note.model_validate_json(read_plain(self._folder / "note.json", _FILE_LIMIT_BYTES))
        except FileNotFoundError:
            return Note()
        except (OSError, ValueError, ValidationError) as error:
            # Its own version is the least that was ever taken.
            log.warning("what was noted about desired configurations cannot be read: %s", type(error).__name__)
            body = self._body("current")
            return Note() if body is None else Note(floor=body.version, status="applied", desired=body.version)

    def _write(self, note: Note) -> None:
        replace_durably(self._folder / "note.json", json.dumps(note.model_dump(), separators=(",", ":")).encode())
        self._note = note


def open_desired(path: Path) -> Desired | None:
    """The desired configurations of the gate whose file this is; None where no province is known. Raises ConfigError or KeyUnusable."""
    base = configuration.load(path)
    province = load_province(base.trust.province, Signs.ORDERS)
    return Desired(path, base.trust.desired, province, base.gate.id) if province.known else None


def forbidden(config: Mapping[str, Any]) -> str | None:
    """The first key that the province may not set; None when it may set all of them."""
    for section, keys in config.items():
        if section not in CHANGEABLE or not isinstance(keys, Mapping):
            return section
        allowed = CHANGEABLE[section]
        unknown = next((key for key in keys if allowed is not None and key not in allowed), None)
        if unknown is not None:
            return f"{section}.{unknown}"
    return None
