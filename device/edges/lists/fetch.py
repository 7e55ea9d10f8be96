"""Brings lists to the gate: a signed manifest first, then only the bytes that are missing, over whatever line there is.

Bytes come in parts that lie retained on the broker, each asked for by
subscribing to it, or over HTTPS from where the manifest says. What has come is
on the card at once: a cut costs one part, not the list. Nothing is taken in
force before all of it is there and is what was signed; the old list serves
until then.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import queue
import ssl
import threading
import urllib.request
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from device.core import wire
from device.core.types import ClockReading
from device.edges.keys.trust_files import Province
from device.edges.lists.installed import GateList, digest_of
from device.edges.machine.systemd import name_thread
from device.ports import Clock

log = logging.getLogger(__name__)

PART_BYTES: Final = 32 * 1024
"""Bytes of a part. A cut loses at most one, and one takes some three seconds over 10 kB/s."""
PART_TIMEOUT_S: Final = 60.0
HTTPS_TIMEOUT_S: Final = 30.0
RETRY_S: Final = 60.0
TOLD_LIMIT: Final = 256
_TURN_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Ask:
    """What the fetcher wants of the connection: hear a topic, or hear it no more."""

    topic: str
    wanted: bool


@dataclass(slots=True)
class _Job:
    """One list on its way. ``blob`` is what is fetched now: the snapshot, or a change."""

    gate: str
    manifest: wire.ListManifest
    body: bytes
    blob: wire.Blob
    is_delta: bool
    asked_s: float = -PART_TIMEOUT_S

    def path(self, one: GateList) -> Path:
        return one.folder / f"{self.blob.sha256}.part"


class ListFetcher:
    """Fetches the lists that the rules name. Its own thread does everything; others only hand in.

    ``ask`` hands a wish to the connection, ``tell`` an audit fact to the
    record; both must not block. ``context`` is how HTTPS is verified.
    """

    def __init__(
        self,
        gate: str,
        lists: Mapping[str, GateList],
        province: Province,
        clock: Clock,
        *,
        ask: Callable[[Ask], None],
        tell: Callable[[wire.AuditFact], object],
        context: Callable[[], ssl.SSLContext] = ssl.create_default_context,
    ) -> None:
        self._gate = gate
        self._lists = lists
        self._province = province
        self._clock = clock
        self._ask = ask
        self._tell = tell
        self._context = context
        self._inbox: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._jobs: dict[str, _Job] = {}
        self._online = False
        self._told: set[tuple[str, str]] = set()
        self._thread = threading.Thread(target=self._run, name="lists", daemon=True)
        self.fetched_bytes = 0

    # ------------------------------------------------------------- for other threads

    @property
    def names(self) -> Sequence[str]:
        """The lists that the rules name."""
        return tuple(self._lists)

    def start(self) -> None:
        """Start the thread that fetches."""
        self._thread.start()

    def close(self, timeout_s: float = 5.0) -> None:
        """Stop the thread, and wait for it at most ``timeout_s``. What has come stays on the card."""
        self._inbox.put(None)
        if self._thread.ident is not None:
            self._thread.join(timeout_s)

    def online(self, *, connected: bool) -> None:
        """Hear that the connection stands, or is gone and its subscriptions with it."""
        self._inbox.put(lambda: self._went(connected=connected))

    def announced(self, gate: str, name: str, body: bytes) -> None:
        """Hear a manifest that came on the topic of ``gate``; what it asks for is fetched."""
        self._inbox.put(lambda: self._announced(gate, name, body))

    def arrived(self, name: str, content: bytes) -> None:
        """Hear a part that came under the name in its topic; one that nobody waits for is dropped."""
        self._inbox.put(lambda: self._arrived(name, content))

    # ------------------------------------------------------------- the thread

    def _run(self) -> None:
        name_thread("lists")
        while True:
            try:
                task = self._inbox.get(timeout=_TURN_S)
                if task is None:
                    return
                task()
            except queue.Empty:
                self._look_after()
            except Exception:
                log.exception("a list could not be dealt with")

    def _went(self, *, connected: bool) -> None:
        self._online = connected
        for job in self._jobs.values():
            job.asked_s = -PART_TIMEOUT_S
        self._look_after()

    def _look_after(self) -> None:
        """Ask for the next bytes of every list on its way, and again for what did not come within ``PART_TIMEOUT_S``."""
        now_s = self._clock.monotonic_ns() / 1e9
        for name, job in list(self._jobs.items()):
            if now_s - job.asked_s < PART_TIMEOUT_S:
                continue
            job.asked_s = now_s
            if self._have(self._lists[name], job) >= job.blob.bytes:
                self._finish(self._lists[name], job)
            elif job.manifest.url is not None:
                self._fetch(name, job)
            elif self._online:
                self._ask(Ask(self._topic(name, job), wanted=True))

    # ------------------------------------------------------------- manifests

    def _announced(self, gate: str, name: str, body: bytes) -> None:
        one = self._lists.get(name)
        if one is None:
            self._refuse(name, None, "not_named")
            return
        manifest = self._province.read(wire.ListManifest, body)
        if isinstance(manifest, str):
            self._refuse(name, None, manifest)
            return
        reason = self._fault_of(manifest, gate, one, self._clock.reading())
        if reason is not None:
            self._refuse(name, manifest.version, reason)
            return
        job = self._jobs.get(name)
        if manifest.version == one.floor and one.members is not None:
            return
        if job is not None and job.manifest.version >= manifest.version:
            return
        self._begin(one, gate, manifest, body)

    def _fault_of(self, manifest: wire.ListManifest, gate: str, one: GateList, now: ClockReading) -> str | None:
        if manifest.gate != gate or manifest.name != one.name:
            return "foreign"
        if manifest.version < one.floor:
            return "old_version"
        if manifest.version == one.floor and one.manifest is not None and manifest.snapshot != one.manifest.snapshot:
            return "version_reused"
        if now.trusted and now.wall_ns >= wire.seconds_of(manifest.expires) * 1_000_000_000:
            return "expired"
        return None

    def _begin(self, one: GateList, gate: str, manifest: wire.ListManifest, body: bytes) -> None:
        """Fetch this version from here on. What was on its way to another is dropped, unless it is the same bytes."""
        self._drop(one.name)
        held = one.manifest
        change = next((delta for delta in manifest.deltas if held is not None and delta.base == held.version), None)
        smaller = change is not None and change.bytes < manifest.snapshot.bytes
        blob: wire.Blob = change if change is not None and smaller else manifest.snapshot
        job = _Job(gate, manifest, body, blob, is_delta=smaller)
        self._jobs[one.name] = job
        try:
            one.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            one.sweep({job.path(one).name})
            if not blob.bytes:
                _write_at(job.path(one), 0, b"")
        except OSError as error:
            self._fail(one, job, "storage", error)
            return
        log.info("list %s: version %d is on its way: %d bytes", one.name, manifest.version, blob.bytes)
        self._advance(one, job)

    def _drop(self, name: str) -> None:
        job = self._jobs.pop(name, None)
        if job is not None and job.manifest.url is None and self._online:
            self._ask(Ask(self._topic(name, job), wanted=False))

    # ------------------------------------------------------------- bytes

    def _topic(self, name: str, job: _Job) -> str:
        return wire.part(job.gate, job.blob.sha256, self._have(self._lists[name], job) // PART_BYTES)

    def _have(self, one: GateList, job: _Job) -> int:
        """Bytes on the card, in whole parts: a torn part is fetched again."""
        try:
            size = job.path(one).stat().st_size
        except OSError:
            return 0
        return size if size >= job.blob.bytes else size - size % PART_BYTES

    def _arrived(self, topic_name: str, content: bytes) -> None:
        for name, job in list(self._jobs.items()):
            topic = self._topic(name, job)
            if topic.endswith(f"/{topic_name}") and job.manifest.url is None:
                self._ask(Ask(topic, wanted=False))
                self._append(self._lists[name], job, content)
                return

    def _append(self, one: GateList, job: _Job, content: bytes) -> None:
        have = self._have(one, job)
        if len(content) != min(PART_BYTES, job.blob.bytes - have):
            log.warning("list %s: a part of another length; it is asked for again later", one.name)
            return
        try:
            _write_at(job.path(one), have, content)
        except OSError as error:
            self._fail(one, job, "storage", error)
            return
        self.fetched_bytes += len(content)
        self._advance(one, job)

    def _advance(self, one: GateList, job: _Job) -> None:
        """Finish when everything is there, otherwise ask for the next part at once."""
        if self._have(one, job) >= job.blob.bytes:
            self._finish(one, job)
            return
        job.asked_s = -PART_TIMEOUT_S
        self._look_after()

    def _fetch(self, name: str, job: _Job) -> None:
        """Fetch over HTTPS from the first missing byte on. A line that breaks is tried again after ``RETRY_S``."""
        one = self._lists[name]
        have = self._have(one, job)
        url = f"{job.manifest.url}/{job.blob.sha256}"
        request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"})  # noqa: S310 - the manifest's pattern allows https alone
        try:
            with urllib.request.urlopen(request, timeout=HTTPS_TIMEOUT_S, context=self._context()) as answer:  # noqa: S310 - as above
                at = have if answer.status == 206 else 0  # noqa: PLR2004 - partial content
                while at < job.blob.bytes and (piece := answer.read(PART_BYTES)):
                    piece = piece[: job.blob.bytes - at]
                    _write_at(job.path(one), at, piece)
                    at += len(piece)
                    self.fetched_bytes += len(piece)
        except (OSError, ValueError) as error:
            log.info("list %s: %s; what has come is kept, and the rest asked for again", name, error)
            job.asked_s = self._clock.monotonic_ns() / 1e9 - PART_TIMEOUT_S + RETRY_S
            return
        if self._have(one, job) >= job.blob.bytes:
            self._finish(one, job)

    # ------------------------------------------------------------- the end

    def _finish(self, one: GateList, job: _Job) -> None:
        path = job.path(one)
        try:
            if digest_of(path) != job.blob.sha256:
                path.unlink()
                self._fail(one, job, "wrong_digest", None)
                return
            content = path.read_bytes()
            pieces: Iterable[bytes | memoryview] = one.changed(content) if job.is_delta else [content]
            one.install(job.manifest, job.body, pieces)
        except ValueError as error:
            self._fail(one, job, "wrong_content", error)
            return
        except OSError as error:
            self._fail(one, job, "storage", error)
            return
        self._jobs.pop(one.name, None)
        version = job.manifest.version
        log.info("list %s: version %d is in force", one.name, version)
        self._tell(wire.ListFate(name=one.name, version=version, status="applied"))

    def _fail(self, one: GateList, job: _Job, reason: str, error: Exception | None) -> None:
        """The old list stays. A change that does not fit is tried as a whole list, and a card that fails is tried again.

        Wrong bytes are fetched again when the manifest comes again, at the next connection.
        """
        log.warning("list %s: version %d: %s%s", one.name, job.manifest.version, reason, "" if error is None else f": {error}")
        if reason == "storage":
            self._refuse(one.name, job.manifest.version, reason)
            return
        with contextlib.suppress(OSError):
            job.path(one).unlink(missing_ok=True)
        self._jobs.pop(one.name, None)
        if job.is_delta:
            whole = _Job(job.gate, job.manifest, job.body, job.manifest.snapshot, is_delta=False)
            self._jobs[one.name] = whole
            self._look_after()
            return
        self._refuse(one.name, job.manifest.version, reason)

    def _refuse(self, name: str, version: int | None, reason: str) -> None:
        """Record that a list is refused, once for each list, version and reason."""
        key = (name, f"{version} {reason}")
        if key in self._told:
            return
        if len(self._told) >= TOLD_LIMIT:
            self._told.clear()
        self._told.add(key)
        log.warning("refused from the province: list %s %s (%s)", name, version, reason)
        self._tell(wire.ListFate(name=name, version=version, status="rejected", reason=reason))


def parts_of(blob: bytes) -> list[bytes]:
    """The parts of ``PART_BYTES`` in which a blob is published; the last is shorter."""
    return [blob[start : start + PART_BYTES] for start in range(0, len(blob), PART_BYTES)]


def blob_of(content: bytes) -> wire.Blob:
    """How a manifest names some bytes: by their number and their SHA-256."""
    return wire.Blob(sha256=hashlib.sha256(content).hexdigest(), bytes=len(content))


def _write_at(path: Path, at: int, content: bytes) -> None:
    """Write at an offset, durably: what is counted as here must be here after a power cut. Raises OSError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.ftruncate(descriptor, at)
        os.pwrite(descriptor, content, at)
        os.fdatasync(descriptor)
    finally:
        os.close(descriptor)
