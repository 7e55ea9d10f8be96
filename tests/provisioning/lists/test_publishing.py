"""A badge is revoked: the list goes to the site's gates by the real broker, and a gate's own fetcher takes it."""

from __future__ import annotations

import json
import queue
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from device.core import identity, wire
from device.core.types import ClockReading, SubjectClass
from device.edges.keys.trust_files import Signs, load_province
from device.edges.lists.fetch import Ask, ListFetcher
from device.edges.lists.installed import GateList
from device.workbench.broker import LOOPBACK, MosquittoProcess, free_port
from provisioning.authority.keys import Purpose
from provisioning.badges.batch import revoke
from provisioning.broker import mosquitto
from provisioning.cli import main
from provisioning.registry.tables import Badge, Gate, GateState
from tests.edges.lists.test_fetch import HOUR_NS, LIMIT_S, Clock
from tests.provisioning.broker.clients import Client
from tests.provisioning.broker.clients import gate as at_broker
from tests.provisioning.enrolment_kit import PHRASE, Province, province, run


@pytest.fixture
def town(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Province]:
    """A province at work, in the tool's own folder."""
    for name, value in {"HOME": str(tmp_path), "PASSPHRASE": PHRASE, "LANG": "en"}.items():
        monkeypatch.setenv(f"GATE_PROVISION_{name}", value)
    one = province(tmp_path)
    with one.brokers():
        yield one
    one.registry.close()


class Now(Clock):
    """The machine's own time."""

    def reading(self) -> ClockReading:
        """All clocks, known."""
        return ClockReading(self.monotonic_ns(), 1, time.time_ns(), "b", trusted=True)


def badges(town: Province, gate: Gate, count: int) -> list[str]:
    """So many badges of the gate's site."""
    now = datetime.now(UTC)
    with town.registry.change() as session:
        for number in range(count):
            end = now + timedelta(days=100)
            told = {"label": f"Thử {number}", "role": 0, "zone": 0, "issued": now, "expires": end, "revoked": None, "reason": ""}
            session.add(Badge(subject=f"{number:016x}", site=gate.site, **told))
    return [f"{number:016x}" for number in range(count)]


def publish(town: Province, gate: Gate, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """By the command."""
    papers = town.papers("desk")
    capsys.readouterr()
    words = ["list", "publish", "--site", gate.site, "--cert", str(papers.cert), "--key", str(papers.key), "--yes", "--json"]
    assert main(words) == 0, capsys.readouterr().err
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    return told


def retained(town: Province, gate: Gate) -> dict[str, bytes]:
    """What the broker holds for a gate."""
    found: dict[str, bytes] = {}
    with at_broker(town, gate.id, f"gates/v1/{gate.id}/down/#") as client:
        for message in client.messages():
            found[message.topic] = message.payload
    return found


def test_a_revoked_badge_reaches_the_gate(town: Province, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And only revoked ones; the second version comes as a change."""
    gate = town.gate(GateState.ENROLLED)
    issued = badges(town, gate, 300)
    site_key = town.authority.site_keys(PHRASE)(gate.site)
    assert main(["badge", "revoke", issued[0], "--reason", "mất thẻ", "--yes"]) == 0
    assert publish(town, gate, capsys) == {"name": "revoked", "version": 1, "count": 1, "gates": [gate.id]}

    held: dict[str, bytes] = {}
    told: queue.SimpleQueue[wire.AuditFact] = queue.SimpleQueue()
    one = GateList("revoked", tmp_path / "lists", ageing_ns=24 * HOUR_NS, stale_ns=168 * HOUR_NS)
    known = load_province(town.authority.folder / "public" / "province.pem", Signs.LISTS)

    def ask(asked: Ask) -> None:
        if asked.wanted and asked.topic in held:
            fetcher.arrived(asked.topic.rpartition("/")[2], held[asked.topic])

    fetcher = ListFetcher(gate.id, {"revoked": one}, known, Now(), ask=ask, tell=told.put)
    fetcher.start()
    before = 0
    try:
        for version, count in ((1, 1), (2, 201)):
            if version == 2:
                for subject in issued[1:201]:
                    revoke(town.registry, subject, "đổi thẻ")
                assert publish(town, gate, capsys)["count"] == count
                before = fetcher.fetched_bytes
            held.update(retained(town, gate))
            fetcher.online(connected=True)
            fetcher.announced(gate.id, "revoked", held[wire.down(gate.id, "list", "revoked")])
            assert told.get(timeout=LIMIT_S) == wire.ListFate(name="revoked", version=version, status="applied")
            assert one.manifest is not None
            assert one.manifest.version == version
            assert one.members is not None
            assert len(one.members) == count
            for number in (0, 1, 200, 201, 299):
                listed = bytes.fromhex(identity.subject(site_key, SubjectClass.BADGE, issued[number])) in one.members
                assert listed is (number < count)
        assert fetcher.fetched_bytes - before == 4 + 200 * 16
    finally:
        fetcher.close()


def test_a_version_of_which_somebody_may_have_heard_is_not_given_again(town: Province, capsys: pytest.CaptureFixture[str]) -> None:
    """The broker goes away: the next run gives the next number, and from then on the one after."""
    gate = town.gate(GateState.ENROLLED)
    papers = town.papers("desk")
    with town.registry.change() as session:
        from provisioning.registry.tables import Site  # noqa: PLC0415 - this test alone changes a site

        site = session.get(Site, gate.site)
        assert site is not None
        site.broker_port = 1
    words = ["list", "publish", "--site", gate.site, "--cert", str(papers.cert), "--key", str(papers.key), "--yes"]
    assert main(words) == 2
    assert f"E174: The broker {LOOPBACK}:1 has not taken all of it: connection_refused" in capsys.readouterr().err
    with town.registry.change() as session:
        again = session.get(Site, gate.site)
        assert again is not None
        again.broker_port = town.gates_port
    assert publish(town, gate, capsys)["version"] == 2
    assert publish(town, gate, capsys)["version"] == 3


def test_each_node_of_a_cluster_is_told(town: Province, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where nodes keep what is retained each for itself; one that cannot be reached is named."""
    gate = town.gate(GateState.ENROLLED)
    papers, etc, port = town.papers("desk"), tmp_path / "mosquitto", free_port()
    (tmp_path / "other").mkdir()
    (tmp_path / "kept").mkdir()
    other = MosquittoProcess(tmp_path / "other", port, mosquitto.gates(etc, port, tmp_path / "kept", LOOPBACK))
    words = ("list", "publish", "--site", gate.site, "--cert", str(papers.cert), "--key", str(papers.key), "--also")
    other.start()
    try:
        assert run(capsys, *words, f"{LOOPBACK}:{port}")["version"] == 1
        found = {}
        for at in (town.gates_port, port):
            with Client(at, town.papers(gate.id, Purpose.GATES), gate.id, (f"gates/v1/{gate.id}/down/#",)) as client:
                found[at] = sorted(message.topic for message in client.messages())
        assert found[port] == found[town.gates_port] != []
    finally:
        other.stop()
    assert f"{LOOPBACK}:{port}" in run(capsys, *words, f"{LOOPBACK}:{port}", code=2)["message"]
    assert run(capsys, *words, "host:x", code=2)["error"] == "E133"


def test_what_is_not_there_is_named(town: Province, capsys: pytest.CaptureFixture[str]) -> None:
    """A badge that nobody issued; a site that has no gate to tell."""
    assert main(["badge", "revoke", "00", "--reason", "x", "--yes"]) == 2
    assert "E172" in capsys.readouterr().err
    gate = town.gate(GateState.PLANNED)
    assert main(["list", "publish", "--site", gate.site, "--cert", "x", "--key", "y", "--yes"]) == 2
    assert "E173" in capsys.readouterr().err
    (subject,) = badges(town, gate, 1)
    for _ in range(2):
        assert main(["badge", "revoke", subject, "--reason", "mất thẻ", "--yes"]) == 0
    assert town.registry.badge(subject).reason == "mất thẻ"
