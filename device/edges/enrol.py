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
import queue
import random
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self, TypeAlias, TypeVar

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from device import config as configuration
from device.core import broker_codes, wire
from device.core.pacing import Backoff
from device.edges.chain import check_chain
from device.edges.files import read_plain, replace_durably, sync_folder
from device.edges.mqtt_client import Connection
from device.edges.mqtt_values import Answered, Arrived, Connected, Ended, Event, Peer, Publication, Subscribed, Subscription
from device.edges.seal import SealBroken, open_sealed
from device.edges.signer import load_signing_key
from device.edges.tls import TlsFiles
from device.edges.trust import load_province
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
CERT: Final = "gate.cert"
KEY: Final = "gate.key"
SITE_KEY: Final = "gate.site-key"
ANSWER_S: Final = 30.0
RETRY_MIN_S: Final = 2.0
RETRY_MAX_S: Final = 60.0
_LIMIT_BYTES: Final = 1 << 20
_BOARD_SERIAL: Final = Path("/proc/device-tree/serial-number")

_Got: TypeAlias = "queue.SimpleQueue[Event]"
_EventT = TypeVar("_EventT", Connected, Subscribed, Answered, Arrived)


@dataclass(frozen=True, slots=True)
class Places:
    """``card``: the bundle; ``etc``: the gate's configuration; ``store``: its certificate and keys."""

    card: Path
    etc: Path
    store: Path


class _NotNow(Exception):
    """The line or the province is not ready: try again."""


def enrol(places: Places, wait_s: float) -> str:
    """Do all of it, and return the gate's id; on a gate that is enrolled, nothing.

    Tries until ``wait_s`` has passed. Raises EnrolmentRefused for what waiting does not mend and
    when the time is over, KeyUnusable for a file that cannot be used.
    """
    if not (places.card / MANIFEST).exists() and (places.etc / CONFIG).exists():
        _finish_swap(places.store)
        return configuration.load(places.etc / CONFIG).gate.id
    bundle = read_bundle(places)
    places.store.mkdir(parents=True, exist_ok=True, mode=0o700)
    places.etc.mkdir(parents=True, exist_ok=True)
    backoff = Backoff(RETRY_MIN_S, RETRY_MAX_S, random.uniform)
    end_s = time.monotonic() + wait_s
    while True:
        try:
            _attempt(places, bundle)
        except _NotNow as why:
            left_s = end_s - time.monotonic()
            if left_s <= 0:
                raise EnrolmentRefused(f"{bundle.gate}: not enrolled yet: {why}") from None
            log.warning("not enrolled yet: %s", why)
            time.sleep(min(backoff.next_s(), left_s))
        else:
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
    province = load_province(known if known.exists() else card / PROVINCE)
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
    _finish_swap(places.store)
    key = _own_key(places.store, bundle.claim)
    claim = TlsFiles(places.card / ROOT, places.card / CLAIM_CERT, places.card / CLAIM_KEY)
    with _Line(Peer(bundle.enrol_host, bundle.enrol_port, claim, bundle.claim, session_expiry_s=0), wire.enrol_down(bundle.claim)) as line:
        if key is not None:
            answer = _ask(line, bundle, _request(bundle.gate, key))
            chain = _certificate(places.card / ROOT, bundle.gate, key, answer)
            site_key = _site_key(bundle.gate, key, answer)
            _install(places, bundle, chain, site_key)
            _try_it(places)
            _swap(places.store)
        done = wire.EnrolRequest(gate=bundle.gate, phase="done")
        line.say(wire.enrol_up(bundle.claim), wire.encode(done))
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
    made = ec.generate_private_key(ec.SECP256R1())
    pem = made.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    replace_durably(growing, pem, mode=0o600)
    replace_durably(whose, claim.encode("ascii"), mode=0o600)
    return made


def _request(gate: str, key: ec.EllipticCurvePrivateKey) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, gate)])
    made = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    return made.public_bytes(serialization.Encoding.DER)


def _ask(line: _Line, bundle: wire.Bundle, csr: bytes) -> wire.EnrolAnswer:
    asked = wire.EnrolRequest(gate=bundle.gate, phase="request", csr=base64.b64encode(csr).decode(), board=_board())
    line.say(wire.enrol_up(bundle.claim), wire.encode(asked))
    digest = hashlib.sha256(csr).hexdigest()
    end_s = time.monotonic() + ANSWER_S
    while (left_s := end_s - time.monotonic()) > 0:
        answer = wire.read(wire.EnrolAnswer, line.hear(left_s))
        if isinstance(answer, wire.Unreadable) or answer.gate != bundle.gate or answer.csr != digest:
            continue
        if answer.status == "refused":
            raise EnrolmentRefused(f"{bundle.gate}: the province refuses: {answer.reason or 'without a reason'}")
        return answer
    raise _NotNow("the province does not answer")


def _certificate(root: Path, gate: str, key: ec.EllipticCurvePrivateKey, answer: wire.EnrolAnswer) -> list[x509.Certificate]:
    """The chain in an answer, when it is for this gate and key and leads to the root. Raises EnrolmentRefused."""
    try:
        chain = [x509.load_der_x509_certificate(base64.b64decode(one, validate=True)) for one in answer.chain]
        check_chain(root, gate, key.public_key(), chain, time.time())
    except ValueError as error:
        raise EnrolmentRefused(f"{gate}: the certificate that came: {error}") from error
    return chain


def _site_key(gate: str, key: ec.EllipticCurvePrivateKey, answer: wire.EnrolAnswer) -> str:
    try:
        opened = open_sealed(key, answer.site_key or "", wire.SITE_KEY_INFO + gate.encode())
    except SealBroken as error:
        raise EnrolmentRefused(f"{gate}: the site's key cannot be opened: {error}") from error
    if len(opened) != 32:  # noqa: PLR2004 - bytes of a site's key
        raise EnrolmentRefused(f"{gate}: the site's key has {len(opened)} bytes, not 32")
    return opened.hex()


def _install(places: Places, bundle: wire.Bundle, chain: list[x509.Certificate], site_key: str) -> None:
    for name in INSTALLED:
        if name != CONFIG:
            replace_durably(places.etc / name, read_plain(places.card / name, _LIMIT_BYTES), mode=0o644)
    pem = b"".join(one.public_bytes(serialization.Encoding.PEM) for one in chain)
    replace_durably(places.store / SITE_KEY, site_key.encode(), mode=0o600)
    replace_durably(places.store / f"{CERT}.new", pem, mode=0o644)
    log.info("the certificate of %s is here, valid until %s", bundle.gate, chain[0].not_valid_after_utc.date())


def _try_it(places: Places) -> None:
    """Connect to the province's broker once with the new certificate. Raises _NotNow."""
    config = configuration.load(places.card / CONFIG)
    tls = TlsFiles(places.etc / ROOT, places.store / f"{CERT}.new", places.store / f"{KEY}.new")
    broker = config.broker
    if broker is None:
        raise EnrolmentRefused(f"{places.card / CONFIG}: no [broker], so the new certificate cannot be tried")
    with _Line(Peer(broker.host, broker.port, tls, config.gate.id, session_expiry_s=0), None):
        log.info("%s:%d takes the new certificate", broker.host, broker.port)


def _swap(store: Path) -> None:
    """The new pair takes the old one's place: the key first, and ``_finish_swap`` does the rest after a power cut."""
    (store / f"{KEY}.new").replace(store / KEY)
    sync_folder(store)
    _finish_swap(store)


def _finish_swap(store: Path) -> None:
    growing = store / f"{CERT}.new"
    if growing.exists() and not (store / f"{KEY}.new").exists():
        growing.replace(store / CERT)
        sync_folder(store)


def shred(card: Path) -> None:
    """Overwrite and remove what is on the card. On flash the old bytes may linger; the claim is burnt in any case."""
    # The manifest last: as long as it is there, the next start goes on here.
    for path in sorted(card.iterdir(), key=lambda path: path.name == MANIFEST):
        if path.is_file() and path.suffix in {".pem", ".json", ".toml"}:
            with path.open("r+b") as file:
                file.write(b"\0" * path.stat().st_size)
                file.flush()
                os.fsync(file.fileno())
            path.unlink()
    sync_folder(card)


def _board() -> str:
    # Not every machine is a board with a serial number; it only helps people to find the right one.
    with suppress(OSError):
        return "".join(letter for letter in _BOARD_SERIAL.read_text(encoding="ascii", errors="replace") if " " <= letter <= "~")[:64]
    return ""


class _Line:
    """One connection for a few messages."""

    def __init__(self, peer: Peer, topic: str | None) -> None:
        heard = () if topic is None else (Subscription(topic),)
        self._got: _Got = queue.SimpleQueue()
        self._wanted = topic is not None
        told = Peer(peer.host, peer.port, peer.tls, peer.client_id, subscriptions=heard, session_expiry_s=peer.session_expiry_s)
        self._connection = Connection(told, self._got.put)

    def __enter__(self) -> Self:
        self._connection.start()
        try:
            self._await(Connected)
            if self._wanted:
                self._await(Subscribed)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def say(self, topic: str, payload: bytes) -> None:
        """Publish, and wait until the broker has it. Raises _NotNow."""
        self._connection.publish(Publication(topic, topic, payload))
        answer = self._await(Answered)
        if broker_codes.is_refusal(answer.code):
            raise _NotNow(f"the broker refuses the request: {broker_codes.name(answer.code)}")
        if broker_codes.fate(answer.code) is broker_codes.Fate.NOBODY:
            raise _NotNow("the province's enrolment does not run")

    def hear(self, timeout_s: float) -> bytes:
        """The next message. Raises _NotNow."""
        message = self._await(Arrived, timeout_s)
        self._connection.done(message)
        return message.payload

    def _await(self, kind: type[_EventT], timeout_s: float = ANSWER_S) -> _EventT:
        end_s = time.monotonic() + timeout_s
        while True:
            try:
                event = self._got.get(timeout=max(0.0, end_s - time.monotonic()))
            except queue.Empty:
                raise _NotNow("no answer in time") from None
            if isinstance(event, kind):
                return event
            if isinstance(event, Ended):
                raise _NotNow(f"the connection ended: {event.reason} {event.detail}".rstrip())
            if isinstance(event, Subscribed) and any(map(broker_codes.is_refusal, event.codes)):
                raise _NotNow("the broker refuses the subscription")

    def _end(self) -> None:
        self._connection.disconnect()
        if not self._connection.join(5.0):
            log.warning("the connection does not end")
