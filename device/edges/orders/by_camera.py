"""Takes a technician's order from the camera, in the window that the button opens, and keeps what it brings.

What was told lies in a folder of its own, with the province's signature, and
is laid over the configuration at each start (`device.settings.commissioned`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from device.config import GateConfig
from device.core import wire
from device.core.commissioning import SITE_KEY_INFO, CameraOrder, fault_of, order_of, token_of
from device.core.credentials.cbor import BadCbor
from device.core.types import ClockReading
from device.edges.keys.certificate_chain import check_chain
from device.edges.keys.seal import SealBroken, open_sealed_bytes
from device.edges.keys.signer import load_signing_key
from device.edges.keys.trust_files import Province
from device.edges.machine.files import replace_durably
from device.edges.orders.book import OrderBook, OrderNote
from device.errors import KeyUnusable

log = logging.getLogger(__name__)

PLACE: Final = "place.gc1"
SITE_KEY: Final = "site-key"
CERTIFICATE: Final = "gate.cert"
BOARD_SERIAL: Final = Path("/proc/device-tree/serial-number")


class _Refused(Exception):
    """An order does not count. The text is a stable code that says why."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the commissioner needs to know. ``floor_ns`` asks for the latest moment that has certainly passed."""

    config: GateConfig
    province: Province
    board: str
    floor_ns: Callable[[], int]
    record: Callable[[wire.AuditFact], object]


class Commissioner:
    """``ports.Orders``. The button's thread calls ``open``; all else is of the loop's thread."""

    def __init__(self, site: Surroundings, book: OrderBook) -> None:
        self._site = site
        self._book = book
        self._open_until_ns = 0
        self.taken_ns: int | None = None
        """When an order was taken that asks for a new start, on the monotonic clock."""

    def open(self, now_ns: int) -> None:
        """The button was held: the window is open from now (CLOCK_MONOTONIC), or stays open for longer."""
        button = self._site.config.signals.button
        if button is None:
            return
        log.warning("the button opened the window for a technician's order, for %d s", button.window_s)
        self._open_until_ns = now_ns + button.window_s * 1_000_000_000
        self._site.record(wire.WindowOpened(open_s=button.window_s))

    def is_open(self, now_ns: int) -> bool:
        """Whether the window is open at ``now_ns`` (CLOCK_MONOTONIC), so that an order would be looked at."""
        return now_ns < self._open_until_ns

    def submit(self, payload: bytes, now: ClockReading) -> bool:
        """Judge one order in an open window. Returns whether it was taken; either is recorded."""
        order: CameraOrder | None = None
        reason = None
        try:
            order = self._signed(payload)
            self._begin(order, payload, now)
        except _Refused as refused:
            reason = str(refused)
        except BadCbor:
            reason = "malformed"
        except OSError as error:
            log.warning("the order cannot be kept: %s", error.strerror)
            reason = "storage"
        number, name = ("unreadable", None) if order is None else (order.id.hex(), _name(order))
        log.warning("order %s by camera: %s", number, reason or "taken")
        state: wire.CommandStatus = "succeeded" if reason is None else "expired" if reason == "expired" else "rejected"
        self._site.record(wire.CommandFate(id=number, order=name, state=state, reason=reason))
        if reason is None:
            self.taken_ns = now.monotonic_ns
            self._open_until_ns = 0
        return reason is None

    def _signed(self, payload: bytes) -> CameraOrder:
        token = token_of(payload)
        if not self._site.province.signed(token):
            raise _Refused("bad_signature")
        return order_of(token)

    def _begin(self, order: CameraOrder, payload: bytes, now: ClockReading) -> None:
        fault = fault_of(order, self._site.config.gate.id, self._site.board, now, self._site.floor_ns())
        if fault is not None:
            raise _Refused(fault)
        if self._book.find(order.id.hex()) is not None:
            raise _Refused("already_used")
        if now.trusted:
            self._book.tidy(now.wall_ns // 1_000_000_000)
        if self._book.full:
            raise _Refused("too_many_orders")
        files = self._files(order, payload)
        # Used from here on: an order that a power cut broke off is made anew, never read again.
        self._book.write(OrderNote(order.id.hex(), _name(order), "succeeded", order.expires_s, reported=True))
        folder = self._site.config.trust.commissioned
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for one, content in files:
            replace_durably(folder / one, content, mode=0o600)

    def _files(self, order: CameraOrder, payload: bytes) -> Sequence[tuple[str, bytes]]:
        """What is to be kept; the signed order last, because with it the rest counts."""
        if order.certificate is not None:
            return [(CERTIFICATE, self._chain(order, order.certificate))]
        place = order.place
        if place is None or place.site is None or place.site_key is None:
            return [(PLACE, payload)]
        info = SITE_KEY_INFO + f"{order.gate}/{place.site}".encode()
        try:
            key = open_sealed_bytes(self._key(), place.site_key, info)
        except SealBroken:
            raise _Refused("sealed_to_another") from None
        if len(key) != 32:  # noqa: PLR2004 - bytes of a site's key
            raise _Refused("malformed")
        return [(SITE_KEY, key.hex().encode()), (PLACE, payload)]

    def _key(self) -> ec.EllipticCurvePrivateKey:
        broker = self._site.config.broker
        try:
            key = None if broker is None or broker.key is None else load_signing_key(broker.key)
        except KeyUnusable:
            key = None
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise _Refused("no_key")
        return key

    def _chain(self, order: CameraOrder, der: bytes) -> bytes:
        """The new certificate and, from the one in use, those between it and the root, in PEM."""
        broker, key = self._site.config.broker, self._key()
        if broker is None or broker.ca is None or broker.cert is None:
            raise _Refused("no_key")
        try:
            made = x509.load_der_x509_certificate(der)
            used = x509.load_pem_x509_certificates(broker.cert.read_bytes())
            chain = [made, *used[1:]]
            # A gate whose certificate has ended may not know the time either: the order says when it was made.
            check_chain(broker.ca, order.gate, key.public_key(), chain, max(order.issued_s, self._site.floor_ns() / 1e9))
        except ValueError as error:
            log.warning("the certificate in the order: %s", error)
            raise _Refused("bad_certificate") from None
        if made.not_valid_after_utc <= used[0].not_valid_after_utc:
            raise _Refused("not_newer")
        return b"".join(one.public_bytes(serialization.Encoding.PEM) for one in chain)


def forget(folder: Path) -> None:
    """Remove what was told by camera from its folder. Raises OSError."""
    for name in (PLACE, SITE_KEY, CERTIFICATE):
        (folder / name).unlink(missing_ok=True)


def _name(order: CameraOrder) -> str:
    return "camera-certificate" if order.place is None else "camera-place"


def board_serial(path: Path = BOARD_SERIAL) -> str:
    """The serial number of the board as the board says it; empty where it says none."""
    try:
        text = path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
    return "".join(letter for letter in text if " " <= letter <= "~")[:64]
