"""What goes onto a card, and who gets none."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest

from device.config import parse
from device.core import wire
from provisioning.common.errors import Refused
from provisioning.enrolment.claims import Enrolment, configuration
from provisioning.places.site_policy import DEFAULT_POLICY
from provisioning.places.wiring import Door, Fitting, Kit, PowerLoss, fitted
from provisioning.registry.gates import BOARDS, planned
from provisioning.registry.tables import Certificate, Claim, ClaimState, GateState
from tests.provisioning.enrolment_kit import Province
from tests.provisioning.registry.rows import a_site


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
    gate = town.gate()
    site = town.site(gate)
    site.purpose = 'a"b\\c\t[gate]\nid = "x"'
    assert tomllib.loads(configuration(site, gate, Enrolment("e.example.org", 8884)))["privacy"]["purpose"] == site.purpose


@pytest.mark.parametrize("board", BOARDS)
@pytest.mark.parametrize("kit", Kit)
@pytest.mark.parametrize(("door", "power_loss"), [(Door.NONE, None), (Door.RELAY, PowerLoss.OPEN), (Door.RELAY, PowerLoss.LOCKED)])
def test_a_card_says_what_hangs_where_and_a_gate_takes_it(board: str, kit: Kit, door: Door, power_loss: PowerLoss | None) -> None:
    """The gate's own check of the whole configuration; it then knows the fitted parts at the table's pins, and no others."""
    site, fitting = a_site(), Fitting(kit, door, power_loss)
    text = configuration(site, planned(site, "1", "in", board, fitting), Enrolment("e.example.org", 8884))
    found = parse(tomllib.loads(text), "card").signals
    assert (found.kit, found.chip) == (kit, BOARDS[board])
    assert found.pins() == {part.name: part.bcm for part in fitted(fitting)}


def test_a_newer_card_voids_the_older_one_and_a_burnt_claim_stays_burnt(town: Province) -> None:
    """Of one gate alone."""
    gate, other = town.gate(), town.gate()
    names = [read(town.files(gate)).claim for _ in range(2)]
    foreign = read(town.files(other)).claim
    with town.registry.change() as session:
        session.get_one(Claim, names[1]).state = ClaimState.BURNT
    names.append(read(town.files(gate)).claim)
    with town.registry.change() as session:
        states = [session.get_one(Claim, name).state for name in (*names, foreign)]
    assert states == [ClaimState.VOID, ClaimState.BURNT, ClaimState.OPEN, ClaimState.OPEN]


def test_the_manifest_vouches_for_every_file_that_is_no_secret_and_comes_last(town: Province) -> None:
    """A card without it is not finished; the claim's key stands in no manifest."""
    files = town.files(town.gate())
    told = read(files).files
    assert {name: hashlib.sha256(files[name]).hexdigest() for name in told} == told
    assert set(files) - set(told) == {"claim.key.pem", "bundle.json"}
    assert list(files)[-1] == "bundle.json"


def test_a_card_says_the_sites_policy_as_it_was_written_or_the_one_of_all(town: Province) -> None:
    """Comments too: a technician may read it."""
    gate = town.gate()
    site = town.site(gate)
    assert configuration(site, gate, Enrolment("e", 1)).endswith(DEFAULT_POLICY + "\n")
    site.policy = "[policy]\n# vì sao\ncapacity = 4\n"
    assert configuration(site, gate, Enrolment("e", 1)).endswith("\n\n[policy]\n# vì sao\ncapacity = 4\n")


def read(files: Mapping[str, bytes]) -> wire.Bundle:
    """The manifest of a card."""
    found = wire.read(wire.Bundle, files["bundle.json"])
    assert isinstance(found, wire.Bundle)
    return found
