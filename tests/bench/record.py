"""What the record costs and how fast it drains, beside rivals in the same run: ``python -m tests.bench.record``. Prints JSON.

``cost``: bytes that reach the disk and syncs, for each event recorded alone
and then delivered. ``drain``: events a second at three windows, by the same
subscriber, of the gate, of a plain paho publisher that keeps nothing, and of
a Mosquitto bridge that keeps its queue on disk. ``stall``: from frame to lamp
with a card whose syncs take five seconds, and without. Needs root and strace.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, Final

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from device import config as configuration
from device.core import sending
from device.edges.broker.announcements import About
from device.gate import make_uplink, open_record
from device.scribe import FactRecorder
from device.workbench.bench import _entry as entry
from device.workbench.bench import machine
from device.workbench.broker import LOOPBACK, MosquittoProcess, free_port
from device.workbench.stage import Stage, collector
from tests.faults.disturbed_disk import SYNCS, disturbed
from tests.faults.site import site
from tests.faults.test_storage import files

EVENTS: Final = 5_000
ALONE: Final = 400
WINDOWS: Final = (1, 5, 16)
LIMIT_S: Final = 300.0
ANSWERS: Final = 60
TOPIC: Final = "gates/v1/demo-gate/up/checkin"
QUEUE: Final = "max_queued_messages 0\nmax_queued_bytes 0\n"


class Subscriber:
    """Counts what arrives, and when the first and the last came."""

    def __init__(self, port: int, count: int) -> None:
        self._count = count
        self.times: list[float] = []
        self._seen: set[bytes] = set()
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id="bench", protocol=paho.MQTTv5)
        self._client.on_message = self._on_message
        self._client.connect(LOOPBACK, port)
        self._client.subscribe("gates/v1/+/up/checkin", qos=1)
        self._client.loop_start()
        time.sleep(0.3)

    def _on_message(self, _client: object, _userdata: object, message: paho.MQTTMessage) -> None:
        if bytes(message.payload) not in self._seen:
            self._seen.add(bytes(message.payload))
            self.times.append(time.monotonic())

    def rate(self) -> float:
        """Events a second between the first and the last, once all have come."""
        limit = time.monotonic() + LIMIT_S
        while len(self.times) < self._count and time.monotonic() < limit:
            time.sleep(0.02)
        self._client.disconnect()
        self._client.loop_stop()
        if len(self.times) < self._count:
            raise SystemExit(f"only {len(self.times)} of {self._count} arrived")
        return round((self._count - 1) / (self.times[-1] - self.times[0]), 1)


def broker(folder: Path, more: str = "", port: int | None = None) -> MosquittoProcess:
    """A Mosquitto that drops nothing."""
    folder.mkdir(exist_ok=True)
    at = port or free_port()
    return MosquittoProcess(folder, at, f"listener {at} {LOOPBACK}\nallow_anonymous true\n{QUEUE}{more}")


def gate(folder: Path, window: int) -> float:
    """A full record of the gate, confirmed by a collector."""
    sending.WINDOW_LIMIT = window  # type: ignore[misc]  # what is measured
    with ExitStack() as stack:
        up = broker(folder / "broker", "persistence false\n")
        up.start()
        stack.callback(up.stop)
        stack.enter_context(collector(up.port, folder / "province.sqlite"))
        stage = Stage(folder / "gate", "folder:none", up.port, {"broker": {"backlog_per_s": 100_000.0}})
        config = configuration.load(stage.config_path)
        record = open_record(config)
        journal = stack.enter_context(closing(record.journal))
        for future in [journal.record(entry(number, record.clock.reading())) for number in range(EVENTS)]:
            future.result()
        watching = Subscriber(up.port, EVENTS)
        uplink = make_uplink(config, record, About("0", "0", dict, dict), FactRecorder(record.journal, record.clock))
        if uplink is None:
            raise SystemExit("the stage has no broker")
        stack.callback(uplink.close)
        uplink.start()
        return watching.rate()


def plain_paho(folder: Path, window: int) -> float:
    """A publisher that holds everything in memory and forgets it at the broker's word."""
    with ExitStack() as stack:
        up = broker(folder / "broker", "persistence false\n")
        up.start()
        stack.callback(up.stop)
        watching = Subscriber(up.port, EVENTS)
        client = paho.Client(CallbackAPIVersion.VERSION2, client_id="plain", protocol=paho.MQTTv5)
        client.max_inflight_messages_set(window)
        client.max_queued_messages_set(0)
        client.connect(LOOPBACK, up.port)
        client.loop_start()
        for number in range(EVENTS):
            client.publish(TOPIC, body(number), qos=1)
        rate = watching.rate()
        client.disconnect()
        client.loop_stop()
        return rate


def bridge(folder: Path, window: int) -> float:
    """A Mosquitto on the gate that keeps its queue on disk and hands it on when the line is there."""
    remote_port = free_port()
    (folder / "kept").mkdir()
    kept = f"persistence true\npersistence_location {folder}/kept/\nautosave_interval 1\nautosave_on_changes true\n"
    bridged = (
        f"max_inflight_messages {window}\nconnection up\naddress {LOOPBACK}:{remote_port}\ntopic # out 1\ncleansession false\n"
        "bridge_protocol_version mqttv50\nrestart_timeout 2\n"
    )
    with ExitStack() as stack:
        local = broker(folder / "local", kept + bridged)
        local.start()
        stack.callback(local.stop)
        client = paho.Client(CallbackAPIVersion.VERSION2, client_id="plain", protocol=paho.MQTTv5)
        client.connect(LOOPBACK, local.port)
        client.loop_start()
        for info in [client.publish(TOPIC, body(number), qos=1) for number in range(EVENTS)]:
            info.wait_for_publish(60)
        client.disconnect()
        client.loop_stop()
        remote = broker(folder / "remote", "persistence false\n", remote_port)
        remote.start()
        stack.callback(remote.stop)
        return Subscriber(remote_port, EVENTS).rate()


def body(number: int) -> bytes:
    """As large as a check-in."""
    return json.dumps({"n": number, "filler": "x" * 1000}).encode()


def drain() -> dict[str, dict[str, float]]:
    """Events a second, by window and rival."""
    rivals: dict[str, Callable[[Path, int], float]] = {"gate": gate, "paho": plain_paho, "mosquitto_bridge": bridge}
    found: dict[str, dict[str, float]] = {}
    for window in WINDOWS:
        for name, rival in rivals.items():
            with tempfile.TemporaryDirectory(prefix="gate-bench-") as folder:
                found.setdefault(f"window_{window}", {})[f"{name}_per_s"] = rival(Path(folder), window)
    return found


RECORDER: Final = """
import sys, time
from pathlib import Path
from contextlib import closing
from device import config as configuration
from device.gate import open_record
from device.workbench.bench import _entry
config = configuration.load(Path(sys.argv[1]))
record = open_record(config)
def written():
    return int(next(line for line in open("/proc/self/io") if line.startswith("write_bytes")).split()[1])
with closing(record.journal) as journal:
    before = written()
    for number in range(int(sys.argv[2])):
        journal.record(_entry(number, record.clock.reading())).result()
    recorded = written()
    sent = journal.waiting(0, 100000)
    while sent:
        journal.confirm(journal.bounds().epoch, sent[min(49, len(sent) - 1)].seq)
        sent = journal.waiting(0, 100000)
    journal.maintain()
    print(recorded - before, written() - before)
"""


def cost() -> dict[str, float]:
    """Bytes to the disk and syncs for each event, recorded alone, made ready, confirmed in fifties and erased. On a disk, not in memory."""
    with tempfile.TemporaryDirectory(prefix="gate-bench-", dir="/var/tmp") as name:
        stage = Stage(Path(name) / "gate", "folder:none", None, {})
        trace = Path(name) / "trace"
        command = ["strace", "-f", "-q", "-e", f"trace={SYNCS}", "-o", str(trace)]
        command += [sys.executable, "-c", RECORDER, str(stage.config_path), str(ALONE)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        recorded, life = (int(part) for part in done.stdout.split())
        syncs = len(re.findall(r"(?:fdatasync|fsync)\(", trace.read_text()))
    return {
        "events": ALONE,
        "bytes_recorded": round(recorded / ALONE),
        "bytes_of_a_whole_life": round(life / ALONE),
        "syncs_of_a_whole_life": round(syncs / ALONE, 2),
    }


def stall() -> dict[str, Any]:
    """From frame to lamp, in milliseconds, with and without syncs of five seconds."""
    found: dict[str, Any] = {}
    for name in ("well", "stalled"):
        with tempfile.TemporaryDirectory(prefix="gate-bench-") as folder, site(Path(folder)) as one:
            one.wait_answers(3)
            if one.gate is None:
                raise SystemExit("the gate did not start")
            if name == "well":
                one.wait_answers(ANSWERS, limit_s=60)
            else:
                with disturbed(one.gate.pid, files(one), SYNCS, "delay_enter=5s"):
                    one.wait_answers(ANSWERS, limit_s=60)
            time.sleep(1.5)
            found[name] = one.told("decisions", "lamp_ms")
    return found


if __name__ == "__main__":
    sys.stdout.write(json.dumps({"on": machine(), "cost": cost(), "drain": drain(), "stall": stall()}, indent=2) + "\n")
