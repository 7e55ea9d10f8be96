"""The search for one person's contacts: at each place by its own hash, with a look before the span, and without the person."""

from __future__ import annotations

from datetime import timedelta

import pytest

from device.core import identity
from device.core.types import SubjectClass
from provisioning.authority.authority import Authority
from provisioning.unsealing.opening import OPENED
from provisioning.unsealing.search import Found, Search, look, named, subjects
from tests.provisioning.unsealing.desk_kit import DAY, HOUR, PHRASE, A, B, C, Desk


def found(desk: Desk, start: timedelta = HOUR, least_s: float = 600.0) -> Found:
    """The contacts of A at both places from an hour of the day on."""
    asked = {site.id: subjects(desk.site_key(site.id), A) for site in (desk.school, desk.bus)}
    return look(desk.events, Search(asked, least_s, 4 * 3600), DAY + start, DAY + timedelta(days=1))


def test_a_number_is_looked_for_as_any_document(desk: Desk) -> None:
    """Nobody says of which it is; blanks around it are none of it."""
    key = desk.site_key(desk.school.id)
    assert subjects(key, f" {A} ") == {identity.subject(key, kind, A) for kind in SubjectClass}


def test_who_came_before_the_span_and_stayed_is_met_in_it(desk: Desk) -> None:
    """And whoever had left before it began is not."""
    for number, way, at in ((A, "in", 0.25), (B, "in", 0.5), (C, "in", 0.3), (C, "out", 0.9), (B, "out", 2.0), (A, "out", 3.0)):
        desk.pass_by(number, way, at * HOUR)
    met = found(desk)
    assert met.count == 1
    assert [contact.subject for contact in met.met[desk.school.id]] == [
        identity.subject(desk.site_key(desk.school.id), SubjectClass.CITIZEN, B)
    ]


@pytest.mark.parametrize(("least_s", "count"), [(1800.0, 1), (1802.0, 0)])
def test_how_long_two_have_to_share_is_asked_for(desk: Desk, least_s: float, count: int) -> None:
    """Half an hour, and half a second of doubt at either end."""
    for number, way, at in ((A, "in", 2.0), (B, "in", 2.0), (B, "out", 2.5), (A, "out", 3.0)):
        desk.pass_by(number, way, at * HOUR)
    assert found(desk, least_s=least_s).count == count


def test_a_contact_is_named_by_a_check_in_that_can_be_opened(desk: Desk, authority: Authority) -> None:
    """Another of the same person's may be spoilt."""
    desk.pass_by(A, "in", 2 * HOUR)
    desk.pass_by(B, "in", 2 * HOUR, data={"sealed": "AAAA"})
    desk.pass_by(B, "out", 3 * HOUR)
    ((site, _, who),) = named(found(desk), authority.sealing_key(PHRASE))
    assert (site, who.how, who.facts[1]) == (desk.school.id, OPENED, B)
