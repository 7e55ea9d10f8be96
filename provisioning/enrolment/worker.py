"""The enrolment worker: gives each new gate its certificate, once, burns the claim when the gate says that it works, and renews."""

from __future__ import annotations

import base64
import hashlib
import logging
import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, hpke, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from sqlalchemy import select

from device.core import wire
from device.core.pacing import Backoff, Uniform
from device.edges.broker.kept_line import TURN_S, KeptLine
from device.edges.broker.values import Arrived, Connected, Ended, Event, Peer, Publication, Subscription
from device.edges.keys.certificate_chain import BadChain, check_chain_to
from device.edges.keys.signer import verify
from provisioning.common import times
from provisioning.enrolment.issuing import Issuer, IssuerFailed
from provisioning.registry.issued import row_of
from provisioning.registry.registry import FORWARD, Registry
from provisioning.registry.tables import CERTIFIED, Audit, Certificate, Claim, ClaimState, Gate, GateState

log = logging.getLogger(__name__)

WORKER: Final = "enrolment"
"""The worker's name at the broker."""
EVERY_ASKER: Final = "enrol/+/up"
ANSWER_EXPIRY_S: Final = 600
RETRY_MIN_S: Final = 0.5
RETRY_MAX_S: Final = 30.0
GOODBYE_S: Final = 5.0
LEAST_AGE: Final = timedelta(hours=12)
"""A gate gets no second renewal before."""
PAST_LIMIT: Final = 4
_SUITE: Final = hpke.Suite(hpke.KEM.P256, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_128_GCM)


@dataclass(frozen=True, slots=True)
class EnrolmentDesk:
    """Decides about requests. ``site_key`` gives the key of a site by its id; ``roots`` are those that count now."""

    registry: Registry
    issuer: Issuer
    site_key: Callable[[str], bytes]
    roots: Sequence[x509.Certificate]

    def answer(self, asker: str, request: wire.EnrolRequest, now: datetime | None = None) -> wire.EnrolAnswer | None:
        """What is told to who asks under a claim, or under a gate's own name; nothing where it has said that all is well."""
        now = datetime.now(UTC) if now is None else now
        try:
            return self._enrol(asker, request, now) if wire.is_claim(asker) else self._renew(asker, request, now)
        except IssuerFailed as failed:
            # Nothing of it is in the registry: the claim is as it was, and the gate asks again by itself.
            log.error("no certificate for %s: %s", asker, failed)  # noqa: TRY400 - the text says all
            return None

    def _enrol(self, claim: str, request: wire.EnrolRequest, now: datetime) -> wire.EnrolAnswer | None:
        """The first certificate of a gate.

        The same request gets the same certificate again, since an answer may be
        lost on the way; another key under the same claim gets none.
        """
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
                chain = self._certified(gate.id, key)
                row.state, row.key, row.board = ClaimState.ISSUED, _digest(key), request.board
                row.chain = "".join(one.public_bytes(serialization.Encoding.PEM).decode() for one in chain)
                gate.state, gate.changed = GateState.ENROLLED, now
                session.add(row_of(gate.id, chain))
                session.add(_audit(gate.id, "issued", {"claim": claim, "serial": f"{chain[0].serial_number:x}"}))
            chain = x509.load_pem_x509_certificates(row.chain.encode())
            site = gate.site
        return self._issued(request, der, key, chain, site)

    def _renew(self, name: str, request: wire.EnrolRequest, now: datetime) -> wire.EnrolAnswer | None:
        """The next certificate of a gate, for the key that the one in use vouches for."""
        der = _decoded(request.csr)
        with self.registry.change() as session:
            gate = session.get(Gate, name, with_for_update=True)
            if gate is None or request.gate != name:
                return self._refused(name, request, der, "foreign_claim")
            if request.phase == "done":
                session.add(_audit(name, "renewed", {}))
                return None
            asked = select(Certificate).where(Certificate.gate == name).order_by(Certificate.starts.desc(), Certificate.serial)
            held = [x509.load_pem_x509_certificates(row.pem.encode()) for row in session.scalars(asked.limit(PAST_LIMIT))]
            key = _key_of(der, name)
            wrong = _wrong_renewal(gate, key, [one[0] for one in held], request, now)
            if wrong is not None or key is None:
                session.add(_audit(name, wrong or "bad_request", {"renewal": "refused"}))
                return self._refused(name, request, der, wrong or "bad_request")
            chain: Sequence[x509.Certificate] = next((one for one in held if one[0].public_key() == key), ())
            if not chain:
                chain = self._certified(name, key)
                session.add(row_of(name, chain))
                session.add(_audit(name, "issued", {"renewal": "issued", "serial": f"{chain[0].serial_number:x}"}))
            site = gate.site
        return self._issued(request, der, key, chain, site)

    def _certified(self, gate: str, key: ec.EllipticCurvePublicKey) -> Sequence[x509.Certificate]:
        """A new certificate that the gate itself will take. Raises IssuerFailed."""
        chain = self.issuer.issue(gate, key)
        try:
            check_chain_to(self.roots, gate, key, chain, time.time())
        except BadChain as error:
            raise IssuerFailed(f"the certificate that was issued is not for the gates of this province: {error}") from error
        return chain

    def _issued(
        self, request: wire.EnrolRequest, der: bytes, key: ec.EllipticCurvePublicKey, chain: Sequence[x509.Certificate], site: str
    ) -> wire.EnrolAnswer:
        sealed = _SUITE.encrypt(self.site_key(site), key, wire.SITE_KEY_INFO + request.gate.encode())
        return wire.EnrolAnswer(
            gate=request.gate,
            csr=hashlib.sha256(der).hexdigest(),
            status="issued",
            chain=[_base64(one) for one in chain],
            site_key=base64.b64encode(sealed).decode(),
            roots=[_base64(one) for one in self.roots],
        )

    @staticmethod
    def _wrong(row: Claim, gate: Gate, key: ec.EllipticCurvePublicKey | None, now: datetime) -> str | None:
        if key is None:
            return "bad_request"
        if row.state in {ClaimState.BURNT, ClaimState.VOID}:
            return "claim_used" if row.state == ClaimState.BURNT else "claim_void"
        if row.state == ClaimState.ISSUED:
            return None if row.key == _digest(key) else "claim_used"
        if now > times.aware(row.expires):
            return "claim_expired"
        return None if GateState.ENROLLED in FORWARD[GateState(gate.state)] else "not_expected"

    @staticmethod
    def _refused(claim: str, request: wire.EnrolRequest, der: bytes, reason: str) -> wire.EnrolAnswer:
        log.warning("%s asks for %s: refused: %s", claim, request.gate, reason)
        return wire.EnrolAnswer(gate=request.gate, csr=hashlib.sha256(der).hexdigest(), status="refused", reason=reason)


class Worker:
    """Hears every claim at the enrolment broker. ``ready`` is set while it is connected."""

    def __init__(
        self, peer: Peer, desk: EnrolmentDesk, *, now_s: Callable[[], float] = time.monotonic, uniform: Uniform = random.uniform
    ) -> None:
        """``now_s`` is the monotonic clock and ``uniform`` is chance, for tests."""
        self._peer = Peer(
            peer.host, peer.port, peer.tls, peer.client_id, subscriptions=(Subscription(EVERY_ASKER),), session_expiry_s=86_400
        )
        self._desk = desk
        self._line = KeptLine(self, Backoff(RETRY_MIN_S, RETRY_MAX_S, uniform), now_s)
        self.ready = threading.Event()

    def run(self, stop: threading.Event) -> None:
        """Until ``stop`` is set and ``wake`` was called."""
        self._line.begin()
        self._line.run(stop)
        self._line.goodbye(GOODBYE_S)
        self.ready.clear()

    def wake(self) -> None:
        """Look at ``stop`` now."""
        self._line.wake()

    def peer(self) -> Peer:
        """The enrolment broker."""
        return self._peer

    def on_event(self, event: Event) -> None:
        """What happened on the line."""
        match event:
            case Connected():
                self.ready.set()
            case Arrived():
                self._hear(event)
            case Ended():
                self.ready.clear()

    def serve(self, now_s: float) -> float:  # noqa: ARG002 - the time is for those who have something to say
        """Nothing is said that nobody asked for."""
        return TURN_S

    def _hear(self, message: Arrived) -> None:
        asker = wire.asker_of(message.topic)
        request = wire.read(wire.EnrolRequest, message.payload)
        if asker is None or message.retained or isinstance(request, wire.Unreadable):
            log.warning("not a request: %r", message.topic[:80])
        else:
            answer = self._desk.answer(asker, request)
            if answer is not None:
                told = Publication(time.monotonic_ns(), wire.enrol_down(asker), wire.encode(answer), expiry_s=ANSWER_EXPIRY_S)
                self._line.publish(told)
        # Acknowledged when it is in the registry: a killed worker hears it again.
        self._line.done(message)


def _wrong_renewal(
    gate: Gate, key: ec.EllipticCurvePublicKey | None, held: Sequence[x509.Certificate], request: wire.EnrolRequest, now: datetime
) -> str | None:
    if key is None:
        return "bad_request"
    if gate.state not in CERTIFIED or not held:
        return "not_expected"
    content, proof = wire.RENEWAL_PROOF + _decoded(request.csr), request.proof or ""
    others = [one for one in held if one.public_key() != key]
    if not any(one.not_valid_after_utc > now and verify(one, content, proof) for one in others):
        return "bad_proof"
    newest = max(one.not_valid_before_utc for one in held)
    # Whoever has got hold of a key could otherwise ask without end.
    return "too_soon" if len(others) == len(held) and now - newest < LEAST_AGE else None


def _base64(made: x509.Certificate) -> str:
    return base64.b64encode(made.public_bytes(serialization.Encoding.DER)).decode()


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


def _audit(gate: str, outcome: str, facts: dict[str, str]) -> Audit:
    return Audit(at=datetime.now(UTC), who=WORKER, verb="enrol", subject=gate, outcome=outcome[:16], facts=facts)
