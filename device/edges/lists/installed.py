"""The lists of a gate on its card: mapped, verified, replaced whole.

In the folder of each list lie the manifest in force, as it was signed, and
the entries, named by their digest. The manifest is replaced last: a power cut
leaves the old list or the new one, and what was half made is swept away.
"""

from __future__ import annotations

import hashlib
import logging
import mmap
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from device.core import wire
from device.core.hash_lists import ENTRY_BYTES, Entries, applied, holds, is_snapshot
from device.core.rules import Standing
from device.core.types import ClockReading
from device.edges.keys.trust_files import Province
from device.edges.machine.files import read_plain, replace_durably, sync_folder

log = logging.getLogger(__name__)

MANIFEST: Final = "manifest.json"
MANIFEST_LIMIT_BYTES: Final = 4096
HOUR_NS: Final = 3_600_000_000_000
_READ_BYTES: Final = 1 << 20


class HashFile:
    """Sorted entries in a mapped file: `rules.Members`. Looking one up touches some twenty pages, whatever the size."""

    def __init__(self, path: Path) -> None:
        """Raises OSError where the file cannot be mapped."""
        self._entries: mmap.mmap | bytes = b""
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size:
                self._entries = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

    def __contains__(self, subject: bytes) -> bool:
        with memoryview(self._entries) as entries:
            return holds(entries, subject)

    def __len__(self) -> int:
        return len(self._entries) // ENTRY_BYTES

    def view(self) -> memoryview:
        """The bytes of all entries, without a copy."""
        return memoryview(self._entries)


class GateList:
    """One list that the rules name: `rules.Listing`. Read by the decision path, replaced by the thread that fetches lists."""

    def __init__(self, name: str, folder: Path, *, ageing_ns: int, stale_ns: int) -> None:
        self.name = name
        self.folder = folder / name
        self._ageing_ns = ageing_ns
        self._stale_ns = stale_ns
        # Both in one tuple, so that a reader never sees one of the old list and one of the new.
        self._held: tuple[wire.ListManifest, HashFile] | None = None
        self.floor = 0
        """The version below which everything is old, even when the entries themselves are lost."""

    @property
    def members(self) -> HashFile | None:
        """The entries in force; None where there is no list."""
        held = self._held
        return None if held is None else held[1]

    @property
    def manifest(self) -> wire.ListManifest | None:
        """The manifest of the entries in force, as the province signed it; None where there is no list."""
        held = self._held
        return None if held is None else held[0]

    def standing(self, now: ClockReading) -> Standing:
        """How old the list is. Without a known time nobody can say, so it counts as stale."""
        manifest = self.manifest
        if manifest is None:
            return Standing.MISSING
        if not now.trusted:
            return Standing.STALE
        if now.wall_ns >= wire.seconds_of(manifest.expires) * 1_000_000_000:
            return Standing.EXPIRED
        age_ns = now.wall_ns - wire.seconds_of(manifest.issued) * 1_000_000_000
        if age_ns >= self._stale_ns:
            return Standing.STALE
        return Standing.AGEING if age_ns >= self._ageing_ns else Standing.FRESH

    def use(self, now: ClockReading) -> wire.ListInUse:
        """What a check-in says of the list: its version, and its age in seconds where the time is known."""
        manifest = self.manifest
        if manifest is None:
            return wire.ListInUse(name=self.name, version="missing")
        age_s = max(0, now.wall_ns // 1_000_000_000 - wire.seconds_of(manifest.issued)) if now.trusted else None
        return wire.ListInUse(name=self.name, version=str(manifest.version), age_s=age_s)

    # ------------------------------------------------------------- loading and replacing

    def load(self, province: Province) -> str | None:
        """Put the list that lies on the card in force. Returns None, or what is wrong with it; then there is no list."""
        try:
            body = read_plain(self.folder / MANIFEST, MANIFEST_LIMIT_BYTES)
        except FileNotFoundError:
            return "none has been received yet"
        except (OSError, ValueError) as error:
            return f"its manifest cannot be read: {error}"
        manifest = province.read(wire.ListManifest, body)
        if isinstance(manifest, str):
            return f"its manifest does not count: {manifest}"
        if manifest.name != self.name:
            return f"it is the list {manifest.name}"
        self.floor = manifest.version
        path = self.path_of(manifest.snapshot)
        try:
            if digest_of(path) != manifest.snapshot.sha256:
                return "its entries are damaged"
            self._held = (manifest, HashFile(path))
        except OSError as error:
            return f"its entries cannot be read: {error.strerror}"
        return None

    def path_of(self, blob: wire.Blob) -> Path:
        """The file in which a blob lies when it is whole."""
        return self.folder / f"{blob.sha256}.hashes"

    def install(self, manifest: wire.ListManifest, body: bytes, pieces: Iterable[Entries]) -> None:
        """Put entries that match their manifest in force. Raises ValueError where they do not, OSError where the card fails.

        Until the manifest is replaced the old list is in force, on the card as in memory.
        """
        path = self.path_of(manifest.snapshot)
        fresh = path.with_suffix(".new")
        try:
            made = _write(fresh, manifest.snapshot, pieces)
            fresh.replace(path)
            replace_durably(self.folder / MANIFEST, body)
        except BaseException:
            with suppress(OSError):
                fresh.unlink(missing_ok=True)
            raise
        self._held = (manifest, made)
        self.floor = manifest.version
        self.sweep({path.name})

    def changed(self, change: bytes) -> Iterable[Entries]:
        """The entries after a change to those in force. Raises ValueError as it goes on, where the change is of another list."""
        members = self.members
        if members is None:
            raise ValueError("there is no list to change")
        with members.view() as entries:
            yield from applied(entries, change)

    def sweep(self, keep: set[str]) -> None:
        """Remove every file that neither the manifest in force nor ``keep`` names."""
        manifest = self.manifest
        wanted = keep | {MANIFEST} | ({self.path_of(manifest.snapshot).name} if manifest else set())
        with suppress(OSError):
            for path in self.folder.iterdir():
                if path.name not in wanted:
                    path.unlink(missing_ok=True)
            sync_folder(self.folder)


def _write(path: Path, blob: wire.Blob, pieces: Iterable[Entries]) -> HashFile:
    """Put entries on the card, durable and checked. Raises ValueError for others than were signed, OSError where the card fails."""
    digest = hashlib.sha256()
    with path.open("wb") as file:
        for piece in pieces:
            digest.update(piece)
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())
    made = HashFile(path)
    with made.view() as entries:
        if digest.hexdigest() != blob.sha256 or len(entries) != blob.bytes:
            raise ValueError("the entries are not those that were signed")
        if not is_snapshot(entries):
            raise ValueError("the entries are not sorted")
    return made


def digest_of(path: Path) -> str:
    """SHA-256 of a file, a megabyte at a time. Raises OSError."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_READ_BYTES):
            digest.update(piece)
    return digest.hexdigest()


def lists_in_use(lists: Mapping[str, GateList], now: ClockReading) -> tuple[wire.ListInUse, ...]:
    """The versions that decide at a moment, and how old they are."""
    return tuple(one.use(now) for one in lists.values())


def open_lists(lists: Iterable[GateList], province: Province) -> None:
    """Load all lists. What is wrong with one is logged once, and the rules treat it as missing."""
    for one in lists:
        wrong = one.load(province)
        if wrong is not None:
            log.warning("list %s: %s", one.name, wrong)
