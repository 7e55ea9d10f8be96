"""Orders from afar: what an operator may ask for, and the message that a gate obeys."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from device.core import wire
from device.core.orders import LIFE_S, Order
from device.edges.keys.trust_files import Province
from provisioning.common.errors import Refused
from provisioning.remote import orders

KEY = Ed25519PrivateKey.generate()
GATE = Province((KEY.public_key(),))


@pytest.mark.parametrize("order", Order)
def test_a_gate_reads_each_order_and_it_ends_after_its_own_time(order: Order) -> None:
    """Signed, for this gate, with its arguments."""
    name, body = orders.command("gate-07", order, {"why": "thử"}, KEY)
    found = GATE.read(wire.Command, body)
    assert isinstance(found, wire.Command), found
    assert (found.gate, found.id, found.name, found.args) == ("gate-07", name, str(order), {"why": "thử"})
    assert wire.seconds_of(found.expires) - wire.seconds_of(found.issued) == LIFE_S[order]


def test_no_order_is_given_the_name_of_another() -> None:
    """A gate carries each name out once."""
    assert orders.command("gate-07", Order.IDENTIFY, {}, KEY)[0] != orders.command("gate-07", Order.IDENTIFY, {}, KEY)[0]


def test_a_gate_is_not_wiped_by_an_order_that_somebody_typed() -> None:
    """E133 names what can be asked; taking a gate down does it."""
    with pytest.raises(Refused) as refused:
        orders.asked("wipe")
    assert "identify" in str(refused.value.facts["why"])
    assert "wipe" not in str(refused.value.facts["why"])
    with pytest.raises(Refused, match="E133"):
        orders.asked("dance")
    assert orders.asked("send-log") is Order.SEND_LOG


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("per_s=7", {"per_s": 7}),
        ("epoch=none", {"epoch": "none"}),
        ("flag=true", {"flag": True}),
        ('text="7"', {"text": "7"}),
        ("url=https://x/?a=b", {"url": "https://x/?a=b"}),
        ("empty=", {"empty": ""}),
    ],
)
def test_a_value_that_is_json_is_meant_so_and_any_other_is_text(given: str, meant: dict[str, Any]) -> None:
    """Numbers need no quotes, and a number that is text has them."""
    assert orders.arguments([given]) == meant


@pytest.mark.parametrize("given", ["nothing", "=7", ""])
def test_what_is_no_argument_is_refused(given: str) -> None:
    """E133."""
    with pytest.raises(Refused, match="E133"):
        orders.arguments([given])
