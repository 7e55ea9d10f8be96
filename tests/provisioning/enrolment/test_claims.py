"""What goes onto a card, and who gets none."""

from __future__ import annotations

import tomllib
from datetime import UTC, datetime, timedelta

import pytest

from provisioning.common.errors import Refused
from provisioning.enrolment.claims import Enrolment
from provisioning.registry.tables import Certificate, GateState
from tests.provisioning.enrolment_kit import Province


def test_a_gate_that_is_gone_gets_no_card(town: Province) -> None:
    """E150."""
    with pytest.raises(Refused, match="E150"):
        town.files(town.gate(GateState.DECOMMISSIONED))


def test_a_revoked_gate_gets_no_card_while_its_old_one_is_good(town: Province) -> None:
    """E189: the broker's list knows names only. When the certificate has ended there is nobody to let in."""
    gate = town.gate(GateState.REVOKED)
    assert town.files(gate), "it never had a certificate"
    starts, ends = datetime.now(UTC) - timedelta(days=89), datetime.now(UTC) + timedelta(days=1)
    with town.registry.change() as session:
        session.add(Certificate(serial="1a", gate=gate.id, starts=starts, ends=ends, pem=""))
    with pytest.raises(Refused, match="E189"):
        town.files(gate)
    with town.registry.change() as session:
        session.get_one(Certificate, "1a").ends = datetime.now(UTC) - timedelta(seconds=1)
    assert town.files(gate)


def test_a_site_that_is_called_like_toml_stays_text(town: Province) -> None:
    """Quotes, backslashes and line ends in names that people typed."""
    from provisioning.enrolment.claims import configuration as written  # noqa: PLC0415 - the gate's own module has this name here

    gate = town.gate()
    site = town.site(gate)
    site.purpose = 'a"b\\c\t[gate]\nid = "x"'
    assert tomllib.loads(written(site, gate, Enrolment("e.example.org", 8884)))["privacy"]["purpose"] == site.purpose
