"""The composition root: starts everything in order, stops it in reverse, supervises.

Order: keys, clock, record, memory, pins, uplink, eye, loop. What is wrong with
the configuration stops the start and is named. What is wrong with the world
(no broker, no camera, a broken record, an unknown time) is reported, and the
gate works as well as it can without.
"""

from __future__ import annotations

import logging
import signal
import sys
import threading
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING, Final, Self

from device.condition import STATUS_FILE, Condition
from device.confinement import keep_memory_private, keep_memory_small
from device.core import timeline
from device.core.machine import State
from device.core.memory import Memory
from device.core.orders import Order
from device.core.wire import DETAIL_LIMIT, ClockStep, Start, Stop, freeze_event
from device.diagnostics import running_rows, signed_report
from device.edges.broker.announcements import About
from device.edges.broker.notices import Notices
from device.edges.broker.siblings import Siblings, apply_passages
from device.edges.broker.tls import context_for
from device.edges.broker.uplink import MqttUplink
from device.edges.eye.link import EyeLink
from device.edges.keys.seal import SEAL_INFO, HpkeSealer
from device.edges.keys.signer import Signer
from device.edges.keys.trust_files import Province, Signs, load_province
from device.edges.lists.fetch import ListFetcher
from device.edges.lists.installed import lists_in_use, open_lists
from device.edges.machine.clock import SystemClock, certificate_floor_ns, saved_clock_ns
from device.edges.machine.files import read_site_key, write_status
from device.edges.machine.log_ring import LogRing
from device.edges.machine.systemd import SystemdNotifier
from device.edges.orders.book import OrderBook
from device.edges.orders.by_camera import Commissioner, Surroundings, board_serial
from device.edges.orders.deeds import WIPED, Reach, make_hands, wipe
from device.edges.orders.desk import Hand, OrderDesk
from device.edges.pins.gpio_signals import GpioSignals, shipped_score
from device.edges.record.journal import SqliteJournal
from device.errors import ConfigError, JournalError
from device.judge import Judge
from device.loop import Loop, LoopSettings
from device.scribe import FactRecorder, Scribe, terms_of
from device.settings import commissioned
from device.settings.checks import check_needed
from device.settings.desired import Desired, open_desired
from device.settings.rules_from_config import gate_lists, rules, trust_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from device.config import GateConfig
    from device.core.player import Snapshot
    from device.core.types import ClockReading, Sign
    from device.core.wire import AuditFact

log = logging.getLogger(__name__)

VERSION: Final = version("gate-device")

REPORT_NS: Final = 1_000_000_000
"""How often the status file is written and the watchdog considered."""

UPLINK_STALL_NS: Final = 30_000_000_000
"""The uplink's supervisor goes round each second; standing still for so long, it hangs."""

TAKEN_SHOWN_NS: Final = 3_000_000_000
"""That an order was taken is shown to its end, before the gate starts again with what it said."""

FATE_LIMIT_S: Final = 5.0
"""How an order ended is recorded within so long, or told again at the next start."""


@dataclass(frozen=True, slots=True)
class OpenedRecord:
    """The record and the clock that it trusts."""

    clock: SystemClock
    journal: SqliteJournal


def open_record(config: GateConfig) -> OpenedRecord:
    """Open the journal, and raise the floor of the clock by what stands in it."""
    clock = SystemClock()
    sign = None
    broker = config.broker
    if broker is not None and broker.key is not None and broker.cert is not None:
        sign = Signer(broker.key).sign
        clock.raise_floor(certificate_floor_ns(broker.cert))
    keep_s = broker.keep_after_puback_h * 3600 if broker is not None and broker.confirm == "broker" else 0.0
    freeze = partial(freeze_event, sign=sign, gate=config.gate.id)
    clock.raise_floor(saved_clock_ns())
    journal = SqliteJournal(
        config.journal.path,
        config.journal,
        clock,
        freeze,
        keep_confirmed_s=keep_s,
        unsynced_grace_s=config.journal.unsynced_grace_s,
        floor_ns=clock.floor_ns,
    )
    clock.raise_floor(journal.certainly_past_ns)
    return OpenedRecord(clock, journal)


def make_uplink(config: GateConfig, record: OpenedRecord, about: About, facts: FactRecorder) -> MqttUplink | None:
    """The road to the province, where the configuration names a broker. It is not started yet."""
    if config.broker is None:
        return None
    return MqttUplink(config.broker, config.gate, record.journal, record.clock, about, facts.record)


class Gate:
    """One gate, from its keys to its lamps. A context manager: leaving it stops everything in reverse order.

    ``config_path`` is handed on to the eye's own process. ``on_change`` is
    called by the signals' thread after each change of the pins.
    """

    def __init__(
        self,
        config: GateConfig,
        config_path: Path,
        *,
        on_change: Callable[[Snapshot], None] | None = None,
        notifier: SystemdNotifier | None = None,
        desired: Desired | None = None,
    ) -> None:
        check_needed(config, str(config_path))
        self.config = config
        self._desired = desired
        self._notifier = notifier or SystemdNotifier()
        self._on_change = on_change
        self._lit: Callable[[Sign | None], None] = lambda _: None
        self.ring = LogRing()
        self.ended = threading.Event()
        """Set by an order that ends the program."""
        self._wipe = threading.Event()
        self._reported_ns = 0
        self._last: ClockReading | None = None
        self._uplink_seen = (-1, 0)
        with ExitStack() as stack:
            self._start(stack, config, config_path)
            self._stack = stack.pop_all()

    def _start(self, stack: ExitStack, config: GateConfig, config_path: Path) -> None:
        logging.getLogger("device").addHandler(self.ring)
        stack.callback(logging.getLogger("device").removeHandler, self.ring)
        site_key = read_site_key(config.privacy.site_key)
        record = open_record(config)
        self.clock, self.journal = record.clock, record.journal
        stack.callback(self.journal.close)
        trust = trust_of(config)
        orders, lists = (load_province(config.trust.province, use) for use in (Signs.ORDERS, Signs.LISTS))
        self.lists = gate_lists(config)
        open_lists(self.lists.values(), lists)
        applied = rules(config, self.lists, trust)
        self.scribe = Scribe(terms_of(config), partial(lists_in_use, self.lists))
        self.facts = FactRecorder(self.journal, self.clock)
        sealer = None if config.privacy.seal_to is None else HpkeSealer(config.privacy.seal_to)
        memory = Memory(applied.in_out_reset_ns, self.journal.passages())
        self.judge = Judge(applied, site_key, sealer, (SEAL_INFO + config.gate.id).encode(), memory, trust)
        self.commissioner = self._commissioner(orders)
        self.signals = GpioSignals(
            config.signals,
            shipped_score(),
            self.clock,
            runtime_dir=config.gate.runtime_dir,
            on_change=self._changed,
            on_button=self._button_held,
        )
        stack.callback(self.signals.close)
        self.uplink = make_uplink(config, record, self._about(), self.facts)
        self.eye = EyeLink(config, self.clock, _eye_command(config_path) if config.eye.socket is None else None)
        stack.callback(self.eye.close)
        settings = LoopSettings(int(config.policy.rearm_s * 1e9), config.journal.budget_ms / 1000, config.journal.strict)
        self.loop = Loop(
            settings,
            self.clock,
            eye=self.eye,
            judge=self.judge,
            scribe=self.scribe,
            journal=self.journal,
            signals=self.signals,
            orders=self.commissioner,
        )
        self._lit = self.loop.lit
        self.siblings = self._listen_to_siblings(stack, config)
        self.condition = Condition(
            config, VERSION, self.clock, self.journal, self.lists, self.signals, self.eye, self.loop, self.uplink, self.siblings
        )
        stack.callback((config.gate.runtime_dir / STATUS_FILE).unlink, missing_ok=True)
        self.facts.record(Start(version=VERSION, policy=self.scribe.terms.policy, previous=self.journal.previous_run))
        if self.uplink is not None:
            self._obey_orders(self.uplink, orders)
            self._fetch_lists(stack, self.uplink, lists)
            if self._desired is not None:
                self.uplink.set_config_judge(self._desired.receive, self._desired.report)
            self.uplink.start()
            stack.callback(self.uplink.close)

    def _about(self) -> About:
        """Asked by the uplink's thread, which begins when there is a condition."""
        health = lambda: self.condition.health()  # noqa: E731, PLW0108 - there is no condition yet
        hello = lambda: self.condition.hello()  # noqa: E731, PLW0108 - there is no condition yet
        return About(VERSION, self.scribe.terms.policy, health, hello)

    def _commissioner(self, province: Province) -> Commissioner | None:
        """Orders are taken from the camera where a button is fitted, the province is known, and they can be noted."""
        if self.config.signals.button is None or not province.known:
            return None
        try:
            book = OrderBook(self.config.trust.orders / "camera")
        except OSError as error:
            log.warning("no order is taken from the camera: %s: %s", self.config.trust.orders, error.strerror)
            return None
        clock = self.clock
        return Commissioner(Surroundings(self.config, province, board_serial(), lambda: clock.floor_ns, self.facts.record), book)

    def _button_held(self) -> None:
        if self.commissioner is not None:
            self.commissioner.open(self.clock.monotonic_ns())

    def _obey_orders(self, uplink: MqttUplink, province: Province) -> None:
        """Orders are carried out where the province is known, and where the book of orders can be kept."""
        if not province.known:
            return
        try:
            book = OrderBook(self.config.trust.orders)
        except OSError as error:
            log.warning("no order is taken: %s: %s", self.config.trust.orders, error.strerror)
            return
        hands: dict[Order, Hand] = {}
        desk = OrderDesk(self.config.gate.id, province, book, hands, self._record_fate)
        reach = Reach(
            self.config,
            self.journal,
            self.signals,
            uplink,
            self.ring,
            self.condition.problems,
            self._selftest_report,
            stop=self.ended.set,
            wipe_at_end=self._wipe.set,
            finish=desk.finish,
        )
        hands.update(make_hands(reach))
        uplink.set_order_desk(desk)

    def _selftest_report(self) -> bytes:
        rows = running_rows(self.config, self.clock, self.condition.status())
        return signed_report(self.config, rows, self.clock, DETAIL_LIMIT)

    def _fetch_lists(self, stack: ExitStack, uplink: MqttUplink, province: Province) -> None:
        if not self.lists:
            return
        notices = Notices(self.clock, self.facts.record)
        ca = None if self.config.broker is None else self.config.broker.ca
        fetcher = ListFetcher(
            self.config.gate.id,
            self.lists,
            province,
            self.clock,
            ask=lambda ask: uplink.hear(ask.topic, wanted=ask.wanted),
            tell=notices.record,
            context=partial(context_for, ca),
        )
        uplink.set_list_fetcher(fetcher)
        fetcher.start()
        stack.callback(fetcher.close)

    def _listen_to_siblings(self, stack: ExitStack, config: GateConfig) -> Siblings | None:
        if config.siblings is None:
            return None
        siblings = Siblings(config.siblings, config.gate.site, config.gate.id, self.clock, self.journal.passages())
        self.judge.announce = siblings.passed
        siblings.start()
        stack.callback(siblings.close)
        return siblings

    def _hear_siblings(self) -> None:
        """What other gates saw counts from the next code on."""
        if self.siblings is not None:
            memory = self.judge.memory
            memory.blind = self.siblings.blind
            apply_passages(self.siblings, memory.remember, memory.last)

    def _record_fate(self, fact: AuditFact) -> bool:
        """Durable before anything else is said of it; the uplink's thread may wait for the disk."""
        future = self.facts.record(fact)
        try:
            future.result(timeout=FATE_LIMIT_S)
        except (JournalError, TimeoutError) as error:
            log.warning("how an order ended is not durable yet: %s", error)
            return False
        return True

    def __enter__(self) -> Self:
        self._notifier.ready()
        return self

    def __exit__(self, *_: object) -> None:
        self._notifier.stopping()
        self.loop.stop()
        self.facts.record(Stop())
        self._stack.close()
        if self._wipe.is_set():
            wipe(self.config.journal.path.parent)

    def run(self, stop: threading.Event) -> None:
        """Turn the loop until ``stop`` is set, or an order ends it."""
        while not (stop.is_set() or self.ended.is_set()):
            self._hear_siblings()
            self.loop.turn()
            self.supervise()

    def supervise(self) -> None:
        """Once a second: write the status, look at the clock, and feed the watchdog if every part made progress."""
        now = self.clock.reading()
        if now.monotonic_ns - self._reported_ns < REPORT_NS:
            return
        self._reported_ns = now.monotonic_ns
        step_ms = 0 if self._last is None else timeline.step_ms(self._last, now)
        self._last = now
        if step_ms:
            log.warning("the wall clock was set by %+d ms", step_ms)
            self.facts.record(ClockStep(step_ms=step_ms))
        taken_ns = None if self.commissioner is None else self.commissioner.taken_ns
        if taken_ns is not None and now.monotonic_ns - taken_ns > TAKEN_SHOWN_NS:
            self.ended.set()
        well = self._in_progress(now.monotonic_ns)
        if well:
            self._notifier.alive()
        if self._desired is not None:
            self._try(self._desired, now.monotonic_ns, well=well)
        self._report()

    def _try(self, desired: Desired, now_ns: int, *, well: bool) -> None:
        """A configuration on trial proves itself or is taken back; either new one begins with a new start."""
        online = self.uplink is None or self.uplink.stats()["phase"] == "online"
        desired.watch(now_ns, online=online, well=well and self.loop.state is not State.STARTING)
        if desired.changed:
            self.ended.set()

    def _changed(self, snapshot: Snapshot) -> None:
        self._lit(snapshot.sign)
        if self._on_change is not None:
            self._on_change(snapshot)

    def _in_progress(self, now_ns: int) -> bool:
        """Whether writer, uplink and signals moved. The eye has a supervisor of its own, and this loop is what asks."""
        if self.uplink is not None and self.uplink.progress != self._uplink_seen[0]:
            self._uplink_seen = (self.uplink.progress, now_ns)
        uplink_moves = self.uplink is None or now_ns - self._uplink_seen[1] < UPLINK_STALL_NS
        return uplink_moves and self.signals.alive and self.journal.alive

    def _report(self) -> None:
        try:
            write_status(self.config.gate.runtime_dir / STATUS_FILE, self.condition.status())
        except OSError as error:
            log.warning("the status file cannot be written: %s", error)
        waiting = self.journal.stats()["waiting"]
        self._notifier.status(f"{self.loop.state.value}; {self.loop.tally.decisions} decisions; {waiting} waiting")


def run_daemon(config_path: Path) -> int:
    """The daemon, until SIGTERM or SIGINT. Returns the exit code."""
    keep_memory_private()
    keep_memory_small()
    desired = open_desired(config_path)
    config = commissioned.load(config_path) if desired is None else desired.effective()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    mark = config.journal.path.parent / WIPED
    if mark.exists():
        raise ConfigError(f"{mark}: this gate was wiped by an order of the province; set it up anew")
    config.gate.runtime_dir.mkdir(mode=0o755, parents=True, exist_ok=True)
    with Gate(config, config_path, desired=desired) as gate:
        log.info("gate %s of site %s, version %s", config.gate.id, config.gate.site, VERSION)
        gate.run(stop)
    return 0


def _eye_command(config_path: Path) -> Sequence[str]:
    return [sys.executable, "-m", "device.eye", "--config", str(config_path)]
