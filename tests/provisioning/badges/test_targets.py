"""The four test codes: a gate takes the good one, and refuses the others each for its own reason."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from device.core.credentials import parse
from device.core.credentials.trust import KeyUse
from device.core.reasons import Reason
from device.core.types import Credential, Rejection
from provisioning.authority.creation import BADGE_KID
from provisioning.badges.targets import DAYS, EXPIRED, FOREIGN, GOOD, REVOKED, Targets, targets
from tests.core.credentials.signed_kit import trust
from tests.provisioning.registry.rows import a_site

NOW = datetime(2026, 11, 27, 6, 0, tzinfo=UTC)
KEY = Ed25519PrivateKey.generate()
GATE = trust((KeyUse.BADGES, bytes([BADGE_KID]), KEY.public_key()))


@pytest.fixture(scope="module")
def made() -> Targets:
    """One set."""
    return targets(a_site(), KEY, {GOOD: "mã tốt", REVOKED: "mã đã thu hồi"}, NOW)


@pytest.mark.parametrize(("name", "ends"), [(GOOD, timedelta(days=DAYS)), (REVOKED, timedelta(days=DAYS)), (EXPIRED, timedelta(days=-1))])
def test_three_are_the_provinces_own_and_one_of_them_is_over(made: Targets, name: str, ends: timedelta) -> None:
    """A gate believes their signature, and sees until when they are good."""
    found = parse(made.codes[name].encode(), None, GATE)
    assert isinstance(found, Credential)
    assert found.claim is not None
    assert found.claim.not_after_s == int((NOW + ends).timestamp())


def test_the_fourth_is_signed_by_nobody_whom_a_gate_knows(made: Targets) -> None:
    """It looks like the others."""
    found = parse(made.codes[FOREIGN].encode(), None, GATE)
    assert isinstance(found, Rejection)
    assert found.reason is Reason.UNKNOWN_ISSUER


def test_the_registry_knows_the_good_one_and_the_revoked_one(made: Targets) -> None:
    """By the numbers in the codes, so that the next list of the site names the revoked one."""
    numbers = [parse(made.codes[name].encode(), None, GATE) for name in (GOOD, REVOKED)]
    assert [row.subject for row in made.rows] == [one.number for one in numbers if isinstance(one, Credential)]
    assert [(row.label, row.revoked) for row in made.rows] == [("mã tốt", None), ("mã đã thu hồi", NOW)]
