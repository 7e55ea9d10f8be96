"""A whole gate's surroundings in a temporary folder: keys, configuration, a private broker and the province's collector.

The demo, the benchmarks and the tests of the whole gate stand on it.
"""

from __future__ import annotations

import json
import secrets
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from device.errors import GateError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

START_LIMIT_S: Final = 20.0
STOP_LIMIT_S: Final = 10.0
GATE_ID: Final = "demo-gate"


@dataclass
class Stage:
    """Files of one gate in ``folder``. ``overrides`` are sections and keys of the configuration that differ from the stage's own."""

    folder: Path
    source: str
    port: int | None = None
    overrides: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "run").mkdir(exist_ok=True)
        self.opening_key = X25519PrivateKey.generate()
        public = self.opening_key.public_key()
        pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        (self.folder / "province.pem").write_bytes(pem)
        (self.folder / "site.key").write_text(secrets.token_hex(32), encoding="ascii")
        self.config_path = self.folder / "gate.toml"
        self.config_path.write_text(self._toml(), encoding="utf-8")

    def _toml(self) -> str:
        sections: dict[str, dict[str, Any]] = {
            "gate": {"id": GATE_ID, "site": "demo-site", "direction": "both", "runtime_dir": "run"},
            "privacy": {"site_key": "site.key", "seal_to": "province.pem", "purpose": "demonstration"},
            "camera": {"source": self.source, "fps": 15.0},
            "signals": {"pin_factory": "mock"},
            "policy": {"duplicate_window_s": 5.0},
            # Laptops and containers often do not know whether their clock is right; nobody wants to wait for it here.
            "journal": {"path": "state/journal.sqlite", "unsynced_grace_s": 0.0},
        }
        if self.port is not None:
            sections["broker"] = {"host": "127.0.0.1", "port": self.port, "first_connect_spread_s": 0.0, "backlog_per_s": 1000.0}
        for name, keys in self.overrides.items():
            sections.setdefault(name, {}).update(keys)
        return "\n".join(_section(name, keys) for name, keys in sections.items())


def _section(name: str, keys: Mapping[str, Any]) -> str:
    # JSON's strings, numbers, arrays and booleans are TOML's too.
    return f"[{name}]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in keys.items())


@contextmanager
def collector(port: int, database: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The province's collector as a process of its own, ready when this is entered."""
    process = start_collector(port, database)
    try:
        yield process
    finally:
        stop_process(process)


def start_collector(port: int, database: Path) -> subprocess.Popen[bytes]:
    """Start the collector and wait until it is subscribed. Raises GateError when it does not come up."""
    ready = database.with_suffix(".ready")
    ready.unlink(missing_ok=True)
    command = [sys.executable, "-m", "provisioning.province.collector", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--db", str(database), "--ready-file", str(ready)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    limit = time.monotonic() + START_LIMIT_S
    while not ready.exists():
        if process.poll() is not None or time.monotonic() > limit:
            stop_process(process)
            raise GateError("the collector did not start; what it says stands above")
        time.sleep(0.02)
    return process


def stop_process(process: subprocess.Popen[bytes]) -> None:
    """Ask a process to stop, and make it when it does not."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(timeout=STOP_LIMIT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def received_checkins(database: Path) -> int:
    """How many different decisions the collector holds."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as store:
        return int(store.execute("SELECT count(*) FROM distinct_events WHERE type = 'vn.gate.checkin.v1'").fetchone()[0])
