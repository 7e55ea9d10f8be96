"""Makes a list of persons ready to be sent: entries, changes from older versions, and the manifest that is signed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from device.core import wire
from device.core.hash_lists import delta, snapshot
from device.edges.lists.fetch import blob_of, parts_of
from device.edges.lists.installed import MANIFEST_LIMIT_BYTES


@dataclass(frozen=True, slots=True)
class Release:
    """One version of a list. ``blobs`` are what a gate may fetch, by digest; the snapshot is the first."""

    gate: str
    name: str
    manifest: bytes
    blobs: Mapping[str, bytes]

    def messages(self) -> Iterator[tuple[str, bytes]]:
        """Topic and payload of everything to be retained on the broker, the manifest last: nothing is announced before it is there."""
        for digest, blob in self.blobs.items():
            for number, part in enumerate(parts_of(blob)):
                yield wire.part(self.gate, digest, number), part
        yield wire.down(self.gate, "list", self.name), self.manifest


def release(
    sign: Callable[[bytes], str],
    subjects: Iterable[bytes],
    *,
    name: str,
    version: int,
    valid_s: tuple[int, int],
    gate: str = wire.ALL,
    older: Mapping[int, bytes] | None = None,
    url: str | None = None,
) -> Release:
    """A signed version of a list of keyed hashes (32 bytes each).

    ``valid_s`` is when it is issued and when it expires, in seconds since
    1970. ``older`` are snapshots of versions that gates may hold, for which changes
    are made. Raises ValueError where the manifest would be too large.
    """
    whole = snapshot(subjects)
    blobs = {blob_of(whole).sha256: whole}
    deltas: list[dict[str, Any]] = []
    for base, entries in sorted((older or {}).items()):
        change = delta(entries, whole)
        deltas.append({"base": base, **blob_of(change).model_dump()})
        blobs[blob_of(change).sha256] = change
    told: dict[str, Any] = {
        "type": "vn.gate.list.v1",
        "gate": gate,
        "name": name,
        "version": version,
        "issued": wire.time_text(valid_s[0] * 1_000_000_000),
        "expires": wire.time_text(valid_s[1] * 1_000_000_000),
        "snapshot": blob_of(whole).model_dump(),
        "deltas": deltas,
    }
    body = json.dumps(told if url is None else {**told, "url": url}, separators=(",", ":")).encode()
    manifest = wire.with_signature(body, sign(body))
    if len(manifest) > MANIFEST_LIMIT_BYTES:
        raise ValueError(f"the manifest of {name} has {len(manifest)} bytes, more than {MANIFEST_LIMIT_BYTES}: name fewer older versions")
    return Release(gate, name, manifest, blobs)
