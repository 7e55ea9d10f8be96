"""Lists over bad lines: the bytes that came are kept, and nothing is in force that was not signed whole."""

from __future__ import annotations

import base64
import random
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from device.core import wire
from device.core.hash_lists import snapshot
from device.core.types import ClockReading
from device.edges.lists import fetch, installed
from device.edges.lists.fetch import Ask, ListFetcher
from device.edges.lists.installed import GateList
from provisioning.lists.list_release import Release, release
from tests.desk import Desk
from tests.edges.https_kit import shelf

GATE = "gate-07"
NOW_S = 1_800_000_000
DESK = Desk()
HOUR_NS = 3_600_000_000_000
LIMIT_S = 60.0
"""Only a gate that never answers is waited for so long."""


class Clock:
    """The time of the tests, and a monotonic clock that can be pushed on."""

    def __init__(self) -> None:
        self.ahead_ns = 0
        self.stride_ns = 0

    def monotonic_ns(self) -> int:
        """Monotonic time, a stride later each time that it is asked."""
        self.ahead_ns += self.stride_ns
        return time.monotonic_ns() + self.ahead_ns

    def reading(self) -> ClockReading:
        """All clocks, known."""
        return ClockReading(self.monotonic_ns(), 1, NOW_S * 10**9, "b", trusted=True)


def sign(body: bytes) -> str:
    """The province's signature."""
    return base64.b64encode(DESK.key.sign(body)).decode()


def person(number: int) -> bytes:
    """A keyed hash."""
    return number.to_bytes(4, "big") * 8


def people(count: int, first: int = 0) -> list[bytes]:
    """So many keyed hashes, in no order."""
    return [person((number * 2_654_435_761) % 2**32) for number in range(first, first + count)]


def made(count: int, version: int, older: dict[int, bytes] | None = None, url: str | None = None, **changes: int) -> Release:
    """A version of a list of the first so many."""
    valid = (changes.get("issued_s", NOW_S - 100), changes.get("expires_s", NOW_S + 86_400))
    return release(sign, people(count), name="staff", version=version, valid_s=valid, older=older, url=url)


class Line:
    """A broker that keeps what it was given, behind a line that can be cut."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.retained: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.facts: list[wire.AuditFact] = []
        self.cut_after = -1
        self.clock = Clock()
        self._news = threading.Condition()
        self.begin()

    def begin(self) -> None:
        """A gate's program starts."""
        self.one = GateList("staff", self.folder, ageing_ns=24 * HOUR_NS, stale_ns=168 * HOUR_NS)
        self.one.load(DESK.province)
        self.fetcher = ListFetcher(GATE, {"staff": self.one}, DESK.province, self.clock, ask=self.ask, tell=self.tell)
        self.fetcher.start()

    def tell(self, fact: wire.AuditFact) -> None:
        """The gate records something."""
        with self._news:
            self.facts.append(fact)
            self._news.notify_all()

    def until(self, reached: Callable[[], object]) -> None:
        """Wait for something that the gate asks for or records."""
        with self._news:
            assert self._news.wait_for(reached, LIMIT_S), "not in time"

    def ask(self, ask: Ask) -> None:
        """The gate wants to hear a topic: what is retained there comes, unless the line is cut."""
        if not ask.wanted:
            return
        with self._news:
            self.asked.append(ask.topic)
            here = self.cut_after != 0
            self.cut_after -= here
            if here and (content := self.retained.get(ask.topic)) is not None:
                self.fetcher.arrived(ask.topic.rpartition("/")[2], content)
            self._news.notify_all()

    def offer(self, offered: Release, *, connect: bool = True) -> None:
        """The province publishes a version, and the gate hears of it."""
        self.retained.update(offered.messages())
        if connect:
            self.fetcher.online(connected=True)
        self.fetcher.announced(offered.gate, offered.name, offered.manifest)

    def fates(self) -> list[tuple[int | None, str, str | None]]:
        """What was recorded."""
        return [(fact.version, fact.status, fact.reason) for fact in self.facts if isinstance(fact, wire.ListFate)]

    def version(self) -> int:
        """The version in force."""
        return 0 if self.one.manifest is None else self.one.manifest.version

    def applied(self, version: int) -> bool:
        """Whether a version is in force and recorded: the second comes a moment after the first."""
        return self.version() == version and (version, "applied", None) in self.fates()


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    """A gate with no list yet."""
    one = Line(tmp_path)
    yield one
    one.fetcher.close()


def test_a_list_comes_in_parts_and_is_in_force_when_all_are_there(line: Line) -> None:
    """Each part is asked for by itself, and before the last one no list is in force."""
    line.offer(made(10_000, 1))
    line.until(lambda: line.applied(1))
    members = line.one.members
    assert members is not None
    assert len(members) == 10_000
    assert all(subject in members for subject in people(100))
    assert person(7) not in members
    assert len(line.asked) == 5
    assert line.fates() == [(1, "applied", None)]


def test_a_change_is_fetched_instead_of_the_whole_list(line: Line) -> None:
    """Where the gate holds the version that it is from."""
    line.offer(made(10_000, 1))
    line.until(lambda: line.applied(1))
    before = line.fetcher.fetched_bytes
    line.offer(made(10_010, 2, {1: snapshot(people(10_000))}))
    line.until(lambda: line.applied(2))
    assert line.fetcher.fetched_bytes - before == 4 + 10 * 16
    assert line.one.members is not None
    assert len(line.one.members) == 10_010


def test_a_change_that_does_not_fit_is_made_up_for_by_the_whole_list(line: Line) -> None:
    """The province was wrong about what version 1 held."""
    line.offer(made(1_000, 1))
    line.until(lambda: line.applied(1))
    line.offer(made(1_010, 2, {1: snapshot(people(1_005))}))
    line.until(lambda: line.applied(2))
    assert line.one.members is not None
    assert len(line.one.members) == 1_010


def test_fifty_cuts_and_restarts_lose_no_part_that_came(line: Line) -> None:
    """Each byte is fetched once, whatever happens in between."""
    offered = made(200_000, 1)
    chance = random.Random(5)  # noqa: S311 - the same cuts each time
    fetched = 0
    for _ in range(50):
        line.cut_after = chance.randint(0, 3)
        asked = len(line.asked)
        line.offer(offered)
        line.until(lambda: line.cut_after == 0 or line.version() == 1)
        line.until(lambda asked=asked: len(line.asked) > asked or line.version() == 1)  # type: ignore[misc]  # bound as a default
        line.fetcher.online(connected=False)
        if chance.random() < 0.3:
            line.fetcher.close()
            fetched += line.fetcher.fetched_bytes
            line.begin()
    line.cut_after = -1
    line.offer(offered)
    line.until(lambda: line.applied(1))
    assert fetched + line.fetcher.fetched_bytes == 200_000 * 16
    assert line.one.members is not None
    assert len(line.one.members) == 200_000


def test_a_torn_part_is_fetched_again(line: Line) -> None:
    """As a power cut in the middle of a write leaves it."""
    offered = made(10_000, 1)
    line.cut_after = 2
    line.offer(offered)
    line.until(lambda: line.cut_after == 0 and len(line.asked) == 3)
    line.fetcher.close()
    (partial_file,) = line.one.folder.glob("*.part")
    partial_file.write_bytes(partial_file.read_bytes()[:-5])
    line.begin()
    line.cut_after = -1
    line.offer(offered)
    line.until(lambda: line.applied(1))


@pytest.mark.parametrize(
    ("offered", "reason"),
    [
        (made(5, 1), "old_version"),
        (made(6, 2), "version_reused"),
        (made(5, 3, expires_s=NOW_S), "expired"),
    ],
)
def test_old_reused_and_expired_versions_are_refused(line: Line, offered: Release, reason: str) -> None:
    """The list in force stays, over a restart too."""
    line.offer(made(5, 2))
    line.until(lambda: line.applied(2))
    offered_version = 1 if reason == "old_version" else 2 if reason == "version_reused" else 3
    for _ in range(2):
        line.offer(offered)
        line.until(lambda: (offered_version, "rejected", reason) in line.fates())
        assert line.version() == 2
        line.fetcher.close()
        line.facts.clear()
        line.begin()


def test_foreign_unsigned_and_unknown_manifests_are_refused(line: Line) -> None:
    """Each once, however often it comes."""
    good = made(5, 1)
    for _ in range(20):
        line.fetcher.announced(GATE, "staff", good.manifest)
        line.fetcher.announced(wire.ALL, "staff", good.manifest.replace(b'"version":1', b'"version":9'))
        line.fetcher.announced(wire.ALL, "staff", b"{}")
        line.fetcher.announced(wire.ALL, "other", good.manifest)
    line.until(lambda: len(line.fates()) == 4)
    assert {fate[2] for fate in line.fates()} == {"foreign", "unsigned", "malformed", "not_named"}
    assert line.version() == 0


def test_parts_of_a_broker_that_lies_never_come_into_force(line: Line) -> None:
    """Wrong bytes of the right length are found by the digest, others at once; the true ones then count."""
    line.offer(made(100, 1))
    line.until(lambda: line.applied(1))
    true = made(5_000, 2)
    lies = {topic: bytes(len(content)) for topic, content in true.messages() if "/part/" in topic}
    line.retained.update(lies)
    line.fetcher.announced(wire.ALL, "staff", true.manifest)
    line.until(lambda: (2, "rejected", "wrong_digest") in line.fates())
    assert line.version() == 1
    line.retained.update(dict.fromkeys(lies, b"short"))
    asked = len(line.asked)
    line.fetcher.announced(wire.ALL, "staff", true.manifest)
    # When it asks again, the short part has been looked at.
    line.fetcher.online(connected=True)
    line.until(lambda: len(line.asked) == asked + 2)
    assert line.version() == 1
    line.offer(true)
    line.until(lambda: line.applied(2))


def test_a_full_card_leaves_the_old_list_and_is_tried_again(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody has to send anything again."""
    line.offer(made(10, 1))
    line.until(lambda: line.applied(1))

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(fetch, "_write_at", full)
        line.offer(made(20, 2))
        line.until(lambda: (2, "rejected", "storage") in line.fates())
        assert line.version() == 1
    line.clock.ahead_ns += 61 * 10**9
    line.until(lambda: line.applied(2))
    with monkeypatch.context() as patch:
        patch.setattr(installed, "replace_durably", full)
        line.offer(made(30, 3))
        line.until(lambda: (3, "rejected", "storage") in line.fates())
        assert line.version() == 2
    line.clock.ahead_ns += 61 * 10**9
    line.until(lambda: line.applied(3))


def test_a_newer_version_overtakes_one_on_its_way(line: Line) -> None:
    """What was fetched of the old one is swept away."""
    line.cut_after = 1
    line.offer(made(10_000, 1))
    line.until(lambda: len(line.asked) == 2)
    line.cut_after = -1
    line.offer(made(3, 2))
    line.until(lambda: line.applied(2))
    assert len(list(line.one.folder.iterdir())) == 2


def test_an_empty_list_comes_too(line: Line) -> None:
    """There is nothing to fetch of it."""
    line.offer(made(0, 1))
    line.until(lambda: line.applied(1))
    assert line.one.members is not None
    assert len(line.one.members) == 0


# ----------------------------------------------------------------- HTTPS


@pytest.mark.parametrize("ranges", [True, False])
def test_a_list_comes_over_https_and_goes_on_where_it_broke_off(tmp_path: Path, ranges: bool) -> None:  # noqa: FBT001 - a parameter of the case
    """A server that knows ranges sends each byte once; another one begins again."""
    blobs: dict[str, bytes] = {}
    with shelf(tmp_path, blobs, [50_000, 70_000, 0], ranges=ranges) as (url, ca):
        context = ssl.create_default_context(cafile=str(ca))
        offered = made(10_000, 1, url=url)
        blobs.update(offered.blobs)
        line = Line(tmp_path / "lists")
        line.fetcher.close()
        line.fetcher = ListFetcher(
            GATE, {"staff": line.one}, DESK.province, line.clock, ask=line.ask, tell=line.tell, context=lambda: context
        )
        line.clock.stride_ns = 61 * 10**9
        line.fetcher.start()
        line.fetcher.announced(wire.ALL, "staff", offered.manifest)
        line.until(lambda: line.applied(1))
        line.fetcher.close()
        assert line.asked == []
        whole = 10_000 * 16
        # What came of a part that was torn is fetched again.
        assert line.fetcher.fetched_bytes <= whole + (2 * fetch.PART_BYTES if ranges else 120_000)


def test_https_of_another_authority_is_refused(tmp_path: Path) -> None:
    """No byte is fetched from a server whose authority is not known."""
    blobs: dict[str, bytes] = {}
    with shelf(tmp_path, blobs, []) as (url, _):
        offered = made(10, 1, url=url)
        blobs.update(offered.blobs)
        line = Line(tmp_path / "lists")
        line.fetcher.announced(wire.ALL, "staff", offered.manifest)
        # What was announced is fetched before the fetcher is closed.
        line.fetcher.close()
        assert (line.version(), line.fetcher.fetched_bytes) == (0, 0)


def test_a_manifest_that_would_be_too_large_is_not_made() -> None:
    """A gate would refuse it, so the province is told before it is signed."""
    with pytest.raises(ValueError, match="name fewer older versions"):
        made(10, 99, {version: snapshot(people(version)) for version in range(1, 40)})


def test_topics_of_parts_stay_in_their_tree() -> None:
    """The topic of a part lies under its gate, and what it names is read back."""
    topic = wire.parse_topic(wire.part(GATE, "ab" * 32, 17))
    assert topic is not None
    assert (topic.gate, topic.kind, topic.name) == (GATE, "part", "ab" * 16 + "-17")
    assert wire.parse_topic(wire.part(wire.ALL, "ab" * 32, 0)) is not None
    assert partial(wire.part, GATE, "ab" * 32)(0).startswith(f"gates/v1/{GATE}/down/part/")
