"""A gate's first boot: from the card's single-use claim to a certificate of its own, whose key never leaves the gate.

The steps, each of which may be cut off by a power cut and is taken up again:

1. the bundle on the card is whole, and signed by the province;
2. a P-256 key is made here and kept;
3. a request for a certificate goes to the province, over the claim's connection;
4. the certificate that comes is for this gate and this key, and leads to the province's root;
5. it is tried at the province's broker before it takes the old one's place;
6. the province hears that it works; claim and bundle are removed from the card.
"""

from __future__ import annotations

import base64
import hashlib
import logging
import os
import random
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from device import config as configuration
from device.core import wire
from device.core.pacing import Backoff
from device.edges.broker.short_talk import ShortTalk
from device.edges.broker.tls import TlsFiles
from device.edges.broker.values import Peer
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
from device.edges.keys.signer import load_signing_key
from device.edges.keys.trust_files import Signs, load_province
from device.edges.machine.files import read_plain, replace_durably, sync_folder
from device.edges.orders.by_camera import board_serial, forget
from device.errors import EnrolmentRefused, KeyUnusable

log = logging.getLogger(__name__)

MANIFEST: Final = "bundle.json"
CLAIM_CERT: Final = "claim.cert.pem"
CLAIM_KEY: Final = "claim.key.pem"
ROOT: Final = "root.pem"
PROVINCE: Final = "province.pem"
CONFIG: Final = "gate.toml"
INSTALLED: Final = (ROOT, PROVINCE, "seal.pem", "trust.json", CONFIG)
"""What goes from the card to the gate's own folder; the configuration last, because with it the gate is set up."""
RETRY_MIN_S: Final = 2.0
RETRY_MAX_S: Final = 60.0
_LIMIT_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Places:
    """``card``: the bundle; ``etc``: the gate's configuration; ``store``: its certificate and keys."""

    card: Path
    etc: Path
    store: Path


def enrol(places: Places, wait_s: float) -> str:
    """Do all of it, and return the gate's id; on a gate that is enrolled, nothing.

    Tries until ``wait_s`` has passed. Raises EnrolmentRefused for what waiting does not mend and
    when the time is over, KeyUnusable for a file that cannot be used.
    """
    if not (places.card / MANIFEST).exists() and (places.etc / CONFIG).exists():
        finish_swap(places.store)
        return configuration.load(places.etc / CONFIG).gate.id
    bundle = read_bundle(places)
    places.store.mkdir(parents=True, exist_ok=True, mode=0o700)
    places.etc.mkdir(parents=True, exist_ok=True)
    backoff = Backoff(RETRY_MIN_S, RETRY_MAX_S, random.uniform)
    until_done(lambda: _attempt(places, bundle), backoff, wait_s, f"{bundle.gate}: not enrolled yet")
    return bundle.gate


def read_bundle(places: Places) -> wire.Bundle:
    """The card's bundle. Raises EnrolmentRefused for one that is damaged, altered, foreign or too old; KeyUnusable for its keys."""
    card = places.card
    try:
        body = read_plain(card / MANIFEST, _LIMIT_BYTES)
    except (OSError, ValueError) as error:
        raise EnrolmentRefused(f"{card / MANIFEST}: {error}") from error
    # A gate that was set up before trusts only whom it trusted then: another card cannot make it somebody else's.
    known = places.etc / PROVINCE
    province = load_province(known if known.exists() else card / PROVINCE, Signs.ORDERS)
    bundle = wire.read(wire.Bundle, body)
    if isinstance(bundle, wire.Unreadable):
        raise EnrolmentRefused(f"{card / MANIFEST}: not a bundle: {bundle.where}")
    if not province.vouches(body):
        raise EnrolmentRefused(f"{card / MANIFEST}: the signature is not the province's")
    for name, digest in bundle.files.items():
        try:
            content = read_plain(card / Path(name).name, _LIMIT_BYTES)
        except (OSError, ValueError) as error:
            raise EnrolmentRefused(f"{card / name}: {error}") from error
        if hashlib.sha256(content).hexdigest() != digest:
            raise EnrolmentRefused(f"{card / name}: not what the province signed: the card is damaged or was altered")
    missing = [name for name in INSTALLED if name not in bundle.files]
    if missing:
        raise EnrolmentRefused(f"{card / MANIFEST}: it does not vouch for {missing[0]}")
    if time.time() > wire.seconds_of(bundle.expires):
        raise EnrolmentRefused(f"{card / MANIFEST}: the claim ended on {bundle.expires}")
    return bundle


def _attempt(places: Places, bundle: wire.Bundle) -> None:
    finish_swap(places.store)
    key = _own_key(places.store, bundle.claim)
    claim = TlsFiles(places.card / ROOT, places.card / CLAIM_CERT, places.card / CLAIM_KEY)
    with line_to(bundle.enrol_host, bundle.enrol_port, claim, bundle.claim) as talk:
        if key is not None:
            csr = base64.b64encode(request_of(bundle.gate, key)).decode()
            answer = ask(talk, bundle.claim, wire.EnrolRequest(gate=bundle.gate, phase="request", csr=csr, board=board_serial()))
            chain = chain_in(places.card / ROOT, bundle.gate, key, answer)
            site_key = site_key_in(bundle.gate, key, answer)
            _install(places, bundle, chain, site_key)
            _try_it(places)
            swap(places.store)
        say(talk, bundle.claim, wire.EnrolRequest(gate=bundle.gate, phase="done"))
    # What was told by camera was meant for the gate as it was before this card.
    forget(configuration.load(places.card / CONFIG).trust.commissioned)
    # Only now: until here a power cut leaves a card with which the gate begins again.
    replace_durably(places.etc / CONFIG, (places.card / CONFIG).read_bytes(), mode=0o644)
    shred(places.card)
    (places.store / f"{KEY}.claim").unlink(missing_ok=True)


def _own_key(store: Path, claim: str) -> ec.EllipticCurvePrivateKey | None:
    """The key made here for this claim, in this attempt or one before it. None when its certificate is in its place already."""
    growing, whose = store / f"{KEY}.new", store / f"{KEY}.claim"
    if whose.exists() and whose.read_text(encoding="ascii", errors="replace") == claim:
        if not growing.exists():
            return None
        # A key that cannot be read was torn by a power cut, before anything was asked with it: another one is made.
        with suppress(KeyUnusable):
            found = load_signing_key(growing)
            if isinstance(found, ec.EllipticCurvePrivateKey):
                return found
    made = keep_new_key(store)
    replace_durably(whose, claim.encode("ascii"), mode=0o600)
    return made


def _install(places: Places, bundle: wire.Bundle, chain: list[x509.Certificate], site_key: str) -> None:
    for name in INSTALLED:
        if name != CONFIG:
            replace_durably(places.etc / name, read_plain(places.card / name, _LIMIT_BYTES), mode=0o644)
    replace_durably(places.store / SITE_KEY, site_key.encode(), mode=0o600)
    keep_chain(places.store, chain)
    log.info("the certificate of %s is here, valid until %s", bundle.gate, chain[0].not_valid_after_utc.date())


def _try_it(places: Places) -> None:
    """Connect to the province's broker once with the new certificate. Raises TalkFailed."""
    config = configuration.load(places.card / CONFIG)
    tls = TlsFiles(places.etc / ROOT, places.store / f"{CERT}.new", places.store / f"{KEY}.new")
    broker = config.broker
    if broker is None:
        raise EnrolmentRefused(f"{places.card / CONFIG}: no [broker], so the new certificate cannot be tried")
    with ShortTalk(Peer(broker.host, broker.port, tls, config.gate.id, session_expiry_s=0)):
        log.info("%s:%d takes the new certificate", broker.host, broker.port)


def shred(card: Path) -> None:
    """Overwrite and remove the bundle. On flash the old bytes may linger; the claim is burnt in any case."""
    # The manifest last: as long as it is there, the next start goes on here.
    for name in (*INSTALLED, CLAIM_CERT, CLAIM_KEY, MANIFEST):
        path = card / name
        if path.is_file():
            with path.open("r+b") as file:
                file.write(b"\0" * path.stat().st_size)
                file.flush()
                os.fsync(file.fileno())
            path.unlink()
    sync_folder(card)
