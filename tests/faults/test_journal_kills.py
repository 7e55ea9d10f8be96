"""A recording process killed at random moments, again and again on one file: every acknowledged event is there."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from device.edges.machine.clock import SystemClock
from device.edges.record.journal import SqliteJournal
from tests.entries import FREEZE, chained, parsed, section

ROOT = Path(__file__).resolve().parents[2]
SHORT = 8
LONG = 100


@dataclass
class Account:
    """What the killed processes said: number by seq, and up to where they confirmed."""

    acknowledged: dict[int, int] = field(default_factory=dict)
    confirmed: int = 0
    kills: int = 0

    def take(self, lines: list[str]) -> None:
        """Whole lines only: the last one may be cut by the kill."""
        for line in lines:
            first, second = line.split()
            if first == "upto":
                self.confirmed = max(self.confirmed, int(second))
            else:
                seq = int(first)
                assert seq not in self.acknowledged, f"the number {seq} was given twice"
                self.acknowledged[seq] = int(second)


@contextmanager
def recording(path: Path, number: int, group: int) -> Iterator[subprocess.Popen[bytes]]:
    """A process that records. Killed at the end, whatever happens."""
    command = [sys.executable, "-m", "tests.faults.recorder", str(path), str(number), str(group)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


def kill_at_work(path: Path, account: Account, chance: random.Random) -> None:
    """Start, let it record for a random while, kill, and read what it had said."""
    with recording(path, 1000 * account.kills, chance.choice([1, 1, 7, 40])) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        first = process.stdout.readline()
        assert first, process.stderr.read().decode()
        time.sleep(chance.uniform(0.0, 0.25))
        process.kill()
        said = first + process.stdout.read()
    account.take(said.decode().split("\n")[:-1])
    account.kills += 1


def verify(path: Path, account: Account) -> None:
    """Everything acknowledged is there, under its number, unless it was confirmed; the chain is whole; nothing is twice."""
    with closing(SqliteJournal(path, section(max_rows=1_000_000), SystemClock(), FREEZE)) as journal:
        out = journal.waiting(0, 1_000_000)
        held = {one.seq: parsed(one)["data"]["n"] for one in out}
        lost = {seq for seq in account.acknowledged if seq > account.confirmed and seq not in held}
        changed = {seq for seq, number in account.acknowledged.items() if held.get(seq, number) != number}
        ids = [parsed(one)["id"] for one in out]
        assert (lost, changed, len(ids) - len(set(ids))) == (set(), set(), 0)
        assert [one.seq for one in out] == list(range(out[0].seq, out[-1].seq + 1))
        assert chained(out, start=parsed(out[0])["data"]["prev"])
        assert len(journal.passages()) >= len(set(account.acknowledged.values()))
        assert journal.previous_run == "unclean"


def run(tmp_path: Path, kills: int) -> Account:
    """So many kills on one file."""
    account, chance = Account(), random.Random(5)  # noqa: S311  moments that can be repeated, nothing secret
    for _ in range(kills):
        kill_at_work(tmp_path / "journal.sqlite", account, chance)
    verify(tmp_path / "journal.sqlite", account)
    return account


def test_a_killed_recorder_has_lost_nothing_that_it_acknowledged(tmp_path: Path) -> None:
    """Kills at random moments of recording, erasing and upkeep; each start goes on with the same file and epoch."""
    account = run(tmp_path, SHORT)
    assert len(account.acknowledged) > SHORT


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_hundred_kills(tmp_path: Path) -> None:
    """The long form; prints its counts."""
    account = run(tmp_path, LONG)
    sys.stdout.write(f"kills {account.kills}, acknowledged {len(account.acknowledged)}, lost 0, doubled 0\n")
