"""The certificates that gates were given, as rows."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from provisioning.authority.certificates import issuing, leaf
from provisioning.common import times
from provisioning.common.errors import Refused
from provisioning.registry import issued
from provisioning.registry.registry import Registry
from provisioning.registry.tables import Certificate, GateState
from tests.provisioning.registry.rows import a_gate, a_site

NOW = datetime(2026, 11, 27, 6, 0, tzinfo=UTC)
ROOT = ec.generate_private_key(ec.SECP256R1())
ABOVE = issuing("root", ROOT.public_key(), "root", ROOT, (NOW, NOW + timedelta(days=900)), path_length=0)


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[tuple[Registry, str]]:
    """A registry, and a gate in it."""
    registry, site = Registry(f"sqlite:///{tmp_path / 'registry.sqlite'}"), a_site()
    registry.add(site)
    gate = a_gate(site, GateState.ENROLLED)
    registry.add(gate)
    yield registry, gate.id
    registry.close()


def chain(gate: str, day: int) -> tuple[ec.EllipticCurvePublicKey, list[x509.Certificate]]:
    """A certificate from a day on, for a new key."""
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    start = NOW + timedelta(days=day)
    return key, [leaf(gate, key, ABOVE, ROOT, (start, start + timedelta(days=90))), ABOVE]


def test_a_row_tells_from_when_until_when_and_holds_the_whole_chain(kept: tuple[Registry, str]) -> None:
    """So that the same request gets the same answer."""
    registry, gate = kept
    _, made = chain(gate, 3)
    issued.keep(registry, gate, made)
    with registry.change() as session:
        row = session.get_one(Certificate, f"{made[0].serial_number:x}")
    assert (times.aware(row.starts), times.aware(row.ends)) == (NOW + timedelta(days=3), NOW + timedelta(days=93))
    assert x509.load_pem_x509_certificates(row.pem.encode()) == made


def test_the_newest_certificate_tells_the_gates_key(kept: tuple[Registry, str]) -> None:
    """By when it begins, not by when it was noted; E181 where there is none."""
    registry, gate = kept
    with pytest.raises(Refused, match="E181"):
        issued.newest_key(registry, gate)
    newer, made = chain(gate, 30)
    issued.keep(registry, gate, made)
    issued.keep(registry, gate, chain(gate, 0)[1])
    assert issued.newest_key(registry, gate) == newer
