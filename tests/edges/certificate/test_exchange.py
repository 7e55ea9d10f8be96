"""Request and answer: only what is right, for this gate, key and root, is taken."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from device.core import wire
from device.edges.certificate.exchange import chain_in, site_key_in
from device.errors import EnrolmentRefused
from tests.provisioning.enrolment.requests import a_request, new_key
from tests.provisioning.enrolment_kit import Province, province


@pytest.mark.parametrize("fault", ["key", "name", "root", "site key"])
def test_an_answer_that_is_not_right_is_refused_by_the_gate(town: Province, tmp_path: Path, fault: str) -> None:
    """A worker in the wrong hands cannot give it another's name, another authority or another key."""
    gate = town.gate()
    places = town.places(gate)
    key, other = new_key(), new_key()
    manifest = wire.read(wire.Bundle, (places.card / "bundle.json").read_bytes())
    assert isinstance(manifest, wire.Bundle)
    good = town.desk().answer(manifest.claim, a_request(gate.id, key))
    assert good is not None
    chain_in(places.card / "root.pem", gate.id, key, good)
    root = places.card / "root.pem"
    if fault == "root":
        (tmp_path / "other").mkdir()
        stranger = province(tmp_path / "other", stranger=True)
        root = stranger.authority.folder / "public" / "root.pem"
        stranger.registry.close()
    own, name = (other if fault in {"key", "site key"} else key), ("gother" if fault == "name" else gate.id)
    look = partial(site_key_in, name) if fault == "site key" else partial(chain_in, root, name)
    with pytest.raises(EnrolmentRefused):
        look(own, good)
