"""What judging costs: signatures by kind beside another implementation, decisions with and without a list of a million.

``python -m tests.bench.judge [RUNS]`` prints one JSON object. ``python -m
tests.bench.judge list [ENTRIES] [CUTS]`` brings a list to a whole gate over a
line of 10 kB/s that is cut so often, and says how long it took.
"""

from __future__ import annotations

import base64
import contextlib
import json
import multiprocessing
import random
import secrets
import socket
import sys
import tempfile
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

import base45
import cwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from device import config as configuration
from device.core.credentials import parse
from device.core.credentials.trust import KeyUse, Trust
from device.core.hash_lists import snapshot
from device.core.rules import ListRule, ListUse, Reliance, Rules, Standing
from device.core.types import Box, ClockReading, Credential, Direction, Kind, Sighting, Verdict
from device.edges.keys.trust_files import load_province
from device.edges.lists.fetch import PART_BYTES
from device.edges.lists.installed import GateList
from device.edges.machine.health import resident_bytes
from device.gate import Gate
from device.judge import Judge
from device.workbench.bench import machine
from device.workbench.broker import PrivateBroker
from device.workbench.people import citizen_card, people, seeded
from device.workbench.stage import GATE_ID, Stage
from provisioning.badges.issuer import BadgeIssuer, symbol
from provisioning.lists.list_release import release
from tests.core.credentials.signed_kit import NOW_S, certificate, trust
from tests.desk import Desk

RUNS: Final = 2_000
ENTRIES: Final = 1_000_000
CUTS: Final = 50
LINE_BYTES_S: Final = 10_000
HOUR_NS: Final = 3_600_000_000_000


def times(work: Callable[[], object], runs: int) -> dict[str, float]:
    """Milliseconds of many runs."""
    work()
    took = []
    for _ in range(runs):
        started = time.perf_counter_ns()
        work()
        took.append((time.perf_counter_ns() - started) / 1e6)
    took.sort()
    return {f"p{part}": round(took[min(len(took) - 1, len(took) * part // 100)], 4) for part in (50, 95, 99)}


def peak_kib(work: Callable[[], object]) -> float:
    """The most that one run holds beyond what was there, by Python's own count."""
    work()
    tracemalloc.start()
    work()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return round(peak / 1024, 1)


def signatures(runs: int) -> dict[str, Any]:
    """Reading and verifying each kind, beside a card without a signature; ``cwt`` does the badge's signature alone."""
    key, p256, big = ed25519.Ed25519PrivateKey.generate(), ec.generate_private_key(ec.SECP256R1()), rsa.generate_private_key(65537, 2048)
    issuer = BadgeIssuer(key, 1)
    badge = issuer.badge(secrets.token_bytes(8), NOW_S + 1000, role=23, zone=255)
    known = trust(
        (KeyUse.BADGES, b"\x01", key.public_key()), (KeyUse.HEALTH, b"es", p256.public_key()), (KeyUse.HEALTH, b"ps", big.public_key())
    )
    codes = {
        "citizen card, unsigned": citizen_card(people(1, seeded(1))[0]),
        "G1 badge, EdDSA": badge.encode(),
        "G2 phone code, EdDSA": issuer.phone_code(secrets.token_bytes(8), NOW_S).encode(),
        "HC1, ES256": certificate(p256, alg=-7, kid=b"es"),
        "HC1, PS256 of 2,048 bits": certificate(big, alg=-37, kid=b"ps"),
    }
    found: dict[str, Any] = {}
    for name, payload in codes.items():
        work = partial(_read, payload, known)
        found[name] = {"ms": times(work, runs), "peak_kib": peak_kib(work)}
    pem = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    theirs, coded = cwt.COSEKey.from_pem(pem, kid=b"\x01"), badge.removeprefix("G1:")
    found["rival: cwt, G1 badge"] = {"ms": times(lambda: cwt.COSE.new().decode(base45.b45decode(coded), theirs), runs)}
    made = symbol(badge)
    return {"kinds": found, "badge": {"letters": len(badge), "symbol": made.designator, "modules": made.symbol_size(border=0)[0]}}


def _read(payload: bytes, known: Trust) -> None:
    if not isinstance(parse(payload, None, known), Credential):
        raise TypeError("a code of the bench is not taken")


def decisions(runs: int) -> dict[str, Any]:
    """From bytes to decision, with keyed hash, without the seal: with no list and with one of a million on this disk."""
    payloads = [citizen_card(person) for person in people(200, seeded(2))]
    now = ClockReading(1, 1, NOW_S * 10**9, "b", trusted=True)
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="gate-bench-") as name:
        for count in (0, ENTRIES):
            before = resident_bytes() or 0
            lists = (ListRule(ListUse.DENY, _a_list(Path(name), count), dict.fromkeys(Standing, Reliance.USE)),) if count else ()
            rules = Rules(frozenset({Kind.CITIZEN_CARD}), Direction.IN, 0, HOUR_NS, Verdict.REFER, 420, lists=lists)
            judge = Judge(rules, secrets.token_bytes(32))
            chance = random.Random(3)  # noqa: S311 - no secret
            sightings = [Sighting(payload, 1, 0, 0, Box(0, 0, 9, 9), "bench") for payload in payloads]
            figures = times(partial(_decide, judge, sightings, chance, now), runs)
            found[f"{count} entries"] = {"ms": figures, "resident_mib": round(((resident_bytes() or 0) - before) / 2**20, 1)}
    return found


def _decide(judge: Judge, sightings: list[Sighting], chance: random.Random, now: ClockReading) -> None:
    judge.judge(chance.choice(sightings), now)


def _a_list(folder: Path, count: int) -> GateList:
    """Made by a process of its own, so that only what a gate does counts here."""
    making = multiprocessing.get_context("spawn").Process(target=_write_list, args=(folder, count))
    making.start()
    making.join()
    one = GateList("bench", folder, ageing_ns=24 * HOUR_NS, stale_ns=168 * HOUR_NS)
    wrong = one.load(load_province(folder / "orders.pem"))
    if wrong is not None:
        raise ValueError(wrong)
    return one


def _write_list(folder: Path, count: int) -> None:
    desk = Desk()
    desk.write_pem(folder / "orders.pem")
    made = release(
        lambda body: base64.b64encode(desk.key.sign(body)).decode(),
        (secrets.token_bytes(32) for _ in range(count)),
        name="bench",
        version=1,
        valid_s=(NOW_S - 10, NOW_S + 86_400),
    )
    (folder / "bench").mkdir()
    ((digest, entries),) = made.blobs.items()
    (folder / "bench" / "manifest.json").write_bytes(made.manifest)
    (folder / "bench" / f"{digest}.hashes").write_bytes(entries)


class SlowLine:
    """A TCP line that carries so many bytes a second towards the gate, and breaks after given numbers of bytes."""

    def __init__(self, port: int, cuts_at: list[int]) -> None:
        self._to = port
        self._cuts_at = cuts_at
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.carried = 0
        self.cut = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self._to))
                threading.Thread(target=self._up, args=(near, far), daemon=True).start()
                threading.Thread(target=self._down, args=(far, near), daemon=True).start()

    def _up(self, near: socket.socket, far: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while content := near.recv(65536):
                far.sendall(content)
        _end(near, far)

    def _down(self, far: socket.socket, near: socket.socket) -> None:
        step = LINE_BYTES_S // 20
        with contextlib.suppress(OSError):
            while content := far.recv(step):
                near.sendall(content)
                self.carried += len(content)
                if self._cuts_at and self.carried >= self._cuts_at[0]:
                    self._cuts_at.pop(0)
                    self.cut += 1
                    break
                time.sleep(len(content) / LINE_BYTES_S)
        _end(near, far)

    def close(self) -> None:
        """No further connections."""
        self._listener.close()


def _end(*sockets: socket.socket) -> None:
    for one in sockets:
        with contextlib.suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
        one.close()


@contextlib.contextmanager
def _loop(gate: Gate) -> Iterator[None]:
    stop = threading.Event()
    with gate:
        thread = threading.Thread(target=gate.run, args=(stop,))
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()


def list_update(entries: int, cuts: int) -> dict[str, Any]:
    """A whole gate with Mosquitto behind the slow line; a first version of so many, then a change of a thousandth, half of it gone."""
    found: dict[str, Any] = {"entries": entries, "bytes_a_second": LINE_BYTES_S}
    subjects = [secrets.token_bytes(32) for _ in range(entries)]
    fewer = subjects[entries // 2000 :] + [secrets.token_bytes(32) for _ in range(entries // 2000)]
    desk, now_s = Desk(), int(time.time())

    def sign(body: bytes) -> str:
        return base64.b64encode(desk.key.sign(body)).decode()

    with tempfile.TemporaryDirectory(prefix="gate-bench-") as name, PrivateBroker() as broker:
        folder = Path(name)
        (folder / "frames").mkdir()
        line = SlowLine(broker.port, [(number + 1) * entries * 16 // (cuts + 1) for number in range(cuts)])
        trusted = {"province": str(desk.write_pem(folder / "orders.pem")), "lists": "lists", "orders": "orders", "desired": "desired"}
        sections: dict[str, dict[str, Any]] = {
            "trust": trusted,
            "[policy.lists]": {"name": "bench", "use": "deny"},
            "broker": {"retry_min_s": 0.5, "retry_max_s": 2.0},
        }
        stage = Stage(folder / "gate", f"folder:{folder / 'frames'}", line.port, sections)
        first = release(sign, subjects, name="bench", version=1, valid_s=(now_s, now_s + 10**7))
        second = release(sign, fewer, name="bench", version=2, valid_s=(now_s, now_s + 10**7), older={1: snapshot(subjects)})
        _retain(broker.port, first)
        gate = Gate(configuration.load(stage.config_path), stage.config_path)
        with _loop(gate):
            found["first_s"] = _until_version(gate, 1)
            found["cuts"], found["carried_bytes"] = line.cut, line.carried
            started = line.carried
            _retain(broker.port, second)
            found["change_s"] = _until_version(gate, 2)
            found["change_bytes"] = line.carried - started
        line.close()
    found["part_bytes"], found["gate"] = PART_BYTES, GATE_ID
    return found


def _retain(port: int, made: Any) -> None:  # noqa: ANN401 - a release
    import paho.mqtt.client as mqtt  # noqa: PLC0415 - for this part alone
    from paho.mqtt.enums import CallbackAPIVersion  # noqa: PLC0415 - as above

    client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
    client.connect("127.0.0.1", port)
    client.loop_start()
    for topic, payload in made.messages():
        client.publish(topic, payload, qos=1, retain=True).wait_for_publish(30)
    client.disconnect()
    client.loop_stop()


def _until_version(gate: Gate, version: int) -> float:
    started = time.monotonic()
    while (held := gate.lists["bench"].manifest) is None or held.version < version:
        time.sleep(0.05)
    return round(time.monotonic() - started, 1)


def main(words: list[str]) -> int:
    """Measure and print."""
    if words[:1] == ["list"]:
        numbers = [int(word) for word in words[1:]]
        entries, cuts = (numbers + [ENTRIES, CUTS][len(numbers) :])[:2]
        found: dict[str, Any] = list_update(entries, cuts)
    else:
        runs = int(words[0]) if words else RUNS
        found = {"signatures": signatures(runs), "decisions": decisions(runs * 5)}
    sys.stdout.write(json.dumps({"on": machine(), **found}) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
