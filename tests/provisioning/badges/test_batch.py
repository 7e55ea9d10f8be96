"""A site's badges: what stands on them, how long they are good, and revoking them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy.exc import IntegrityError

from provisioning.badges import batch
from provisioning.badges.issuer import BadgeIssuer
from provisioning.common.errors import Refused
from provisioning.registry.registry import Registry
from provisioning.registry.tables import Badge, Site
from tests.provisioning.registry.rows import a_site

NOW = datetime(2026, 11, 27, 6, 0, tzinfo=UTC)
ISSUER = BadgeIssuer(Ed25519PrivateKey.generate(), 1)


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[tuple[Registry, Site]]:
    """A registry with one site."""
    registry, site = Registry(f"sqlite:///{tmp_path / 'registry.sqlite'}"), a_site()
    registry.add(site)
    yield registry, site
    registry.close()


def issued(site: Site, *names: str) -> list[Badge]:
    """Rows of so many badges."""
    return [row for row, _ in batch.issue(site, names, NOW + timedelta(days=30), 0, 0, ISSUER)]


def test_each_line_is_a_badge_and_an_empty_one_is_none(tmp_path: Path) -> None:
    """Blanks around it are none of it."""
    path = tmp_path / "staff.txt"
    path.write_text("  Nguyễn Văn Mẫu \n\n\nTrần Thị Mẫu\n", encoding="utf-8")
    assert batch.labels(path) == ["Nguyễn Văn Mẫu", "Trần Thị Mẫu"]


@pytest.mark.parametrize(("line", "fits"), [("M" * 60, True), ("M" * 61, False), ("a\x07b", False)])
def test_a_line_that_does_not_fit_a_badge_is_refused_with_its_number(tmp_path: Path, line: str, fits: bool) -> None:  # noqa: FBT001 - a parameter of the case
    """E170; what it holds is shown harmless."""
    path = tmp_path / "staff.txt"
    path.write_text(f"A\n{line}\n", encoding="utf-8")
    if fits:
        assert batch.labels(path) == ["A", line]
        return
    with pytest.raises(Refused) as refused:
        batch.labels(path)
    assert (refused.value.code, refused.value.facts["row"]) == ("E170", 2)
    assert str(refused.value.facts["text"]).isprintable()


def test_a_badge_ends_with_its_last_day_in_viet_nam() -> None:
    """At a second before midnight there; a day that is over there is refused even while it lasts in Greenwich."""
    assert batch.end_of("2026-12-31", NOW) == datetime(2026, 12, 31, 16, 59, 59, tzinfo=UTC)
    assert batch.end_of("2026-11-27", NOW) > NOW
    with pytest.raises(Refused, match="E171"):
        batch.end_of("2026-11-27", datetime(2026, 11, 27, 16, 59, 59, tzinfo=UTC))


@pytest.mark.parametrize("text", ["soon", "2026-11-26", "2031-11-27", "2026-02-30"])
def test_a_day_that_is_none_over_or_beyond_the_keys_life_is_refused(text: str) -> None:
    """E171."""
    with pytest.raises(Refused, match="E171"):
        batch.end_of(text, NOW)


def test_badges_are_kept_all_or_none(kept: tuple[Registry, Site]) -> None:
    """A number that was given before spoils the whole batch."""
    registry, site = kept
    first, second, third = issued(site, "A", "B", "C")
    batch.keep(registry, [first])
    third.subject = first.subject
    with pytest.raises(IntegrityError):
        batch.keep(registry, [second, third])
    assert [row.label for row in registry.badges(site.id)] == ["A"]


def test_revoking_twice_is_the_same_as_once(kept: tuple[Registry, Site]) -> None:
    """The first reason and the first time stay; a badge that nobody issued is named."""
    registry, site = kept
    rows = issued(site, "A", "B")
    batch.keep(registry, rows)
    batch.revoke(registry, rows[0].subject, "mất thẻ")
    when = registry.badge(rows[0].subject).revoked
    batch.revoke(registry, rows[0].subject, "gì khác")
    again = registry.badge(rows[0].subject)
    assert (again.reason, again.revoked) == ("mất thẻ", when)
    assert when is not None
    assert registry.badge(rows[1].subject).revoked is None
    with pytest.raises(Refused, match="E172"):
        batch.revoke(registry, "0" * 16, "x")


@pytest.mark.parametrize("reason", ["", "x" * 101, "hai\ndòng"])
def test_a_reason_is_one_line_that_fits_the_registry(reason: str) -> None:
    """E133; a hundred letters fit."""
    with pytest.raises(Refused, match="E133"):
        batch.checked_reason(reason)
    assert batch.checked_reason("x" * 100) == "x" * 100
