"""The record on its disk: what is there after a restart, who may open it, and what it costs."""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from device.core.timeline import Stamp
from device.core.types import Channel, Entry, Stored
from device.edges.record.journal import SqliteJournal
from device.edges.record.reader import JournalReader
from device.errors import JournalBusy, JournalError
from device.ports import Outgoing
from tests.entries import FREEZE, Opener, audit, chained, checkin, numbers, parsed, section, settle, subject
from tests.fakes.clock import FakeClock
from tests.fakes.disk import FaultyDisk


@pytest.fixture
def clock() -> FakeClock:
    """A synchronised clock."""
    return FakeClock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the journal is, in a folder that it makes."""
    return tmp_path / "state" / "journal.sqlite"


@pytest.fixture
def open_journal(path: Path, clock: FakeClock) -> Iterator[Opener]:
    """Opens journals on the same file and closes what is left open."""
    with closing(Opener(path, clock)) as opener:
        yield opener


def test_a_restart_changes_nothing(open_journal: Opener, clock: FakeClock) -> None:
    """Epoch, numbers, bodies, dead letters and passages are as they were, and the count goes on."""
    first = open_journal()
    settle([first.record(checkin(clock, number, passage=True)) for number in range(1, 6)])
    before = first.waiting(0, 10)
    first.confirm(first.bounds().epoch, 2)
    first.bury(3, "quota_exceeded")
    bounds, passages = first.bounds(), first.passages()
    first.close()
    second = open_journal()
    assert second.bounds() == bounds
    assert [one.body for one in second.waiting(2, 2)] == [one.body for one in before[3:]]
    assert second.passages() == passages
    assert second.stats()["dead"] == 1
    assert settle([second.record(checkin(clock, 7))]) == [7]
    assert second.previous_run == "clean"


def test_the_chain_goes_on_over_restarts_and_deletions(open_journal: Opener, clock: FakeClock) -> None:
    """Each body names the one before it, though that is erased and the process is another."""
    out: list[Outgoing] = []
    for round_number in range(4):
        journal = open_journal()
        settle([journal.record(checkin(clock, number)) for number in range(round_number)])
        fresh = journal.waiting(0, 100)
        out += fresh
        journal.confirm(journal.bounds().epoch, journal.bounds().newest)
        journal.close()
    assert len(out) == 6
    assert chained(out)


def test_numbers_never_repeat_after_everything_was_deleted(open_journal: Opener, path: Path, clock: FakeClock) -> None:
    """With not one row left in the file, the next event still has the next number."""
    journal = open_journal()
    settle([journal.record(checkin(clock, number)) for number in range(300)])
    journal.confirm(journal.bounds().epoch, 300)
    journal.close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DELETE FROM event")
        connection.commit()
    journal = open_journal()
    assert settle([journal.record(checkin(clock, 1))]) == [301]


def test_the_file_and_its_folder_are_the_owners_alone(open_journal: Opener, path: Path, clock: FakeClock) -> None:
    """0600 for the file, its WAL, its index and its lock, 0700 for the folder, whatever the umask."""
    before = os.umask(0)
    try:
        journal = open_journal()
        settle([journal.record(checkin(clock, 1))])
        modes = {file.name: file.stat().st_mode & 0o777 for file in path.parent.iterdir()}
    finally:
        os.umask(before)
    assert modes == dict.fromkeys((path.name, f"{path.name}-wal", f"{path.name}-shm", f"{path.name}.lock"), 0o600)
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_a_file_that_others_could_read_is_closed_to_them(open_journal: Opener, path: Path) -> None:
    """Permissions that went wrong, in a restored copy for example, are mended when it is opened."""
    open_journal().close()
    path.chmod(0o644)
    open_journal()
    assert path.stat().st_mode & 0o777 == 0o600


def test_only_one_process_owns_the_record(open_journal: Opener, path: Path) -> None:
    """A second gate on the same file is told which process has it, and touches nothing."""
    open_journal()
    code = (
        "import sys; from pathlib import Path; from device.config import JournalSection;"
        "from device.edges.machine.clock import SystemClock;"
        "from device.edges.record.journal import SqliteJournal; from device.errors import JournalBusy\n"
        "try: SqliteJournal(Path(sys.argv[1]), JournalSection(), SystemClock(), lambda *_: b'')\n"
        "except JournalBusy as error: print(error)"
    )
    told = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, timeout=30, check=True).stdout
    assert told == f"{path} is in use by process {os.getpid()}\n"
    with pytest.raises(JournalBusy):
        open_journal()


def test_the_record_may_be_opened_again_after_closing(open_journal: Opener) -> None:
    """Closing gives the lock back."""
    open_journal().close()
    open_journal()


def test_the_settings_that_make_a_commit_durable_are_in_force(open_journal: Opener, path: Path) -> None:
    """WAL, a sync for each commit, overwriting deletes: asked of SQLite itself, since a misspelt pragma is silent."""
    disk = FaultyDisk()
    journal = open_journal(connect=disk)
    store = journal._file.store  # noqa: SLF001  the settings belong to this one connection
    values = {
        name: store.connection.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("journal_mode", "synchronous", "secure_delete", "auto_vacuum", "temp_store", "wal_autocheckpoint")
    }
    assert values == {
        "journal_mode": "wal",
        "synchronous": 2,
        "secure_delete": 1,
        "auto_vacuum": 2,
        "temp_store": 2,
        "wal_autocheckpoint": 0,
    }
    assert path.read_bytes()[68:72] == b"GATE"


def test_records_that_wait_together_share_a_commit(open_journal: Opener, clock: FakeClock) -> None:
    """While one commit is on its way to the disk, those that come go into the next one together."""
    disk = FaultyDisk()
    journal = open_journal(connect=disk)
    with disk.hold_commits():
        futures = [journal.record(checkin(clock, 1))]
        assert disk.held.wait(10)
        futures += [journal.record(checkin(clock, number)) for number in range(2, 101)]
        before = disk.statements.count("COMMIT")
    settle(futures)
    assert disk.statements.count("COMMIT") == before + 1


def test_records_go_before_everything_else(open_journal: Opener, clock: FakeClock) -> None:
    """A long erasure is broken off between its steps for an event that comes."""
    disk = FaultyDisk()
    journal = open_journal(connect=disk)
    settle([journal.record(checkin(clock, number)) for number in range(200)])
    disk.statements.clear()
    journal.on_news(lambda: disk.statements.append("news"))
    with disk.hold_commits():
        journal.confirm(journal.bounds().epoch, 200)
        assert disk.held.wait(10)
        future = journal.record(checkin(clock, 1000))
    settle([future])
    journal.maintain()
    told = disk.statements.index("news")
    erasures = [place for place, sql in enumerate(disk.statements) if sql.startswith("UPDATE event SET state")]
    assert any(place > told for place in erasures)


def test_a_late_record_counts_as_over_the_budget(open_journal: Opener, clock: FakeClock) -> None:
    """Nothing is acknowledged before its commit; one that takes longer than the lamp waits is counted, with its time."""
    disk = FaultyDisk()
    journal = open_journal(connect=disk)
    with disk.hold_commits():
        future = journal.record(checkin(clock, 1))
        assert disk.held.wait(10)
        assert not future.done()
        clock.advance(5)
    settle([future])
    assert journal.stats()["over_budget"] == 1
    assert journal.stats()["commit_max_ms"] == 5000


def is_alive(journal: SqliteJournal) -> bool:
    """Asked anew each time."""
    return journal.alive


def test_a_hanging_disk_is_no_progress(open_journal: Opener, clock: FakeClock) -> None:
    """The watchdog sees a writer that hangs in a commit, and that it moves again afterwards."""
    disk = FaultyDisk()
    journal = open_journal(connect=disk)
    assert is_alive(journal)
    with disk.hold_commits():
        future = journal.record(checkin(clock, 1))
        assert disk.held.wait(10)
        clock.advance(31)
        assert not is_alive(journal)
    settle([future])
    journal.maintain()
    assert is_alive(journal)


def test_many_confirmed_events_are_erased_in_few_commits(open_journal: Opener, clock: FakeClock) -> None:
    """Acks one by one cost no commit each: the province's word is kept in memory until it is worth one."""
    disk = FaultyDisk()
    journal = open_journal(connect=disk)
    settle([journal.record(checkin(clock, number)) for number in range(1, 101)])
    journal.maintain()
    disk.statements.clear()
    for seq in range(1, 101):
        assert journal.confirm(journal.bounds().epoch, seq) == 1
    journal.maintain()
    assert journal.stats()["rows"] == 0
    assert disk.statements.count("COMMIT") <= 12


def test_kept_events_are_erased_when_their_time_is_over(open_journal: Opener, clock: FakeClock) -> None:
    """With a broker that is trusted for some hours, confirmed events stay so long and can be asked for again."""
    journal = open_journal(keep_confirmed_s=3600)
    settle([journal.record(checkin(clock, number)) for number in range(1, 11)])
    body = journal.waiting(4, 1)[0].body
    journal.confirm(journal.bounds().epoch, 10)
    journal.maintain()
    assert (journal.stats()["confirmed_kept"], journal.bounds().waiting) == (10, 0)
    clock.advance(3599)
    journal.maintain()
    assert journal.resend(5, 6) == 2
    assert [one.seq for one in journal.waiting(0, 10)] == [5, 6]
    assert journal.waiting(4, 1)[0].body == body
    clock.advance(2)
    journal.maintain()
    assert journal.stats()["confirmed_kept"] == 0
    assert journal.resend(1, 10) == 0
    assert journal.bounds().waiting == 2


def test_an_earlier_boot_is_corrected_bounded_or_synced(open_journal: Opener, clock: FakeClock) -> None:
    """Three boots, the middle one never synchronised: its events lie between, and no stamp is later than the next boot's."""
    journal = open_journal()
    settle([journal.record(checkin(clock, 1))])
    journal.close()
    clock.restart("boot-2", off_s=100)
    clock.set_wall(0)
    journal = open_journal()
    settle([journal.record(checkin(clock, 2))])
    clock.advance(50)
    journal.close()
    clock.restart("boot-3")
    journal = open_journal()
    settle([journal.record(checkin(clock, 3))])
    clock.advance(10)
    clock.set_wall(FakeClock().wall_ns + 1000 * 10**9, trusted=True)
    one, two, three = (parsed(out) for out in journal.waiting(0, 10))
    assert [event["clock"] for event in (one, two, three)] == ["synced", "bounded", "corrected"]
    assert one["time"] < two["earliest"] < two["time"] < two["latest"] < three["time"]


def test_events_of_an_unsynced_boot_wait_for_the_clock_as_long_as_allowed(open_journal: Opener, clock: FakeClock) -> None:
    """Within the grace they are held back, with all after them; then they go with corrected times, or, too late, without."""
    clock.restart("boot-2")
    journal = open_journal(unsynced_grace_s=15.0)
    settle([journal.record(checkin(clock, 1))])
    assert list(journal.waiting(0, 10)) == []
    clock.advance(10)
    settle([journal.record(checkin(clock, 2))])
    clock.advance(6)
    assert [parsed(one)["clock"] for one in journal.waiting(0, 10)] == ["unsynced"]
    clock.set_wall(clock.wall_ns + 10**15, trusted=True)
    assert [parsed(one)["clock"] for one in journal.waiting(0, 10)] == ["unsynced", "corrected"]


def test_events_of_an_earlier_boot_wait_for_this_ones_clock_too(open_journal: Opener, clock: FakeClock) -> None:
    """A broker is often reached before a time server: without the wait what could have bounds would be published without."""
    clock.restart("boot-2")
    journal = open_journal(unsynced_grace_s=15.0)
    settle([journal.record(checkin(clock, number)) for number in range(1, 4)])
    clock.advance(100)
    journal.close()
    clock.restart("boot-3")
    journal = open_journal(unsynced_grace_s=15.0)
    assert list(journal.waiting(0, 10)) == []
    clock.advance(10)
    assert list(journal.waiting(0, 10)) == []
    clock.set_wall(clock.wall_ns + 10**15, trusted=True)
    assert [parsed(one)["clock"] for one in journal.waiting(0, 10)] == ["bounded"] * 3


def test_events_of_an_earlier_boot_do_not_wait_for_ever(open_journal: Opener, clock: FakeClock) -> None:
    """Where no time server is ever heard the record goes out all the same."""
    clock.restart("boot-2")
    journal = open_journal()
    settle([journal.record(checkin(clock, 1))])
    journal.close()
    clock.restart("boot-3")
    journal = open_journal(unsynced_grace_s=15.0)
    clock.advance(15)
    assert [parsed(one)["clock"] for one in journal.waiting(0, 10)] == ["unsynced"]


def unfrozen(journal: SqliteJournal) -> int:
    """How many waiting events have no body."""
    view = journal._writer.view  # noqa: SLF001  whether bodies were made is not asked for elsewhere
    assert view is not None
    return view.tally.unfrozen


def test_upkeep_makes_bodies_while_nobody_asks(open_journal: Opener, clock: FakeClock) -> None:
    """After months without a province the newest event can go out at once; what may still get a better time is left alone."""
    journal = open_journal()
    settle([journal.record(checkin(clock, number)) for number in range(1, 401)])
    journal.maintain()
    assert unfrozen(journal) == 0
    journal.close()
    clock.restart("boot-2")
    journal = open_journal()
    settle([journal.record(checkin(clock, number)) for number in range(401, 411)])
    journal.maintain()
    assert unfrozen(journal) == 10
    assert chained(journal.waiting(0, 1000))


def test_a_small_window_far_ahead_freezes_all_before_it(open_journal: Opener, clock: FakeClock) -> None:
    """The live lane asks for two events behind hundreds that have no body yet: they come, chained to those."""
    clock.restart("boot-2")
    journal = open_journal()
    settle([journal.record(checkin(clock, number)) for number in range(1, 501)])
    assert numbers(journal.waiting(490, 2)) == [491, 492]
    assert chained(journal.waiting(0, 500))


def test_the_record_proves_a_time_to_be_past(open_journal: Opener, clock: FakeClock) -> None:
    """After a restart into 1970 the newest event is the floor below which the clock cannot be right."""
    journal = open_journal()
    settle([journal.record(checkin(clock, 1))])
    wall_ns = clock.wall_ns
    journal.close()
    clock.restart("boot-2")
    clock.set_wall(0)
    assert open_journal().certainly_past_ns == wall_ns + 10**9


def test_a_broken_freezer_loses_nothing(path: Path, clock: FakeClock) -> None:
    """With the signing key gone nothing can be sent, everything is recorded, and nothing is called a dead letter."""
    broken = True

    def freeze(stored: Stored, stamp: Stamp, prev: bytes | None) -> bytes:
        if broken:
            raise OSError("the secure element does not answer")
        return FREEZE(stored, stamp, prev)

    with closing(SqliteJournal(path, section(), clock, freeze)) as journal:
        settle([journal.record(checkin(clock, number)) for number in range(1, 4)])
        with pytest.raises(JournalError, match="cannot be made ready"):
            journal.waiting(0, 10)
        broken = False
        assert numbers(journal.waiting(0, 10)) == [1, 2, 3]
        assert journal.stats()["dead"] == 0


def test_an_event_that_cannot_be_published_does_not_hold_up_the_rest(path: Path, clock: FakeClock) -> None:
    """One bad event is put aside as a dead letter, told of, and the chain goes on without it."""

    def freeze(stored: Stored, stamp: Stamp, prev: bytes | None) -> bytes:
        if stored.data.get("n") == 2:
            raise ValueError("no")
        return FREEZE(stored, stamp, prev)

    with closing(SqliteJournal(path, section(), clock, freeze)) as journal:
        settle([journal.record(checkin(clock, number)) for number in range(1, 4)])
        out = journal.waiting(0, 10)
        assert numbers(out) == [1, 3]
        assert chained(journal.waiting(0, 10))
        assert parsed(journal.waiting(3, 1)[0])["data"]["reason"] == "unfreezable"


def test_a_reason_of_any_form_becomes_a_code(open_journal: Opener, clock: FakeClock) -> None:
    """Whatever the broker's reason was called, the dead letter's event is valid."""
    journal = open_journal()
    settle([journal.record(checkin(clock, 1))])
    journal.bury(1, "0x99 Payload format invalid!")
    assert parsed(journal.waiting(0, 1)[0])["data"]["reason"] == "0x99_payload_format_invalid_"


def test_a_body_larger_than_its_room_is_kept_all_the_same(path: Path, clock: FakeClock) -> None:
    """The room reserved for a body is a guess; a long signature costs a moved row, not an event."""

    def freeze(stored: Stored, stamp: Stamp, prev: bytes | None) -> bytes:
        return FREEZE(stored, stamp, prev) + b" " * 5000

    clock.restart("boot-2")
    with closing(SqliteJournal(path, section(), clock, freeze)) as journal:
        settle([journal.record(checkin(clock, number)) for number in range(1, 4)])
        assert [len(one.body) > 5000 for one in journal.waiting(0, 10)] == [True] * 3
        assert numbers(journal.waiting(0, 10)) == [1, 2, 3]


def test_a_person_at_a_terminal_reads_beside_the_gate_and_after_it(open_journal: Opener, path: Path, clock: FakeClock) -> None:
    """`JournalReader` shows states, bodies and times while the gate runs, and the same when it does not."""
    journal = open_journal(keep_confirmed_s=3600)
    settle([journal.record(checkin(clock, number)) for number in range(1, 5)])
    journal.waiting(0, 10)
    journal.confirm(journal.bounds().epoch, 1)
    journal.bury(2, "quota_exceeded")
    journal.maintain()

    def look(newest: int | None = None) -> list[tuple[int, str, str, bool]]:
        with JournalReader(path) as reader:
            assert reader.epoch == journal.stats()["epoch"]
            return [(one.stored.seq, one.state, one.reason, one.body is not None) for one in reader.events(newest)]

    running = look()
    assert running == [
        (1, "confirmed", "", True),
        (2, "dead", "quota_exceeded", True),
        (3, "waiting", "", True),
        (4, "waiting", "", True),
        (5, "waiting", "", True),
    ]
    assert look(2) == running[3:]
    journal.close()
    files = sorted(path.parent.iterdir())
    assert look() == running
    assert sorted(path.parent.iterdir()) == files


def test_reading_what_is_not_there_says_so(tmp_path: Path) -> None:
    """A missing or foreign file is a JournalError that names it."""
    with pytest.raises(JournalError, match=re.escape(str(tmp_path / "none.sqlite"))):
        JournalReader(tmp_path / "none.sqlite")
    (tmp_path / "text").write_text("hello " * 1000)
    with pytest.raises(JournalError, match="cannot be read"):
        JournalReader(tmp_path / "text")


def test_a_passage_that_does_not_fit_its_slot_is_refused(open_journal: Opener, clock: FakeClock) -> None:
    """Slots have one size, so a subject above 64 bytes is no subject of ours."""
    journal = open_journal()
    entry = checkin(clock, 1, passage=True)
    assert entry.passage is not None
    long = Entry(Channel.CHECKIN, entry.data, entry.at, type(entry.passage)("x" * 65, entry.passage.direction, entry.at))
    with pytest.raises(JournalError, match="cannot be recorded"):
        journal.record(long).result(10)
    assert journal.stats()["newest"] == 0


def test_a_thousand_events_reopen_with_the_right_counts(open_journal: Opener, path: Path, clock: FakeClock) -> None:
    """Counts survive a process that ended without closing: they are written down now and then, and the rest is counted."""
    journal = open_journal()
    settle([journal.record(checkin(clock, number)) for number in range(1000)])
    journal.confirm(journal.bounds().epoch, 100)
    journal.maintain()
    settle([journal.record(audit(clock, number)) for number in range(50)])
    copy = path.with_name("copy.sqlite")
    for ending in ("", "-wal"):
        copy.with_name(copy.name + ending).write_bytes(path.with_name(path.name + ending).read_bytes())
    with closing(SqliteJournal(copy, section(), clock, FREEZE)) as other:
        assert other.bounds() == journal.bounds()
        assert other.previous_run == "unclean"
        assert other.waiting(0, 2000) == journal.waiting(0, 2000)
        settle([other.record(checkin(clock, 1))])
        assert chained(other.waiting(1045, 10), start=other_digest(other, 1045))


def other_digest(journal: SqliteJournal, seq: int) -> str:
    """The digest of the body at a number."""
    prev = parsed(journal.waiting(seq, 1)[0])["data"]["prev"]
    assert isinstance(prev, str)
    return prev


def test_subjects_are_hexadecimal_text(clock: FakeClock) -> None:
    """The keyed hashes of these tests look like those of the gate."""
    assert re.fullmatch(r"[0-9a-f]{64}", subject(5))
    assert checkin(clock, 5).data["subject"] == subject(5)
