"""A gate's next certificate: asked for when a third of the old one's life is over, with a key of its own, and tried before it is used.

It runs beside the gate's program, as root, because the program itself may not
change its keys. A power cut at any step leaves the old pair or the new one.
"""

from __future__ import annotations

import base64
import logging
import random
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from device import config as configuration
from device.config import GateConfig
from device.core import wire
from device.core.pacing import Backoff
from device.edges.broker.tls import TlsFiles
from device.edges.certificate.enrol import CONFIG, ROOT
from device.edges.certificate.exchange import (
    CERT,
    KEY,
    SITE_KEY,
    ask,
    chain_in,
    finish_swap,
    keep_chain,
    keep_new_key,
    line_to,
    request_of,
    say,
    site_key_in,
    swap,
    until_done,
)
from device.edges.keys.signer import Signer, load_signing_key
from device.edges.machine.files import replace_durably
from device.edges.orders.by_camera import CERTIFICATE
from device.errors import ConfigError, EnrolmentRefused, KeyUnusable

log = logging.getLogger(__name__)

SHARE: Final = 3
"""A certificate is renewed when one part in so many of its life is over: day 30 of 90."""
PAST: Final = "gate.certs-past.pem"
"""Certificates that were in use before: events signed in their time are verified with them."""
PAST_LIMIT: Final = 8
RETRY_MIN_S: Final = 5.0
RETRY_MAX_S: Final = 300.0


@dataclass(frozen=True, slots=True)
class Renewed:
    """What came of it. ``done`` is False where it was not due."""

    gate: str
    ends: datetime
    done: bool


def renew(etc: Path, store: Path, wait_s: float, *, now_s: float | None = None, early: bool = False) -> Renewed:
    """Renew when it is due, or ``early``. Tries until ``wait_s`` has passed.

    Raises EnrolmentRefused where the province refuses or does not answer in time, ConfigError, KeyUnusable.
    """
    finish_swap(store)
    config = configuration.load(etc / CONFIG)
    used = _in_use(config, store)
    now_s = time.time() if now_s is None else now_s
    start_s, end_s = used[0].not_valid_before_utc.timestamp(), used[0].not_valid_after_utc.timestamp()
    if not early and now_s < start_s + (end_s - start_s) / SHARE:
        return Renewed(config.gate.id, used[0].not_valid_after_utc, done=False)
    backoff = Backoff(RETRY_MIN_S, RETRY_MAX_S, random.uniform)
    ends = until_done(lambda: _attempt(config, etc, store, used), backoff, wait_s, f"{config.gate.id}: not renewed yet")
    return Renewed(config.gate.id, ends, done=True)


def _attempt(config: GateConfig, etc: Path, store: Path, used: list[x509.Certificate]) -> datetime:
    gate, place = config.gate.id, config.enrolment
    if place is None:
        raise ConfigError(f"{etc / CONFIG}: enrolment: without it the certificate cannot be renewed")
    showing = store / f"{CERT}.used"
    replace_durably(showing, b"".join(one.public_bytes(serialization.Encoding.PEM) for one in used), mode=0o644)
    old = TlsFiles(etc / ROOT, showing, store / KEY)
    key = _next_key(store)
    with line_to(place.host, place.port, old, gate) as talk:
        csr = request_of(gate, key)
        proof = Signer(store / KEY).sign(wire.RENEWAL_PROOF + csr)
        answer = ask(talk, gate, wire.EnrolRequest(gate=gate, phase="request", csr=base64.b64encode(csr).decode(), proof=proof))
    _keep_roots(etc, answer)
    chain = chain_in(etc / ROOT, gate, key, answer)
    site_key = site_key_in(gate, key, answer)
    keep_chain(store, chain)
    new = TlsFiles(etc / ROOT, store / f"{CERT}.new", store / f"{KEY}.new")
    with line_to(place.host, place.port, new, gate) as talk:
        say(talk, gate, wire.EnrolRequest(gate=gate, phase="done"))
    replace_durably(store / SITE_KEY, site_key.encode(), mode=0o600)
    _remember(etc, used[0])
    swap(store)
    showing.unlink()
    log.info("the certificate of %s is renewed, valid until %s", gate, chain[0].not_valid_after_utc.date())
    return chain[0].not_valid_after_utc


def _next_key(store: Path) -> ec.EllipticCurvePrivateKey:
    """The one of an attempt before, or a new one: to the same request comes the same answer."""
    path = store / f"{KEY}.new"
    if path.exists():
        # One that was torn by a power cut was never asked with.
        with suppress(KeyUnusable):
            found = load_signing_key(path)
            if isinstance(found, ec.EllipticCurvePrivateKey):
                return found
    return keep_new_key(store)


def _in_use(config: GateConfig, store: Path) -> list[x509.Certificate]:
    """The chain for the key in use that lasts longest: beside the key, or come by camera. Raises KeyUnusable."""
    key = load_signing_key(store / KEY).public_key()
    chains = []
    for path in (store / CERT, config.trust.commissioned / CERTIFICATE):
        with suppress(OSError, ValueError):
            chain = x509.load_pem_x509_certificates(path.read_bytes())
            if chain[0].public_key() == key:
                chains.append(chain)
    if not chains:
        raise KeyUnusable(f"{store / CERT}: no certificate for the key beside it")
    return max(chains, key=lambda chain: chain[0].not_valid_after_utc)


def _keep_roots(etc: Path, answer: wire.EnrolAnswer) -> None:
    """The roots that count now. They come from the province, which the old root vouched for."""
    if not answer.roots:
        return
    try:
        roots = [x509.load_der_x509_certificate(base64.b64decode(one, validate=True)) for one in answer.roots]
    except ValueError as error:
        raise EnrolmentRefused(f"{answer.gate}: a root that came cannot be read: {error}") from error
    pem = b"".join(root.public_bytes(serialization.Encoding.PEM) for root in roots)
    if pem != (etc / ROOT).read_bytes():
        replace_durably(etc / ROOT, pem, mode=0o644)
        log.warning("the province has %d roots now", len(roots))


def _remember(etc: Path, used: x509.Certificate) -> None:
    path = etc / PAST
    kept = x509.load_pem_x509_certificates(path.read_bytes()) if path.exists() else []
    if used not in kept:
        pem = [one.public_bytes(serialization.Encoding.PEM) for one in [*kept, used][-PAST_LIMIT:]]
        replace_durably(path, b"".join(pem), mode=0o644)
