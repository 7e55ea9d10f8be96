"""`gate selftest`: try every part once, and say what was measured.

Where the daemon runs, its camera, pins and record are busy: then those rows
come from its status. Each row is pass, warn or fail with a value.
"""

from __future__ import annotations

import json
import os
import socket
import tempfile
import threading
import time
from concurrent.futures import Future, wait
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from device.core import wire
from device.core.plain_words import VIEWS
from device.core.problems import CERTIFICATE, HEAT, LIMITS, SPACE, SYNCED_WRITE, Grade
from device.core.signal_rules import faults
from device.core.types import Channel, Sign, View
from device.core.wire import time_text
from device.edges.broker.tls import TlsFiles
from device.edges.keys.signer import Signer
from device.edges.machine import health
from device.edges.machine.clock import SystemClock
from device.edges.pins.gpio_signals import GpioSignals, shipped_score
from device.edges.record.reader import JournalReader
from device.errors import ConfigError, GateError, KeyUnusable
from device.eye.camera import BadFrame, Frame
from device.eye.ladder import make_ladder
from device.eye.selfcheck import check as check_decoders
from device.eye.sources import open_camera
from device.eye.watch import extreme, sharpness
from device.settings.checks import check_files
from device.verbs.status import read_status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from device.config import BrokerSection, GateConfig

FRAME_LIMIT_S: Final = 10.0
CAMERA_LIMIT_S: Final = 40.0
"""A camera may take twenty seconds to start, ten to its first frame and some to be given back."""
SHOWN_S: Final = 2.2
"""Longer than the longest answer."""
SYNC_TIMES: Final = 20
CONNECT_LIMIT_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Row:
    """One part, tried: what it is, how it came out, and the value or the reason."""

    part: str
    grade: Grade
    value: str


def run_selftest(config: GateConfig, *, as_json: bool, report: bool = False) -> int:
    """Print the rows, or for the acceptance a signed ``report``. Returns 0 when none failed, 1 otherwise.

    Raises KeyUnusable, JournalError where the report cannot be made.
    """
    rows = list(rows_of(config))
    if report:
        print(signed_report(config, rows).decode())
    elif as_json:
        print(json.dumps({"well": not _failed(rows), "rows": [asdict(row) for row in rows]}, ensure_ascii=False))
    else:
        for row in rows:
            print(f"{row.grade.value:4}  {row.part:12} {row.value}")
        print("KHÔNG ĐẠT · FAILED" if _failed(rows) else "ĐẠT · PASSED")
    return 1 if _failed(rows) else 0


def rows_of(config: GateConfig) -> Iterator[Row]:
    """Every part in turn. A part that raises is a failed row, never the end of the test."""
    busy = read_status(config.gate.runtime_dir)
    parts: list[tuple[str, Callable[[], Row]]] = [
        ("files", lambda: _files(config)),
        ("decoders", _decoders),
        ("camera", (lambda: _eye_of(busy)) if busy else lambda: _camera(config)),
        ("signals", (lambda: _signals_of(busy)) if busy else lambda: _signals(config)),
        ("storage", lambda: _storage(config.journal.path.parent)),
        ("space", lambda: _space(config.journal.path.parent)),
        ("clock", _clock),
        ("temperature", _temperature),
        ("power", _power),
    ]
    if config.broker is not None:
        broker = config.broker
        if broker.cert is not None:
            cert = broker.cert
            parts.append(("certificate", lambda: _certificate(cert)))
        parts.append(("broker", (lambda: _uplink_of(busy)) if busy else lambda: _broker(broker)))
    for name, part in parts:
        try:
            yield part()
        except (GateError, OSError) as error:
            yield Row(name, Grade.FAIL, str(error))


def signed_report(config: GateConfig, rows: list[Row]) -> bytes:
    """The rows and what stands in the record, under the gate's signature. Raises KeyUnusable for a gate without a key, JournalError."""
    if config.broker is None or config.broker.key is None:
        raise KeyUnusable("broker.key: without a key of its own the gate cannot sign a report")
    signer = Signer(config.broker.key)
    with JournalReader(config.journal.path) as journal:
        told = wire.SelftestReport(
            gate=config.gate.id,
            version=version("gate-device"),
            time=time_text(time.time_ns()),
            epoch=journal.epoch,
            rows=[wire.Tried(part=row.part, grade=row.grade.value, value=row.value[:1_000]) for row in rows],
            deeds=list(_deeds(journal)),
        )
    body = wire.encode(told)
    return wire.with_signature(body, signer.sign(body))


def _deeds(journal: JournalReader) -> Iterator[wire.Deed]:
    since_ns = time.time_ns() - wire.DEEDS_H * 3_600_000_000_000
    for recorded in journal.events(wire.DEEDS_LIMIT):
        if recorded.stamp.time_ns < since_ns:
            continue
        data = recorded.stored.data
        if recorded.stored.channel is Channel.CHECKIN:
            yield wire.Deed(seq=recorded.stored.seq, what="checkin", decision=str(data["decision"]), reason=str(data["reason"]))
        elif data["what"] == "start":
            previous = data.get("previous")
            yield wire.Deed(seq=recorded.stored.seq, what="start", previous=None if previous is None else str(previous))


def _failed(rows: list[Row]) -> bool:
    return any(row.grade is Grade.FAIL for row in rows)


def _files(config: GateConfig) -> Row:
    try:
        check_files(config, "configuration")
    except ConfigError as error:
        return Row("files", Grade.FAIL, "; ".join(str(error).splitlines()))
    return Row("files", Grade.PASS, "keys, certificates and lists can be used")


def _decoders() -> Row:
    started_ns = time.thread_time_ns()
    decoders = make_ladder().decoders
    check_decoders(decoders)
    names, cpu_ms = ", ".join(decoder.name for decoder in decoders), (time.thread_time_ns() - started_ns) / 1e6
    return Row("decoders", Grade.PASS, f"{names} read the Vietnamese symbol in {cpu_ms:.0f} ms")


def _camera(config: GateConfig) -> Row:
    """Tried in a thread of its own: a driver that never returns is a failed row, and the other parts are still tried."""
    tried: Future[Row] = Future()

    def attempt() -> None:
        try:
            tried.set_result(_first_frame(config))
        except Exception as error:  # noqa: BLE001 - the top of a thread: what it raises is raised where the row is waited for
            tried.set_exception(error)

    threading.Thread(target=attempt, name="camera", daemon=True).start()
    if not wait([tried], CAMERA_LIMIT_S).done:
        return Row("camera", Grade.FAIL, f"{config.camera.source}: no answer in {CAMERA_LIMIT_S:g} s; switch the gate off and on again")
    return tried.result()


def _first_frame(config: GateConfig) -> Row:
    camera = open_camera(config.camera)
    limit = time.monotonic() + FRAME_LIMIT_S
    try:
        for item in camera.frames():
            if isinstance(item, Frame):
                height, width = item.pixels.shape
                seen = f"mean brightness {item.pixels.mean():.0f}, sharpness {sharpness(item.pixels):.0f}"
                view = extreme(item.pixels)
                grade, advice = (Grade.PASS, "") if view is View.OK else (Grade.WARN, f". {VIEWS[view].en}")
                told = f" ({camera.advice})" if camera.advice else ""
                return Row("camera", grade, f"{camera.source}: {width}x{height}, {seen}{advice}{told}")
            if time.monotonic() > limit or isinstance(item, BadFrame):
                return Row("camera", Grade.FAIL, item.why if isinstance(item, BadFrame) else f"no frame in {FRAME_LIMIT_S:.0f} s")
    finally:
        camera.close()
    return Row("camera", Grade.FAIL, f"{camera.source}: no frame")


def _signals(config: GateConfig) -> Row:
    """Shows every answer once, so that somebody can look and listen."""
    score = shipped_score()
    broken = faults(score)
    if broken:
        return Row("signals", Grade.FAIL, "; ".join(broken))
    signals = GpioSignals(config.signals, score, SystemClock(), runtime_dir=config.gate.runtime_dir)
    try:
        for sign in (Sign.ACCEPT_IN, Sign.ACCEPT_OUT, Sign.ALREADY, Sign.REJECT, Sign.REFER):
            signals.show(sign)
            time.sleep(SHOWN_S)
        stats = signals.stats()
    finally:
        signals.close()
    failing = stats["failing"]
    if failing:
        return Row("signals", Grade.FAIL, f"cannot be driven: {failing}")
    return Row("signals", Grade.PASS, f"kit {config.signals.kit}, profile {config.signals.profile}: every answer was shown once")


def _storage(folder: Path) -> Row:
    """The median and the worst of some small synced writes, beside the journal."""
    times_ms = sorted(_synced_write_ms(folder) for _ in range(SYNC_TIMES))
    median, worst = times_ms[len(times_ms) // 2], times_ms[-1]
    limit = LIMITS[SYNCED_WRITE]
    # A card that is slow once is worth a word; only one that is slow as a rule keeps people waiting.
    grade = Grade.FAIL if limit.grade(median) is Grade.FAIL else Grade.WARN if limit.is_wrong(worst) else Grade.PASS
    return Row("storage", grade, f"a synced write takes {median:.1f} ms, the worst of {SYNC_TIMES} {worst:.1f} ms")


def _synced_write_ms(folder: Path) -> float:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    started_ns = time.monotonic_ns()
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(b"\0" * 4096)
        file.flush()
        os.fdatasync(file.fileno())
    return (time.monotonic_ns() - started_ns) / 1e6


def _space(folder: Path) -> Row:
    free = health.disk_free_bytes(folder)
    if free is None:
        return Row("space", Grade.FAIL, f"{folder}: cannot be asked")
    return Row("space", LIMITS[SPACE].grade(free), f"{free >> 20} MiB free")


def _clock() -> Row:
    reading = SystemClock().reading()
    how = "synchronised" if reading.trusted else "not synchronised"
    return Row("clock", Grade.PASS if reading.trusted else Grade.WARN, f"{time_text(reading.wall_ns)}, {how}")


def _temperature() -> Row:
    celsius = health.cpu_temperature_celsius()
    if celsius is None:
        return Row("temperature", Grade.WARN, "this machine does not say")
    return Row("temperature", LIMITS[HEAT].grade(celsius), f"{celsius:.0f} °C")


def _power() -> Row:
    bits = health.throttled_bits()
    if bits is None:
        return Row("power", Grade.WARN, "this machine does not say")
    if bits & health.UNDER_VOLTAGE_NOW:
        return Row("power", Grade.FAIL, "under-voltage now: use the official power supply and a short cable")
    return Row("power", Grade.WARN if bits else Grade.PASS, f"throttling bits 0x{bits:x}")


def _certificate(path: Path) -> Row:
    """Of the gate. Where the time is not known nothing can be said about it."""
    reading = SystemClock().reading()
    days = health.certificate_days(path, reading.wall_ns)
    if days is None:
        return Row("certificate", Grade.FAIL, f"{path}: cannot be read")
    if not reading.trusted:
        return Row("certificate", Grade.WARN, f"the time is not known; by this machine's clock {days} days are left")
    return Row("certificate", LIMITS[CERTIFICATE].grade(days), f"{days} days are left")


def _broker(broker: BrokerSection) -> Row:
    started_ns = time.monotonic_ns()
    with socket.create_connection((broker.host, broker.port), CONNECT_LIMIT_S) as raw:
        if broker.ca is not None:
            context = TlsFiles(broker.ca, broker.cert, broker.key).context()
            with context.wrap_socket(raw, server_hostname=broker.host) as secured:
                how = secured.version() or "TLS"
        else:
            how = "plain, on this machine"
    return Row("broker", Grade.PASS, f"{broker.host}:{broker.port} answers in {(time.monotonic_ns() - started_ns) / 1e6:.0f} ms, {how}")


def _eye_of(status: dict[str, Any]) -> Row:
    if "eye_silent" in status["problems"]:
        return Row("camera", Grade.FAIL, f"the running gate says: {status['state']}")
    if "view" in status["problems"]:
        return Row("camera", Grade.WARN, f"{status['eye']['view']}: {VIEWS[status['eye']['view']].en}")
    return Row("camera", Grade.PASS, f"the running gate says: {status['state']}")


def _signals_of(status: dict[str, Any]) -> Row:
    well = "signals" not in status["problems"]
    return Row("signals", Grade.PASS if well else Grade.FAIL, f"the running gate shows: {status['signals']['sign']}")


def _uplink_of(status: dict[str, Any]) -> Row:
    well = "offline" not in status["problems"]
    return Row("broker", Grade.PASS if well else Grade.FAIL, f"the running gate is {'connected' if well else 'not connected'}")
