"""The record of who opened what: before it is opened, after it has ended, and a chain that shows what was changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from sqlalchemy import text

from provisioning.common.errors import Refused
from provisioning.unsealing import trail
from tests.provisioning.unsealing.desk_kit import Desk

REASON = "Công văn 12/SYT"


def verbs(desk: Desk) -> list[str]:
    """Of all rows."""
    return [row.verb for row in trail.rows(desk.registry)]


def test_the_beginning_stands_there_before_anything_is_done(desk: Desk) -> None:
    """And the end with what came of it."""
    seen: list[list[str]] = []

    def do() -> Mapping[str, Any]:
        seen.append(verbs(desk))
        return {"count": 3}

    assert trail.opened(desk.registry, "tech", "unseal", REASON, {"site": "s1"}, do) == {"count": 3}
    assert seen == [["unseal begins"]]
    begun, ended = trail.rows(desk.registry)
    assert (begun.facts, ended.verb, ended.facts, ended.who, ended.reason) == (
        '{"site":"s1"}',
        "unseal ends",
        '{"count":3}',
        "tech",
        REASON,
    )


def test_what_breaks_off_stands_there_as_failed(desk: Desk) -> None:
    """An interrupt too, and it goes on."""

    def do() -> Mapping[str, Any]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trail.opened(desk.registry, "tech", "contacts", REASON, {}, do)
    assert verbs(desk) == ["contacts begins", "contacts fails"]


def test_without_a_durable_row_nothing_is_done(desk: Desk) -> None:
    """E205."""
    with desk.registry.change() as session:
        session.execute(text("CREATE TRIGGER no_record BEFORE INSERT ON unsealings BEGIN SELECT RAISE(ABORT, 'no'); END"))
    done: list[str] = []

    def do() -> Mapping[str, Any]:
        done.append("opened")
        return {}

    with pytest.raises(Refused, match="E205"):
        trail.opened(desk.registry, "tech", "unseal", REASON, {}, do)
    assert done == []


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ("UPDATE unsealings SET who = 'x' WHERE number = 2", 2),
        ("UPDATE unsealings SET facts = '{}' WHERE number = 3", 3),
        ("DELETE FROM unsealings WHERE number = 1", 2),
        ("DELETE FROM unsealings WHERE number = 4", None),
    ],
)
def test_the_first_row_that_is_not_what_was_written_is_found(desk: Desk, change: str, fault: int | None) -> None:
    """That the newest were taken off shows only to whoever noted them elsewhere."""
    for number in range(4):
        assert trail.note(desk.registry, "tech", "unseal begins", REASON, {"n": number}) == number + 1
    assert trail.first_fault(trail.rows(desk.registry)) is None
    with desk.registry.change() as session:
        session.execute(text(change))
    assert trail.first_fault(trail.rows(desk.registry)) == fault


def test_a_row_that_is_missing_is_found_even_where_the_rest_was_chained_anew(desk: Desk) -> None:
    """Numbers are given without a gap."""
    for _ in range(3):
        trail.note(desk.registry, "tech", "unseal begins", REASON, {})
    _, *rest = trail.rows(desk.registry)
    before = ""
    for row in rest:
        row.digest = before = trail.digest_of(row, before)
    assert trail.first_fault(rest) == 2
