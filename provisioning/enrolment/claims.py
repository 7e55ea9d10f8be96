"""What goes onto a card: the single-use claim, the gate's configuration, and the province's signature over all that is no secret."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import func, select, update

from device.core import wire
from device.edges.certificate.enrol import CLAIM_CERT, CLAIM_KEY, CONFIG, MANIFEST, PROVINCE, ROOT
from provisioning.authority.authority import ROOT_FILE, TRUST_FILE, Authority
from provisioning.authority.certificates import BEHIND, leaf, pem
from provisioning.authority.keys import Purpose
from provisioning.common import times
from provisioning.common.errors import Refused
from provisioning.common.signing import signed
from provisioning.places.site_policy import DEFAULT_POLICY
from provisioning.places.wiring import signals_lines
from provisioning.registry.gates import BOARDS
from provisioning.registry.registry import Registry
from provisioning.registry.tables import Certificate, Claim, ClaimState, Gate, GateState, Site

CLAIM_DAYS: Final = 14
"""A card that was not put into a gate by then is worth nothing."""


@dataclass(frozen=True, slots=True)
class Enrolment:
    """Where new gates ask for their certificates."""

    host: str
    port: int


def configuration(site: Site, gate: Gate, enrolment: Enrolment) -> str:
    """The gate's configuration as TOML; what the site's policy says follows as it was written."""
    lines = [
        "[gate]",
        f"id = {_text(gate.id)}",
        f"site = {_text(site.id)}",
        f"lane = {_text(gate.lane)}",
        f"direction = {_text(gate.direction)}",
        "",
        "[eye]",
        'socket = "/run/gate/eye/eye.sock"',
        "",
        "[camera]",
        'source = "picamera2"',
        "",
        "[signals]",
        f"chip = {_text(BOARDS[gate.board])}",
        *signals_lines(gate),
        "",
        "[privacy]",
        'site_key = "credential:gate.site-key"',
        'seal_to = "seal.pem"',
        f"purpose = {_text(site.purpose)}",
        f"legal_basis = {_text(site.legal_basis)}",
        "",
        "[trust]",
        'province = "province.pem"',
        'keys = "trust.json"',
        "",
        "[broker]",
        f"host = {_text(site.broker_host)}",
        f"port = {site.broker_port}",
        'ca = "root.pem"',
        'cert = "credential:gate.cert"',
        'key = "credential:gate.key"',
        "",
        "[enrolment]",
        f"host = {_text(enrolment.host)}",
        f"port = {enrolment.port}",
        "",
        site.policy.strip() or DEFAULT_POLICY,
    ]
    return "\n".join(lines).rstrip() + "\n"


def bundle(
    registry: Registry,
    authority: Authority,
    gate: Gate,
    enrolment: Enrolment,
    passphrase: str,
    now: datetime | None = None,
    *,
    setup: Mapping[str, bytes] | None = None,
) -> Mapping[str, bytes]:
    """The files of a gate's card, by name, with a new claim; every older claim of the gate is void from now on.

    ``setup`` is what the first boot reads beside the bundle; the bundle vouches for it too.

    Raises Refused like the registry and the authority, E150 for a gate that is gone for good, and E189 for a
    revoked one with a certificate that has not ended.
    """
    if gate.state == GateState.DECOMMISSIONED:
        raise Refused("E150", id=gate.id)
    if gate.state == GateState.REVOKED:
        _refuse_while_certified(registry, gate.id)
    now = times.now() if now is None else now
    expires = now + timedelta(days=CLAIM_DAYS)
    name = f"{wire.CLAIM_PREFIX}{gate.id}-{secrets.token_hex(4)}"
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = authority.certificate(Purpose.CLAIMS)
    made = leaf(name, key.public_key(), issuer, authority.issuer_key(Purpose.CLAIMS, passphrase), (now - BEHIND, expires))
    public = {ROOT: ROOT_FILE, **{one: one for one in (PROVINCE, "seal.pem", TRUST_FILE)}}
    files = {name: authority.public(one) for name, one in public.items()}
    files |= {CONFIG: configuration(registry.site(gate.site), gate, enrolment).encode(), CLAIM_CERT: pem(made, issuer)}
    told = {
        "type": "vn.gate.bundle.v1",
        "gate": gate.id,
        "claim": name,
        "issued": times.on_the_wire(now),
        "expires": times.on_the_wire(expires),
        "enrol_host": enrolment.host,
        "enrol_port": enrolment.port,
        "files": _digests(files),
        "setup": _digests(setup or {}),
    }
    manifest = signed(told, authority.signer(Purpose.ORDERS, passphrase))
    own = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    row = Claim(name=name, gate=gate.id, state=ClaimState.OPEN, issued=now, expires=expires, key="", chain="", board="")
    with registry.change() as session:
        session.execute(update(Claim).where(Claim.gate == gate.id, Claim.state != ClaimState.BURNT).values(state=ClaimState.VOID))
        session.add(row)
    # The manifest comes last: a card without it is not finished.
    return {**files, CLAIM_KEY: own, MANIFEST: manifest}


def _digests(files: Mapping[str, bytes]) -> dict[str, str]:
    return {name: hashlib.sha256(content).hexdigest() for name, content in sorted(files.items())}


def _refuse_while_certified(registry: Registry, gate: str) -> None:
    """The broker's list knows names, not certificates: with a new card, whoever took the old one would be let in again."""
    with registry.change() as session:
        ends = session.scalar(select(func.max(Certificate.ends)).where(Certificate.gate == gate))
    if ends is not None and times.aware(ends) > datetime.now(UTC):
        raise Refused("E189", id=gate, date=f"{ends:%Y-%m-%d}")


def _text(text: str) -> str:
    """A TOML basic string; JSON's escapes are TOML's, but for the slash, which JSON does not escape by itself."""
    return json.dumps(text, ensure_ascii=False)
