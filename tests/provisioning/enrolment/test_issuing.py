"""Who issues gates' certificates: one way, and what comes out of it a gate takes."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from device.edges.keys.certificate_chain import BadChain, check_chain_to
from provisioning.authority.keys import Purpose
from provisioning.common import times
from provisioning.common.errors import Refused
from provisioning.enrolment.issuing import DAYS, FilesIssuer
from tests.provisioning.enrolment_kit import PHRASE, Province

KEY = ec.generate_private_key(ec.SECP256R1()).public_key()


def test_a_gate_takes_what_is_issued_for_its_name_and_its_key(town: Province) -> None:
    """By the check that it makes itself; for nobody else."""
    chain = FilesIssuer.of(town.authority, PHRASE).issue("g1", KEY)
    now_s = times.now().timestamp()
    check_chain_to(town.authority.roots(), "g1", KEY, chain, now_s)
    with pytest.raises(BadChain):
        check_chain_to(town.authority.roots(), "g2", KEY, chain, now_s)
    assert chain[1] == town.authority.certificate(Purpose.GATES)


@pytest.mark.parametrize("days", [DAYS, 2])
def test_a_certificate_begins_an_hour_ago_and_is_good_for_so_many_days(town: Province, days: int) -> None:
    """A gate's clock may be behind; by camera it may be asked for less."""
    before = times.now()
    made = FilesIssuer.of(town.authority, PHRASE, days).issue("g1", KEY)[0]
    assert timedelta() <= made.not_valid_before_utc + timedelta(hours=1) - before <= timedelta(minutes=1)
    assert made.not_valid_after_utc - made.not_valid_before_utc == timedelta(days=days, hours=1)


def test_without_its_key_nothing_is_issued(town: Province, tmp_path: Path) -> None:
    """E141, and E142 for a wrong passphrase."""
    with pytest.raises(Refused, match="E142"):
        FilesIssuer.of(town.authority, PHRASE + "x")
    (town.authority.folder / "gates.key.pem").rename(tmp_path / "safe.pem")
    with pytest.raises(Refused, match="E141"):
        FilesIssuer.of(town.authority, PHRASE)
