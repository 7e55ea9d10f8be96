"""The province's collector: keeps every gate's events once, and tells each gate what it may forget.

Run as ``python -m provisioning.province.collector --host H --port P --db FILE``.
A broker's acknowledgement is no safety, so a gate keeps an event until this
says that it is on disk here; and the broker keeps it until this has
committed, so a killed collector loses nothing either. On SIGTERM or SIGINT
it stops in order and prints its counters as one line of JSON.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import random
import signal
import sqlite3
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Final

from device.core import broker_codes, wire
from device.core.pacing import Backoff, Uniform
from device.core.spans import Span, spans
from device.edges.broker.kept_line import TURN_S, KeptLine, Phase
from device.edges.broker.tls import TlsFiles
from device.edges.broker.values import Answered, Arrived, Connected, Ended, Event, Peer, Publication, Subscribed, Subscription
from provisioning.province.event_store import Coverage, EventStore, Key, SqliteStore
from provisioning.province.intake import Notice, Received, RefusedMessage, judge

log = logging.getLogger(__name__)

CLIENT_ID: Final = "collector"
ACK_EVERY_S: Final = 0.2
ACK_EVENTS: Final = 100
"""So many events, or so much time, whichever comes first, go into one ack."""
ACK_EXPIRY_S: Final = 3600
SESSION_EXPIRY_S: Final = 86_400
"""The broker keeps what comes while the collector is away for so long; gates keep it anyway."""
WINDOW_LIMIT: Final = 16
RETRY_MIN_S: Final = 0.5
RETRY_MAX_S: Final = 30.0
GOODBYE_S: Final = 2.0
_UNREAD_LIMIT: Final = 2000
_OUTCOMES: Final = ("stored", "duplicates", "conflicts", "repeats", "refused", "breaks")


class Collector:
    """Receives, keeps, acknowledges. ``ready`` is written when the subscription stands. For one thread."""

    def __init__(
        self,
        peer: Peer,
        store: EventStore,
        ready: Path | None = None,
        *,
        now_s: Callable[[], float] = time.monotonic,
        uniform: Uniform = random.uniform,
    ) -> None:
        """``now_s`` is the monotonic clock and ``uniform`` is chance, for tests."""
        self._peer = peer
        self._store = store
        self._ready = ready
        self._line = KeptLine(self, Backoff(RETRY_MIN_S, RETRY_MAX_S, uniform), now_s)
        self._now_s = now_s
        self._batch: list[Arrived] = []
        self._pending: dict[Key, list[int]] = {}
        self._replies: dict[Key, Coverage] = {}
        self._pending_events = 0
        self._ack_at_s = 0.0
        self._unanswered: set[object] = set()
        self._width = WINDOW_LIMIT
        self.counts: Counter[str] = Counter(dict.fromkeys(("received", *_OUTCOMES, "hellos", "acks", "connects"), 0))

    def run(self, stop: threading.Event) -> None:
        """Until ``stop`` is set. Raises sqlite3.Error where nothing can be kept: then the broker and the gates keep it."""
        self._line.begin()
        self._line.run(stop)
        self._finish()

    def wake(self) -> None:
        """Look at ``stop`` now."""
        self._line.wake()

    # ------------------------------------------------------------- for the line

    def peer(self) -> Peer:
        """The broker of the gates."""
        return self._peer

    def on_event(self, event: Event) -> None:
        """What happened on the line. Messages wait for the next commit."""
        match event:
            case Arrived():
                self._batch.append(event)
            case Answered(token, code):
                self._unanswered.discard(token)
                if broker_codes.is_refusal(code):
                    log.warning("the broker refused an ack: %s", broker_codes.name(code))
            case Connected():
                self._width = max(1, min(WINDOW_LIMIT, event.receive_maximum))
                self.counts["connects"] += 1
            case Subscribed(codes):
                self._subscribed(codes)
            case Ended():
                self._unanswered.clear()
                # Not committed and not acknowledged: the broker sends them again.
                self._batch.clear()

    def serve(self, now_s: float) -> float:
        """Keep what came, acknowledge it; the next ack says how long to wait."""
        self._keep()
        self._acknowledge(now_s)
        return self._ack_at_s - now_s if self._pending or self._replies else TURN_S

    def _subscribed(self, codes: tuple[int, ...]) -> None:
        if self._ready is not None and not any(map(broker_codes.is_refusal, codes)):
            partial = self._ready.with_name(self._ready.name + ".partial")
            partial.write_text("ready\n", encoding="ascii")
            partial.replace(self._ready)

    # ------------------------------------------------------------- keeping

    def _keep(self) -> None:
        """Commit what came; only then the broker may forget it, and only then the gate will be told."""
        batch, self._batch = self._batch, []
        if not batch:
            return
        self.counts["received"] += len(batch)
        judged = [judge(message.topic, message.payload) for message in batch]
        kept = self._store.keep(judged, _now_text())
        for name in _OUTCOMES:
            self.counts[name] += int(getattr(kept, name))
        for message in batch:
            self._line.done(message)
        for key, seqs in kept.held.items():
            self._note(key, seqs)
        self._greet(judged)

    def _note(self, key: Key, seqs: list[int]) -> None:
        if not self._pending and not self._replies:
            self._ack_at_s = self._now_s() + ACK_EVERY_S
        self._pending.setdefault(key, []).extend(seqs)
        self._pending_events += len(seqs)

    def _greet(self, judged: Sequence[Received | Notice | RefusedMessage]) -> None:
        """A gate that says hello is told everything that is held of it, at once."""
        for item in judged:
            if isinstance(item, Notice) and item.hello is not None:
                self.counts["hellos"] += 1
                key = (item.gate, item.hello.epoch)
                self._store.note_oldest(*key, item.hello.oldest)
                self._replies[key] = self._store.coverage(key)
                self._ack_at_s = 0.0

    # ------------------------------------------------------------- acknowledging

    def _acknowledge(self, now_s: float) -> None:
        if now_s < self._ack_at_s and self._pending_events < ACK_EVENTS:
            return
        while (self._replies or self._pending) and len(self._unanswered) < self._width:
            if self._replies:
                key, coverage = self._replies.popitem()
                self._send_ack(key, coverage.upto, list(coverage.ranges))
            else:
                key, seqs = self._pending.popitem()
                upto = self._store.upto(key)
                self._send_ack(key, upto, spans(seq for seq in seqs if seq > upto))
        if not self._pending:
            self._pending_events = 0

    def _send_ack(self, key: Key, upto: int, ranges: list[Span]) -> None:
        gate, epoch = key
        for start in range(0, max(1, len(ranges)), wire.RANGES_LIMIT):
            part = ranges[start : start + wire.RANGES_LIMIT]
            ack = wire.Ack(epoch=epoch, upto=upto, ranges=[[first, last] for first, last in part], server_time=_now_text())
            publication = Publication(object(), wire.down(gate, "ack"), wire.encode(ack), expiry_s=ACK_EXPIRY_S)
            self._unanswered.add(publication.token)
            self._line.publish(publication)
            self.counts["acks"] += 1

    # ------------------------------------------------------------- the end

    def _finish(self) -> None:
        if self._line.phase is Phase.ONLINE:
            self._keep()
            self._line.drain(self._all_acknowledged, GOODBYE_S)
        self._line.goodbye(GOODBYE_S)

    def _all_acknowledged(self) -> bool:
        self._ack_at_s = 0.0
        self._acknowledge(self._now_s())
        return not (self._pending or self._replies or self._unanswered)


def _now_text() -> str:
    return wire.time_text(time.time_ns())


def _arguments(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m provisioning.province.collector", description="Keeps the events of all gates.")
    parser.add_argument("--host", required=True, help="name or address of the broker")
    parser.add_argument("--port", type=int, required=True, help="its TCP port")
    parser.add_argument("--db", type=Path, required=True, help="SQLite file for the events; made when missing")
    parser.add_argument(
        "--client-id", default=CLIENT_ID, help="fixed id, so that the broker keeps what comes meanwhile (default: %(default)s)"
    )
    parser.add_argument("--ca", type=Path, help="PEM file of the broker's authority; without it the connection is not encrypted")
    parser.add_argument("--cert", type=Path, help="PEM file with the collector's certificate")
    parser.add_argument("--key", type=Path, help="PEM file with its private key")
    parser.add_argument("--ready-file", type=Path, help="written when the subscription stands")
    options = parser.parse_args(words)
    if (options.cert is None) != (options.key is None) or (options.cert is not None and options.ca is None):
        parser.error("--cert and --key belong together, and need --ca")
    return options


def _stop_on_signals(stop: threading.Event, collector: Collector) -> None:
    def asked(_number: int, _frame: FrameType | None) -> None:
        stop.set()
        collector.wake()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, asked)


def main(words: Sequence[str] | None = None) -> int:
    """The program. 0 after an orderly stop, 1 where the file cannot be used."""
    options = _arguments(words)
    logging.basicConfig(level=os.environ.get("LOG_LEVEL", "INFO").upper(), stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    tls = None if options.ca is None else TlsFiles(options.ca, options.cert, options.key)
    peer = Peer(
        options.host,
        options.port,
        tls,
        options.client_id,
        subscriptions=(Subscription("gates/v1/+/up/#"),),
        session_expiry_s=SESSION_EXPIRY_S,
        receive_maximum=1000,
        unread_limit=_UNREAD_LIMIT,
    )
    stop = threading.Event()
    try:
        with contextlib.closing(SqliteStore(options.db)) as store:
            collector = Collector(peer, store, options.ready_file)
            _stop_on_signals(stop, collector)
            collector.run(stop)
            print(json.dumps({**collector.counts, **{f"held_{name}": count for name, count in store.counts().items()}}), flush=True)
    except sqlite3.Error as error:
        print(f"{options.db}: the events cannot be kept: {error}. Check the disk and the file, then start again.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
