"""What enrolment and renewal share: request and answer, and how a new pair of files takes the old one's place."""

from __future__ import annotations

import base64
import hashlib
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from device.core import broker_codes, wire
from device.core.pacing import Backoff
from device.edges.broker.short_talk import ShortTalk, TalkFailed
from device.edges.broker.tls import TlsFiles
from device.edges.broker.values import Peer, Publication, Subscription
from device.edges.keys.certificate_chain import check_chain
from device.edges.keys.seal import SealBroken, open_sealed
from device.edges.machine.files import replace_durably, sync_folder
from device.errors import EnrolmentRefused

log = logging.getLogger(__name__)

CERT: Final = "gate.cert"
KEY: Final = "gate.key"
SITE_KEY: Final = "gate.site-key"
ANSWER_S: Final = 30.0

Done = TypeVar("Done")


def until_done(attempt: Callable[[], Done], backoff: Backoff, wait_s: float, undone: str) -> Done:
    """Attempt until it works, or ``wait_s`` has passed. Raises EnrolmentRefused, which begins with ``undone``, for the last TalkFailed."""
    end_s = time.monotonic() + wait_s
    while True:
        try:
            return attempt()
        except TalkFailed as why:
            left_s = end_s - time.monotonic()
            if left_s <= 0:
                raise EnrolmentRefused(f"{undone}: {why}") from None
            log.warning("%s: %s", undone, why)
            time.sleep(min(backoff.next_s(), left_s))


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


def line_to(host: str, port: int, tls: TlsFiles, asker: str) -> ShortTalk:
    """A talk with the province's enrolment, in which its answers to ``asker`` are heard."""
    return ShortTalk(Peer(host, port, tls, asker, subscriptions=(Subscription(wire.enrol_down(asker)),), session_expiry_s=0))


def say(talk: ShortTalk, asker: str, said: wire.EnrolRequest) -> None:
    """Publish, and wait until the broker has it. Raises TalkFailed, also where nobody listens."""
    topic = wire.enrol_up(asker)
    code = talk.deliver(Publication(topic, topic, wire.encode(said)))
    if broker_codes.fate(code) is broker_codes.Fate.NOBODY:
        raise TalkFailed("the province's enrolment does not run", "no_enrolment")


def ask(talk: ShortTalk, asker: str, asked: wire.EnrolRequest) -> wire.EnrolAnswer:
    """Say the request and wait for its answer. Raises EnrolmentRefused, TalkFailed."""
    say(talk, asker, asked)
    digest = hashlib.sha256(base64.b64decode(asked.csr or "")).hexdigest()
    end_s = time.monotonic() + ANSWER_S
    while True:
        answer = wire.read(wire.EnrolAnswer, talk.hear(end_s - time.monotonic()))
        if isinstance(answer, wire.Unreadable) or answer.gate != asked.gate or answer.csr != digest:
            continue
        if answer.status == "refused":
            raise EnrolmentRefused(f"{asked.gate}: the province refuses: {answer.reason or 'without a reason'}")
        return answer


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
