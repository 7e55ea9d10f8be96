"""The enrolment worker: gives each new gate its certificate, once, and burns the claim when the gate says that it works."""

from __future__ import annotations

import base64
import hashlib
import logging
import queue
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, hpke, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from device.core import wire
from device.core.pacing import Backoff
from device.edges.mqtt_client import Connection
from device.edges.mqtt_values import Arrived, Connected, Ended, Event, Peer, Publication, Subscription
from provisioning.enrolment.issuing import Issuer
from provisioning.registry.store import FORWARD, Registry
from provisioning.registry.tables import Audit, Certificate, Claim, ClaimState, Gate, GateState

log = logging.getLogger(__name__)

WORKER: Final = "enrolment"
"""The worker's name at the broker."""
EVERY_CLAIM: Final = "enrol/+/up"
ANSWER_EXPIRY_S: Final = 600
_SUITE: Final = hpke.Suite(hpke.KEM.P256, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_128_GCM)


@dataclass(frozen=True, slots=True)
class Desk:
    """Decides about requests. ``site_key`` gives the key of a site by its id."""

    registry: Registry
    issuer: Issuer
    site_key: Callable[[str], bytes]

    def answer(self, claim: str, request: wire.EnrolRequest, now: datetime | None = None) -> wire.EnrolAnswer | None:
        """What a gate is told; nothing where it has said that all is well.

        The same request gets the same certificate again, since an answer may be
        lost on the way; another key under the same claim gets none.
        """
        now = datetime.now(UTC) if now is None else now
        der = _decoded(request.csr)
        with self.registry.change() as session:
            row = session.get(Claim, claim, with_for_update=True)
            gate = None if row is None else session.get(Gate, row.gate, with_for_update=True)
            if row is None or gate is None or request.gate != row.gate:
                return self._refused(claim, request, der, "foreign_claim")
            if request.phase == "done":
                if row.state == ClaimState.ISSUED:
                    row.state = ClaimState.BURNT
                    session.add(_audit(gate.id, "done", {"claim": claim, "board": row.board}))
                return None
            key = _key_of(der, gate.id)
            wrong = self._wrong(row, gate, key, now)
            if wrong is not None or key is None:
                session.add(_audit(gate.id, wrong or "bad_request", {"claim": claim, "board": request.board}))
                return self._refused(claim, request, der, wrong or "bad_request")
            if row.state == ClaimState.OPEN:
                chain = self.issuer.issue(gate.id, key)
                row.state, row.key, row.board = ClaimState.ISSUED, _digest(key), request.board
                row.chain = "".join(one.public_bytes(serialization.Encoding.PEM).decode() for one in chain)
                gate.state, gate.changed = GateState.ENROLLED, now
                session.add(_certificate(gate.id, chain[0]))
                session.add(_audit(gate.id, "issued", {"claim": claim, "serial": f"{chain[0].serial_number:x}"}))
            chain = x509.load_pem_x509_certificates(row.chain.encode())
            site = gate.site
        sealed = _SUITE.encrypt(self.site_key(site), key, wire.SITE_KEY_INFO + request.gate.encode())
        return wire.EnrolAnswer(
            gate=request.gate,
            csr=hashlib.sha256(der).hexdigest(),
            status="issued",
            chain=[base64.b64encode(one.public_bytes(serialization.Encoding.DER)).decode() for one in chain],
            site_key=base64.b64encode(sealed).decode(),
        )

    @staticmethod
    def _wrong(row: Claim, gate: Gate, key: ec.EllipticCurvePublicKey | None, now: datetime) -> str | None:
        if key is None:
            return "bad_request"
        if row.state in {ClaimState.BURNT, ClaimState.VOID}:
            return "claim_used" if row.state == ClaimState.BURNT else "claim_void"
        if row.state == ClaimState.ISSUED:
            return None if row.key == _digest(key) else "claim_used"
        if now > _aware(row.expires):
            return "claim_expired"
        return None if GateState.ENROLLED in FORWARD[GateState(gate.state)] else "not_expected"

    @staticmethod
    def _refused(claim: str, request: wire.EnrolRequest, der: bytes, reason: str) -> wire.EnrolAnswer:
        log.warning("%s asks for %s: refused: %s", claim, request.gate, reason)
        return wire.EnrolAnswer(gate=request.gate, csr=hashlib.sha256(der).hexdigest(), status="refused", reason=reason)


class Worker:
    """Hears every claim at the enrolment broker. ``ready`` is set while it is connected."""

    def __init__(self, peer: Peer, desk: Desk) -> None:
        self._peer = Peer(
            peer.host, peer.port, peer.tls, peer.client_id, subscriptions=(Subscription(EVERY_CLAIM),), session_expiry_s=86_400
        )
        self._desk = desk
        self._backoff = Backoff(0.5, 30.0, random.uniform)
        self._events: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        self.ready = threading.Event()

    def run(self, stop: threading.Event) -> None:
        """Until ``stop`` is set and ``wake`` was called."""
        while not stop.is_set():
            self._events = queue.SimpleQueue()
            connection = Connection(self._peer, self._events.put)
            connection.start()
            self._serve(connection, stop)
            self.ready.clear()
            connection.disconnect()
            connection.join(5.0)
            stop.wait(0 if stop.is_set() else self._backoff.next_s())

    def wake(self) -> None:
        """Look at ``stop`` now."""
        self._events.put(None)

    def _serve(self, connection: Connection, stop: threading.Event) -> None:
        while not stop.is_set():
            event = self._events.get()
            if isinstance(event, Connected):
                self._backoff.reset()
                self.ready.set()
            elif isinstance(event, Arrived):
                self._hear(connection, event)
            elif isinstance(event, Ended):
                log.warning("the connection to the enrolment broker ended: %s %s", event.reason, event.detail)
                return

    def _hear(self, connection: Connection, message: Arrived) -> None:
        claim = wire.claim_of(message.topic)
        request = wire.read(wire.EnrolRequest, message.payload)
        if claim is None or message.retained or isinstance(request, wire.Unreadable):
            log.warning("not a request: %r", message.topic[:80])
        else:
            answer = self._desk.answer(claim, request)
            if answer is not None:
                told = Publication(time.monotonic_ns(), wire.enrol_down(claim), wire.encode(answer), expiry_s=ANSWER_EXPIRY_S)
                connection.publish(told)
        # Acknowledged when it is in the registry: a killed worker hears it again.
        connection.done(message)


def _key_of(der: bytes, gate: str) -> ec.EllipticCurvePublicKey | None:
    """The key of a request that proves it holds its private part, is on P-256 and names this gate alone."""
    try:
        csr = x509.load_der_x509_csr(der)
        key = csr.public_key()
        names = [name.value for name in csr.subject]
        right = csr.is_signature_valid and names == [gate] and csr.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    except (ValueError, UnsupportedAlgorithm):
        return None
    return key if right and isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1) else None


def _digest(key: ec.EllipticCurvePublicKey) -> str:
    spki = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    digest = hashes.Hash(hashes.SHA256())
    digest.update(spki)
    return digest.finalize().hex()


def _decoded(csr: str | None) -> bytes:
    try:
        return base64.b64decode(csr or "", validate=True)
    except ValueError:
        return b""


def _certificate(gate: str, made: x509.Certificate) -> Certificate:
    return Certificate(
        serial=f"{made.serial_number:x}",
        gate=gate,
        starts=made.not_valid_before_utc,
        ends=made.not_valid_after_utc,
        pem=made.public_bytes(serialization.Encoding.PEM).decode(),
    )


def _audit(gate: str, outcome: str, facts: dict[str, str]) -> Audit:
    return Audit(at=datetime.now(UTC), who=WORKER, verb="enrol", subject=gate, outcome=outcome[:16], facts=facts)


def _aware(moment: datetime) -> datetime:
    """SQLite gives times back without their zone, which is UTC."""
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
