"""The report as one page: nothing of a person, nothing from elsewhere, and nothing that a gate could break."""

from __future__ import annotations

from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path

from provisioning.fleet import known, page, rows, sheet, summary
from provisioning.registry.registry import Registry
from provisioning.registry.tables import GateState
from tests.provisioning.fleet.fleet_kit import HEALTH, NOW, SPAN, SUBJECT, gate, heard, report


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
