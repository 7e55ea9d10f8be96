"""The report of all gates: figures counted by hand, nothing of a person, nothing from elsewhere, and nothing that a gate could break."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pypdfium2
import pytest

from device.core.problems import HEAT, LIMITS, SPACE
from provisioning.cli import main
from provisioning.fleet import known, page, rows, sheet, summary
from provisioning.fleet.known import Known
from provisioning.province.event_store import SqliteStore
from provisioning.registry.registry import Registry
from provisioning.registry.tables import Certificate, Gate, GateState
from tests.provisioning.registry.rows import a_gate, a_site

NOW = datetime(2026, 11, 27, 3, 30, tzinfo=UTC)
SPAN = (NOW - timedelta(days=2), NOW)
SUBJECT = "ab" * 32


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    """Empty."""
    made = Registry(f"sqlite:///{tmp_path / 'registry.sqlite'}")
    yield made
    made.close()


def gate(registry: Registry, state: GateState, days: float | None = 80, name: str = "Trường Hoa Phượng") -> Gate:
    """One at a site of its own, with a certificate that lasts so long."""
    site = a_site(name=name)
    registry.add(site)
    made = a_gate(site, state)
    registry.add(made)
    if days is not None:
        ends = NOW + timedelta(days=days)
        with registry.change() as session:
            session.add(Certificate(serial=made.id, gate=made.id, starts=ends - timedelta(days=90), ends=ends, pem=""))
    return made


def heard(path: Path, *words: tuple[str, str, timedelta, Any], passages: tuple[tuple[str, str | None], ...] = ()) -> Path:
    """The collector's file: gate, kind, how long ago, content; and passages by time and direction."""
    SqliteStore(path).close()
    with closing(sqlite3.connect(path)) as store, store:
        for name, kind, ago, content in words:
            body = content if isinstance(content, bytes) else json.dumps(content).encode()
            store.execute("INSERT INTO latest VALUES (?, ?, ?, ?)", (f"gates/v1/{name}/up/{kind}", name, (NOW - ago).isoformat(), body))
        for number, (moment, way) in enumerate(passages):
            body = json.dumps({"data": {"direction": way, "subject": SUBJECT}}).encode()
            row = ("g", "e", number, str(number), "vn.gate.checkin.v1", moment, moment, "", None, body)
            store.execute("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
    return path


def report(registry: Registry, events: Path | None) -> summary.Figures:
    """Its summary."""
    return summary.figures(known.read(registry, events, SPAN), NOW, timedelta(hours=24))


HEALTH = {"version": "0.1.0", "clock": "synced", "decisions": 90, "unreadable": {"blurred": 8, "glare": 2}, "disk_free_bytes": 8 << 30}


def test_the_figures_are_those_that_one_counts_by_hand(registry: Registry, tmp_path: Path) -> None:
    """Seven gates, each with a fate of its own."""
    planned = gate(registry, GateState.PLANNED, None)
    good, gone, mute, ending, ended = (gate(registry, GateState.IN_SERVICE, days) for days in (80, 70, 50, 13, -1))
    revoked = gate(registry, GateState.REVOKED)
    hour, week = timedelta(hours=1), timedelta(days=7)
    events = heard(
        tmp_path / "events.sqlite",
        (good.id, "health", hour, HEALTH),
        (good.id, "state", hour, {"online": True, "version": "0.1.0"}),
        (gone.id, "health", week, {**HEALTH, "decisions": 50, "unreadable": {"dark": 50}, "version": "0.0.9", "clock": "unsynced"}),
        # That a retained state was there says nothing of when the gate spoke.
        (mute.id, "state", hour, {"online": True}),
        (ending.id, "health", hour, {"disk_free_bytes": 1 << 20, "dead_letters": 1, "dropped": 3, "cpu_celsius": 85.5}),
        (ended.id, "hello", 25 * hour, {"version": "0.1.0"}),
        (revoked.id, "health", week, HEALTH),
        ("gstranger", "health", hour, {}),
        (planned.id, "health", hour, b"\xff{"),
        passages=(
            ("2026-11-26T23:10:00Z", "in"),
            ("2026-11-26T23:59:59.999Z", "in"),
            ("2026-11-26T23:59:00Z", "out"),
            ("2026-11-27T00:00:00Z", "out"),
            ("2026-11-27T00:00:01Z", None),
            ("2026-11-20T00:00:00Z", "in"),
        ),
    )
    found = report(registry, events)
    assert found.total == 7
    assert {state: count for state, count in found.states.items() if count} == {"planned": 1, "in-service": 5, "revoked": 1, "silent": 3}
    assert [one.id for one in found.silent] == [mute.id, gone.id, ended.id]
    assert found.versions == {"0.1.0": 3, "0.0.9": 1}
    assert found.bands == {"expired": 1, "days_14": 1, "days_30": 0, "days_60": 1, "days_more": 2}
    assert [one.id for one in found.ending] == [ended.id, ending.id]
    assert found.clocks == {"synced": 2, "unsynced": 1}
    assert (found.rates[0].gate.id, found.rates[0].share) == (gone.id, 0.5)
    assert found.share == pytest.approx(230 / 300)
    assert {moment.hour: pair for moment, pair in found.hours.items()} == {6: (2, 1), 7: (0, 1)}
    assert {name: [one.id for one in list_] for name, list_ in found.troubles.items()} == {name: [ending.id] for name in summary.TROUBLES}
    assert [one.id for one in found.strangers] == ["gstranger"]
    assert (found.damaged, found.heard) == (1, True)
    (commune,) = found.communes.values()
    assert (commune["in-service"], commune["silent"], commune["planned"]) == (5, 3, 1)


def test_from_the_registry_alone_nobody_is_called_silent(registry: Registry) -> None:
    """And the page says that it has no word of the gates."""
    gate(registry, GateState.IN_SERVICE)
    found = report(registry, None)
    assert found.states["silent"] == 0
    assert "Chỉ theo sổ" in page.page(found).decode()


class Reader(HTMLParser):
    """Collects what a browser would fetch or run."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.fetched: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """One element."""
        self.tags.append(tag)
        told = {name.rpartition(":")[2]: value or "" for name, value in attrs}
        self.fetched += [told[name] for name in ("src", "href", "data", "poster", "srcset") if not told.get(name, "#").startswith("#")]
        assert not [name for name in told if name.startswith("on")]


def test_the_page_needs_nothing_else_and_no_gate_can_break_it(registry: Registry, tmp_path: Path) -> None:
    """Names are people's, versions are gates': both may hold anything."""
    evil = '<script>alert("1")</script>&"\'{{7*7}}'
    one = gate(registry, GateState.IN_SERVICE, 5, evil)
    told = {
        **HEALTH,
        "version": evil,
        "clock": evil,
        "decisions": -1,
        "unreadable": [],
        "disk_free_bytes": True,
        "cpu_celsius": float("nan"),
    }
    words = tuple((name, kind, timedelta(days=3), told) for name in (one.id, evil) for kind in ("health", "hello"))
    events = heard(tmp_path / "events.sqlite", *words, (one.id, "state", timedelta(), [1]), (one.id, "audit", timedelta(), b"null"))
    found = report(registry, events)
    text = page.page(found).decode()
    reader = Reader()
    reader.feed(text)
    assert reader.fetched == []
    assert not {"script", "link", "iframe", "object", "img"} & set(reader.tags)
    assert "alert(&#34;1&#34;)" in text
    assert "url(" not in text.replace("url(#", "")
    assert "{{7*7}}" in text
    assert found.damaged == 2
    assert bytes(sheet.report(found).output()).startswith(b"%PDF")


def test_nothing_of_a_person_is_in_any_form_of_it(registry: Registry, tmp_path: Path) -> None:
    """Not even the keyed hash."""
    gate(registry, GateState.IN_SERVICE)
    events = heard(tmp_path / "events.sqlite", passages=(("2026-11-27T00:00:00Z", "in"),))
    read = known.read(registry, events, SPAN)
    found = summary.figures(read, NOW, timedelta(hours=24))
    whole = page.page(found) + rows.table(read, NOW, timedelta(hours=24)) + bytes(sheet.report(found).output())
    assert SUBJECT.encode() not in whole
    assert found.hours


def test_the_table_reads_back_and_calculates_nothing(registry: Registry, tmp_path: Path) -> None:
    """One row a gate, Vietnamese marks whole, and no formula."""
    one = gate(registry, GateState.IN_SERVICE, 80, "=1+1 Trường ẩm")
    events = heard(tmp_path / "events.sqlite", (one.id, "health", timedelta(hours=1), {**HEALTH, "version": "@x"}))
    content = rows.table(known.read(registry, events, SPAN), NOW, timedelta(hours=24))
    assert content.startswith(b"\xef\xbb\xbf")
    (row,) = csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline=""))
    assert (row["gate"], row["site_name"], row["version"]) == (one.id, "'=1+1 Trường ẩm", "'@x")
    assert (row["last_seen"], row["certificate_days"], row["decisions"], row["unreadable"]) == ("2026-11-27 09:30", "80", "90", "10")
    assert (row["silent"], row["disk_free_mib"]) == ("", "8192")


def test_the_document_has_three_pages_with_every_letter(registry: Registry, tmp_path: Path) -> None:
    """Two hundred silent gates do not run off the paper."""
    for number in range(60):
        gate(registry, GateState.IN_SERVICE, 5, f"Trung tâm Giáo dục Nghề nghiệp - Giáo dục Thường xuyên số {number}")
    found = report(registry, heard(tmp_path / "events.sqlite"))
    document = pypdfium2.PdfDocument(bytes(sheet.report(found).output()))
    try:
        assert len(document) == 3
        text = document[2].get_textpage().get_text_bounded()
        assert "Cổng im lặng" in text
        assert text.count("(report.csv)") == 2
        heights = [document[2].get_textpage().get_charbox(place)[1] for place in range(0, document[2].get_textpage().count_chars(), 20)]
        assert min(heights) > 20
    finally:
        document.close()


def test_the_command_writes_all_three_and_says_what_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file that is not the collector's is named, and nothing is written."""
    monkeypatch.setenv("GATE_PROVISION_HOME", str(tmp_path / "home"))
    (tmp_path / "no.sqlite").write_bytes(b"x" * 5000)
    words = ["fleet", "report", "--out", str(tmp_path / "out"), "--yes", "--json"]
    for path in (tmp_path / "no.sqlite", tmp_path / "none.sqlite"):
        assert main([*words, "--events", str(path)]) == 2
        assert json.loads(capsys.readouterr().err)["error"] == "E200"
    assert not (tmp_path / "out").exists()
    assert main([*words, "--events", str(heard(tmp_path / "events.sqlite"))]) == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["report.csv", "report.html", "report.pdf"]


@pytest.mark.parametrize(("state", "ago", "silent"), [("in-service", 23.9, False), ("in-service", 24.1, True), ("enrolled", 99, False)])
def test_silent_is_who_ought_to_speak_and_does_not(state: str, ago: float, *, silent: bool) -> None:
    """By the clock, to the minute."""
    known = Known("g", state=state, seen=NOW - timedelta(hours=ago))
    assert summary.is_silent(known, NOW, timedelta(hours=24)) is silent


@pytest.mark.parametrize(("figure", "field", "trouble"), [(SPACE, "disk_free_bytes", "disk"), (HEAT, "celsius", "hot")])
def test_the_report_calls_a_gate_unwell_from_the_same_limit_on_as_the_gate_itself(figure: str, field: str, trouble: str) -> None:
    """What a gate names on the spot the province names too, and nothing that it does not."""
    limit = LIMITS[figure]
    bad, good = (limit.warn, limit.warn - 1) if limit.high else (limit.warn - 1, limit.warn)
    gates = {name: Known(name, state=GateState.IN_SERVICE) for name in ("bad", "good", "mute")}
    for name, value in (("bad", bad), ("good", good)):
        setattr(gates[name], field, value)
    found = summary.figures(known.Facts(gates), NOW, timedelta(hours=24))
    assert [one.id for one in found.troubles[trouble]] == ["bad"]
