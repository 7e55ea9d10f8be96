"""Looks at disks after a power cut: lets ext4 recover, opens what is there with the product's own code, and counts.

``python -m tests.lab.cuts.look journal|state LOG SIZE CUTS SEED FOLDER``, in a mount
namespace of its own: every mount vanishes with this process. Prints one JSON
object of counts.
"""

from __future__ import annotations

import json
import logging
import random
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from device.edges.machine.clock import SystemClock
from device.edges.record.journal import SqliteJournal
from device.errors import JournalError
from tests.entries import FREEZE, checkin, section
from tests.lab.cuts.write_state import FILES, whole
from tests.lab.cuts.writelog import Disk, Entry, marks, read_log

ALL = 1_000_000


@dataclass
class Counts:
    """What was found over all cuts. ``lost`` counts promises that were not kept."""

    cuts: int = 0
    promised: int = 0
    lost: int = 0
    cuts_with_loss: int = 0
    broken: int = 0
    doubled: int = 0
    repaired: int = 0
    slowest_open_s: float = 0.0
    reasons: list[str] = field(default_factory=list)

    def note(self, lost: int, why: str) -> None:
        """A cut that broke a promise."""
        self.lost += lost
        self.cuts_with_loss += 1
        if len(self.reasons) < 5:
            self.reasons.append(why)


def numbers(said: Sequence[str], word: str) -> list[int]:
    """The numbers of the marks that begin with ``word``."""
    return [int(mark.split()[1]) for mark in said if mark.startswith(word + " ")]


def look_at_journal(place: Path, said: Sequence[str], counts: Counts) -> None:
    """Every event shown is there or was let go; nothing twice; it goes on recording, under the same epoch."""
    shown, released = max(numbers(said, "shown"), default=0), max(numbers(said, "upto"), default=0)
    counts.promised += shown
    path = place / "journal.sqlite"
    if not path.exists():
        if shown:
            counts.note(shown, "no file")
        return
    clock = SystemClock()
    started = time.monotonic()
    journal = SqliteJournal(path, section(max_rows=ALL), clock, FREEZE)
    try:
        there = [one.seq for one in journal.waiting(0, ALL)]
        counts.slowest_open_s = max(counts.slowest_open_s, time.monotonic() - started)
        counts.broken += any(place.glob("*.corrupt*"))
        counts.doubled += len(there) - len(set(there))
        lost = sorted(set(range(released + 1, shown + 1)) - set(there))
        if lost:
            counts.note(len(lost), f"shown {shown}, released {released}, there {there[:1]}..{there[-1:]}")
        fresh = journal.record(checkin(clock, 0)).result(30).seq
        counts.doubled += fresh <= max([shown, *there])
        counts.broken += [one.seq for one in journal.waiting(fresh - 1, 1)] != [fresh]
    except JournalError as error:
        # The gate goes on in memory then, and says so; but what was shown is not to be had.
        counts.broken += 1
        counts.note(shown - released, f"shown {shown}, released {released}: {error}")
    finally:
        journal.close()


def look_at_state(place: Path, said: Sequence[str], counts: Counts) -> None:
    """Every file is of one round, whole, and not of an older one than was promised."""
    for name in FILES:
        promised = max((int(mark.split()[2]) for mark in said if mark.startswith(f"file {name} ")), default=0)
        counts.promised += promised > 0
        path = place / "state" / name
        data = path.read_bytes() if path.exists() else None
        found = 0 if data is None else whole(name, data)
        if found is None:
            counts.broken += 1
            counts.note(1, f"{name} is not whole: {0 if data is None else len(data)} bytes")
        elif found < promised:
            counts.note(1, f"{name} is of round {found}, promised was {promised}")


def mount(image: Path, place: Path, counts: Counts) -> str:
    """Mount as a Pi does at boot; what went wrong, or nothing.

    ext4 recovers by itself, but for a superblock that was being written and is
    torn in the middle: a Pi's command line has ``fsck.repair=yes``, so there
    e2fsck takes the copy.
    """
    command = ["mount", "-o", "loop", str(image), str(place)]
    if subprocess.run(command, check=False, capture_output=True).returncode == 0:
        return ""
    subprocess.run(["e2fsck", "-f", "-y", str(image)], check=False, capture_output=True)
    counts.repaired += 1
    return subprocess.run(command, check=False, capture_output=True, text=True).stderr.strip()


def look(what: str, entries: Sequence[Entry], size: int, cuts: Sequence[int], chance: random.Random, folder: Path) -> Counts:
    """One disk after another, in rising order of the cuts."""
    counts = Counts()
    disk, image, place = Disk(entries, size, folder), folder / "cut.img", folder / "mounted"
    place.mkdir(exist_ok=True)
    for at in sorted(cuts):
        disk.image(at, chance, image)
        counts.cuts += 1
        trouble = mount(image, place, counts)
        if trouble:
            counts.broken += 1
            counts.note(1, f"cannot be mounted: {trouble[:200]}")
            continue
        try:
            said = marks(entries, at)
            try:
                (look_at_journal if what == "journal" else look_at_state)(place, said, counts)
            except OSError as error:
                # The file system itself is broken: nothing on it is to be had.
                counts.broken += 1
                counts.note(max(numbers(said, "shown"), default=1), str(error))
        finally:
            subprocess.run(["umount", str(place)], check=True)
    return counts


def main(what: str, log: Path, size: int, cuts: int, seed: int, folder: Path) -> None:
    """Cuts anywhere between the workload's first and last moment."""
    logging.disable(logging.CRITICAL)
    entries = read_log(log)
    begin = next(number for number, entry in enumerate(entries) if entry.mark == "begin")
    chance = random.Random(seed)  # noqa: S311 - luck that can be repeated, no secret
    places = [chance.randrange(begin + 1, len(entries) + 1) for _ in range(cuts)]
    sys.stdout.write(json.dumps(asdict(look(what, entries, size, places, chance, folder))) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5]), Path(sys.argv[6]))
