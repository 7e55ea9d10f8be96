"""What enrolment and renewal share: a line to the province, request and answer, and how a new pair of files takes the old one's place."""

from __future__ import annotations

import base64
import hashlib
import logging
import queue
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Self, TypeAlias, TypeVar

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from device.core import broker_codes, wire
from device.core.pacing import Backoff
from device.edges.broker.connection import Connection
from device.edges.broker.values import Answered, Arrived, Connected, Ended, Event, Peer, Publication, Subscribed, Subscription
from device.edges.keys.certificate_chain import check_chain
from device.edges.keys.seal import SealBroken, open_sealed
from device.edges.machine.files import replace_durably, sync_folder
from device.errors import EnrolmentRefused

log = logging.getLogger(__name__)

CERT: Final = "gate.cert"
KEY: Final = "gate.key"
SITE_KEY: Final = "gate.site-key"
ANSWER_S: Final = 30.0

_Got: TypeAlias = "queue.SimpleQueue[Event]"
Done = TypeVar("Done")
_EventT = TypeVar("_EventT", Connected, Subscribed, Answered, Arrived)


def until_done(attempt: Callable[[], Done], backoff: Backoff, wait_s: float, undone: str) -> Done:
    """Attempt until it works, or ``wait_s`` has passed. Raises EnrolmentRefused, which begins with ``undone``, for the last NotNow."""
    end_s = time.monotonic() + wait_s
    while True:
        try:
            return attempt()
        except NotNow as why:
            left_s = end_s - time.monotonic()
            if left_s <= 0:
                raise EnrolmentRefused(f"{undone}: {why}") from None
            log.warning("%s: %s", undone, why)
            time.sleep(min(backoff.next_s(), left_s))


class NotNow(Exception):
    """The line or the province is not ready: try again."""


def keep_new_key(store: Path) -> ec.EllipticCurvePrivateKey:
    """A key made here, durable beside the one in use before anything is asked with it. Raises OSError."""
    made = ec.generate_private_key(ec.SECP256R1())
    pem = made.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    replace_durably(store / f"{KEY}.new", pem, mode=0o600)
    return made


def keep_chain(store: Path, chain: list[x509.Certificate]) -> None:
    """Beside the one in use, until it was tried. Raises OSError."""
    pem = b"".join(one.public_bytes(serialization.Encoding.PEM) for one in chain)
    replace_durably(store / f"{CERT}.new", pem, mode=0o644)


def request_of(gate: str, key: ec.EllipticCurvePrivateKey) -> bytes:
    """A request for a certificate (PKCS #10), in DER."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, gate)])
    made = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    return made.public_bytes(serialization.Encoding.DER)


def ask(line: ShortTalk, asker: str, asked: wire.EnrolRequest) -> wire.EnrolAnswer:
    """Say the request and wait for its answer. Raises EnrolmentRefused, NotNow."""
    line.say(wire.enrol_up(asker), wire.encode(asked))
    digest = hashlib.sha256(base64.b64decode(asked.csr or "")).hexdigest()
    end_s = time.monotonic() + ANSWER_S
    while (left_s := end_s - time.monotonic()) > 0:
        answer = wire.read(wire.EnrolAnswer, line.hear(left_s))
        if isinstance(answer, wire.Unreadable) or answer.gate != asked.gate or answer.csr != digest:
            continue
        if answer.status == "refused":
            raise EnrolmentRefused(f"{asked.gate}: the province refuses: {answer.reason or 'without a reason'}")
        return answer
    raise NotNow("the province does not answer")


def chain_in(root: Path, gate: str, key: ec.EllipticCurvePrivateKey, answer: wire.EnrolAnswer) -> list[x509.Certificate]:
    """The chain in an answer, when it is for this gate and key and leads to the root. Raises EnrolmentRefused."""
    try:
        chain = [x509.load_der_x509_certificate(base64.b64decode(one, validate=True)) for one in answer.chain]
        check_chain(root, gate, key.public_key(), chain, time.time())
    except ValueError as error:
        raise EnrolmentRefused(f"{gate}: the certificate that came: {error}") from error
    return chain


def site_key_in(gate: str, key: ec.EllipticCurvePrivateKey, answer: wire.EnrolAnswer) -> str:
    """The site's key in an answer, as 64 hexadecimal digits. Raises EnrolmentRefused."""
    try:
        opened = open_sealed(key, answer.site_key or "", wire.SITE_KEY_INFO + gate.encode())
    except SealBroken as error:
        raise EnrolmentRefused(f"{gate}: the site's key cannot be opened: {error}") from error
    if len(opened) != 32:  # noqa: PLR2004 - bytes of a site's key
        raise EnrolmentRefused(f"{gate}: the site's key has {len(opened)} bytes, not 32")
    return opened.hex()


def swap(store: Path) -> None:
    """The new pair takes the old one's place: the key first, and ``finish_swap`` does the rest after a power cut."""
    (store / f"{KEY}.new").replace(store / KEY)
    sync_folder(store)
    finish_swap(store)


def finish_swap(store: Path) -> None:
    """What a power cut left half done of ``swap``; otherwise nothing."""
    growing = store / f"{CERT}.new"
    if growing.exists() and not (store / f"{KEY}.new").exists():
        growing.replace(store / CERT)
        sync_folder(store)


class ShortTalk:
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
        """Publish, and wait until the broker has it. Raises NotNow."""
        self._connection.publish(Publication(topic, topic, payload))
        answer = self._await(Answered)
        if broker_codes.is_refusal(answer.code):
            raise NotNow(f"the broker refuses the request: {broker_codes.name(answer.code)}")
        if broker_codes.fate(answer.code) is broker_codes.Fate.NOBODY:
            raise NotNow("the province's enrolment does not run")

    def hear(self, timeout_s: float) -> bytes:
        """The next message. Raises NotNow."""
        message = self._await(Arrived, timeout_s)
        self._connection.done(message)
        return message.payload

    def _await(self, kind: type[_EventT], timeout_s: float = ANSWER_S) -> _EventT:
        end_s = time.monotonic() + timeout_s
        while True:
            try:
                event = self._got.get(timeout=max(0.0, end_s - time.monotonic()))
            except queue.Empty:
                raise NotNow("no answer in time") from None
            if isinstance(event, kind):
                return event
            if isinstance(event, Ended):
                raise NotNow(f"the connection ended: {event.reason} {event.detail}".rstrip())
            if isinstance(event, Subscribed) and any(map(broker_codes.is_refusal, event.codes)):
                raise NotNow("the broker refuses the subscription")

    def _end(self) -> None:
        self._connection.disconnect()
        if not self._connection.join(5.0):
            log.warning("the connection does not end")
