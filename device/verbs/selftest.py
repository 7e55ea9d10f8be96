"""`gate selftest`: try every part once, and say what was measured.

Where the daemon runs, its camera, pins and line are busy: then those rows
come from its status. Where none does they are tried here, lamps and all.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from concurrent.futures import Future, wait
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

from device import diagnostics
from device.core.plain_words import VIEWS
from device.core.problems import Grade
from device.core.signal_rules import faults
from device.core.types import Sign, View
from device.diagnostics import Part, Row
from device.edges.broker.tls import TlsFiles
from device.edges.machine.clock import SystemClock
from device.edges.pins.gpio_signals import GpioSignals, shipped_score
from device.eye.camera import BadFrame, Frame
from device.eye.ladder import make_ladder
from device.eye.selfcheck import check as check_decoders
from device.eye.sources import open_camera
from device.eye.watch import extreme, sharpness
from device.verbs.status import read_status

if TYPE_CHECKING:
    from collections.abc import Iterator

    from device.config import BrokerSection, GateConfig

FRAME_LIMIT_S: Final = 10.0
CAMERA_LIMIT_S: Final = 40.0
"""A camera may take twenty seconds to start, ten to its first frame and some to be given back."""
SHOWN_S: Final = 2.2
"""Longer than the longest answer."""
CONNECT_LIMIT_S: Final = 10.0


def run_selftest(config: GateConfig, *, as_json: bool, report: bool = False) -> int:
    """Print the rows, or for the acceptance a signed ``report``. Returns 0 when none failed, 1 otherwise.

    Raises KeyUnusable, JournalError where the report cannot be made.
    """
    rows = list(rows_of(config))
    if report:
        print(diagnostics.signed_report(config, rows, SystemClock()).decode())
    elif as_json:
        print(json.dumps({"well": not _failed(rows), "rows": [asdict(row) for row in rows]}, ensure_ascii=False))
    else:
        for row in rows:
            print(f"{row.grade.value:4}  {row.part:12} {row.value}")
        print("KHÔNG ĐẠT · FAILED" if _failed(rows) else "ĐẠT · PASSED")
    return 1 if _failed(rows) else 0


def rows_of(config: GateConfig) -> Iterator[Row]:
    """Every part in turn. A part that raises is a failed row, never the end of the test."""
    busy, clock = read_status(config.gate.runtime_dir), SystemClock()
    tries: list[Part] = [
        ("files", lambda: diagnostics.files(config)),
        ("decoders", _decoders),
        ("camera", (lambda: diagnostics.eye_of(busy)) if busy else lambda: _camera(config)),
        ("signals", (lambda: diagnostics.signals_of(busy)) if busy else lambda: _signals(config)),
        *diagnostics.machine_parts(config, clock),
        *diagnostics.certificate_parts(config, clock),
    ]
    if config.broker is not None:
        broker = config.broker
        tries.append(("broker", (lambda: diagnostics.uplink_of(busy)) if busy else lambda: _broker(broker)))
    return diagnostics.tried(tries)


def _failed(rows: list[Row]) -> bool:
    return any(row.grade is Grade.FAIL for row in rows)


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
