"""Orders by camera: one gate's, signed, for one use and a day at most; a site's key only to the gate's own."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from device.core.commissioning import SITE_KEY_INFO, CameraOrder, order_of, token_of
from device.edges.keys.trust_files import Province
from provisioning.authority.certificates import issuing, leaf
from provisioning.common.errors import Refused
from provisioning.registry import issued
from provisioning.registry.registry import Registry
from provisioning.registry.tables import Claim, ClaimState, Gate, GateState
from provisioning.remote.by_camera import Maker
from tests.provisioning.registry.rows import a_gate, a_site

NOW = datetime(2026, 11, 27, 6, 0, tzinfo=UTC)
KEY = Ed25519PrivateKey.generate()
OWN = ec.generate_private_key(ec.SECP256R1())
SUITE = hpke.Suite(hpke.KEM.P256, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_128_GCM)


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[tuple[Registry, Gate]]:
    """An enrolled gate whose key the registry knows."""
    registry, site = Registry(f"sqlite:///{tmp_path / 'registry.sqlite'}"), a_site()
    registry.add(site)
    gate = a_gate(site, GateState.ENROLLED)
    registry.add(gate)
    valid = (NOW, NOW + timedelta(days=90))
    above = issuing("x", OWN.public_key(), "x", OWN, valid, path_length=0)
    issued.keep(registry, gate.id, [leaf(gate.id, OWN.public_key(), above, OWN, valid)])
    yield registry, gate
    registry.close()


def maker(kept: tuple[Registry, Gate], hours: int = 24) -> Maker:
    """Of orders for the gate."""
    return Maker(kept[0], KEY, kept[1], NOW, hours)


def read(text: str) -> CameraOrder:
    """As a gate does that knows the province's key."""
    token = token_of(text.encode())
    assert Province((KEY.public_key(),)).signed(token)
    return order_of(token)


def test_a_gate_without_a_button_takes_no_order_before_its_camera(kept: tuple[Registry, Gate]) -> None:
    """E198: nobody could open the window in which it is read."""
    kept[1].kit = "basic"
    with pytest.raises(Refused, match="E198"):
        maker(kept).place("7", "out")


@pytest.mark.parametrize("hours", [1, 24])
def test_an_order_is_for_one_gate_and_so_many_hours(kept: tuple[Registry, Gate], hours: int) -> None:
    """Two that say the same are two orders: each counts once."""
    one, other = (read(maker(kept, hours).place("7", "out")) for _ in range(2))
    assert (one.gate, one.issued_s, one.expires_s) == (kept[1].id, int(NOW.timestamp()), int(NOW.timestamp()) + hours * 3600)
    assert one.place is not None
    assert (one.place.lane, one.place.direction, one.place.site) == ("7", "out", None)
    assert one.id != other.id


def test_the_key_of_another_site_is_sealed_to_this_gate_for_that_site(kept: tuple[Registry, Gate]) -> None:
    """Whoever photographs the page has nothing."""
    text = maker(kept).place("1", "in", "s1234", b"k" * 32)
    place = read(text).place
    assert place is not None
    assert place.site_key is not None
    assert SUITE.decrypt(place.site_key, OWN, SITE_KEY_INFO + f"{kept[1].id}/s1234".encode()) == b"k" * 32


@pytest.mark.parametrize(("state", "board"), [(ClaimState.BURNT, "10000000abcd"), (ClaimState.VOID, None)])
def test_an_order_names_the_board_that_enrolled(kept: tuple[Registry, Gate], state: ClaimState, board: str | None) -> None:
    """A card that was moved into another board takes no order of this one; a claim that came to nothing tells no board."""
    registry, gate = kept
    with registry.change() as session:
        session.add(Claim(name="c", gate=gate.id, state=state, issued=NOW, expires=NOW, key="", chain="", board="10000000abcd"))
    assert read(maker(kept).place("1", "in")).board == board


def test_a_gate_that_holds_no_certificate_is_told_nothing(kept: tuple[Registry, Gate]) -> None:
    """E180; and no key is sealed to one whose key nobody knows, E181."""
    registry, gate = kept
    other = a_gate(registry.site(gate.site), GateState.ENROLLED)
    registry.add(other)
    with pytest.raises(Refused, match="E181"):
        Maker(registry, KEY, other, NOW, 24).place("1", "in", "s1234", b"k" * 32)
    registry.move(gate.id, GateState.REVOKED)
    with pytest.raises(Refused, match="E180"):
        Maker(registry, KEY, registry.gate(gate.id), NOW, 24).place("1", "in")
