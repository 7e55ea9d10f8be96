"""What the gate was told through its camera, laid over its configuration file at each start.

Only what the province signed counts: a folder that somebody else wrote into changes nothing.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, Final

from cryptography import x509

from device import config as configuration
from device.config import GateConfig
from device.core.commissioning import Place, order_of, token_of
from device.core.credentials.cbor import BadCbor
from device.edges.keys.certificate_chain import check_chain
from device.edges.keys.signer import load_signing_key
from device.edges.keys.trust_files import Signs, load_province
from device.edges.machine.files import read_plain
from device.edges.orders.by_camera import CERTIFICATE, PLACE, SITE_KEY
from device.errors import GateError

log = logging.getLogger(__name__)

_FILE_LIMIT_BYTES: Final = 64 * 1024


def load(path: Path) -> GateConfig:
    """The checked configuration in a file, with what was told by camera laid over it. Raises ConfigError."""
    return configuration.parse(read_tree(path), str(path), path.absolute().parent)


def read_tree(path: Path) -> dict[str, Any]:
    """The file's tree with what was told laid over it. Raises ConfigError for the file alone: what is no good is left out."""
    tree: dict[str, Any] = configuration.read_tree(path)
    base = configuration.parse(tree, str(path), path.absolute().parent)
    try:
        place = _place(base)
        if place is not None:
            tree["gate"] = {**tree["gate"], "lane": place.lane, "direction": place.direction}
            if place.site is not None:
                tree["gate"]["site"] = place.site
                tree["privacy"] = {**tree["privacy"], "site_key": str(base.trust.commissioned.absolute() / SITE_KEY)}
        if _newer_certificate(base):
            tree["broker"] = {**tree["broker"], "cert": str(base.trust.commissioned.absolute() / CERTIFICATE)}
    except (GateError, OSError, ValueError) as error:
        log.warning("what was told by camera cannot be used: %s", error)
    return tree


def _place(config: GateConfig) -> Place | None:
    path = config.trust.commissioned / PLACE
    if not path.exists():
        return None
    try:
        token = token_of(read_plain(path, _FILE_LIMIT_BYTES))
        order = order_of(token) if load_province(config.trust.province, Signs.ORDERS).signed(token) else None
    except BadCbor:
        order = None
    if order is None or order.gate != config.gate.id:
        raise ValueError(f"{path}: not an order of the province to this gate")
    return order.place


def _newer_certificate(config: GateConfig) -> bool:
    """Whether the certificate that came by camera is for the key in use, and lasts longer than the one beside the key."""
    path, broker = config.trust.commissioned / CERTIFICATE, config.broker
    if broker is None or broker.ca is None or broker.cert is None or broker.key is None or not path.exists():
        return False
    chain = x509.load_pem_x509_certificates(read_plain(path, _FILE_LIMIT_BYTES))
    used = x509.load_pem_x509_certificates(broker.cert.read_bytes())[0]
    # After a renewal there is another key, and the certificate from the camera has had its day.
    if chain[0].public_key() != used.public_key() or chain[0].not_valid_after_utc <= used.not_valid_after_utc:
        return False
    check_chain(broker.ca, config.gate.id, load_signing_key(broker.key).public_key(), chain, chain[0].not_valid_before_utc.timestamp())
    return True
