"""What a configuration names must be there and usable: keys, certificates, lists, folders.

``gate check-config`` reports every problem at once; ``gate run`` refuses to
start on those that no waiting can cure. An expired certificate is not among
them: a gate with a wrong clock must start.
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.x509.oid import NameOID

from device.core.policy import Listing, Rules, Span
from device.core.types import Direction, Verdict
from device.edges.files import load_hash_list, read_site_key
from device.edges.seal import load_sealing_key
from device.edges.signer import load_signing_key
from device.errors import ConfigError, GateError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from device.config import BrokerSection, Day, GateConfig, OpeningHours, PolicySection


log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with what a configuration names."""

    key: str
    what: str


def check_files(config: GateConfig, name: str) -> None:
    """Raise ConfigError that names each key of the file ``name`` whose file is missing or unusable."""
    _raise(name, [*_needed(config), *_lists(config.policy), *_source(config)])


def check_needed(config: GateConfig, name: str) -> None:
    """The same for what the daemon cannot start without: keys and certificates. A list that cannot be read refers people instead."""
    _raise(name, list(_needed(config)))


def rules(config: GateConfig) -> Rules:
    """The policy of the configuration, its lists loaded. A list that cannot be read becomes ``Listing(None)``."""
    policy = config.policy
    return Rules(
        accept=frozenset(policy.accept),
        direction=None if config.gate.direction == "both" else Direction(config.gate.direction),
        duplicate_window_ns=int(policy.duplicate_window_s * 1e9),
        in_out_reset_ns=int(policy.in_out_reset_h * 3600e9),
        hours=tuple(_span(hours) for hours in policy.opening_hours),
        unknown_clock=Verdict(policy.unknown_clock),
        utc_offset_min=policy.utc_offset_min,
        allow=_listing(policy.allow_list),
        deny=_listing(policy.deny_list),
    )


def _raise(name: str, problems: list[Problem]) -> None:
    if problems:
        raise ConfigError("\n".join(f"{name}: {problem.key}: {problem.what}" for problem in problems))


def _needed(config: GateConfig) -> Iterator[Problem]:
    yield from _try("privacy.site_key", read_site_key, config.privacy.site_key)
    if config.privacy.seal_to is not None:
        yield from _try("privacy.seal_to", load_sealing_key, config.privacy.seal_to)
    if config.broker is not None and config.broker.ca is not None:
        yield from _certificates(config.broker, config.gate.id)


def _certificates(broker: BrokerSection, gate_id: str) -> Iterator[Problem]:
    if broker.ca is None or broker.cert is None or broker.key is None:
        raise ValueError("a broker with an authority has a certificate and a key")
    problems = [
        *_try("broker.ca", _load_certificates, broker.ca),
        *_try("broker.cert", _load_certificates, broker.cert),
        *_try("broker.key", load_signing_key, broker.key),
    ]
    yield from problems
    if not problems:
        yield from _pair(broker.cert, broker.key, gate_id)


def _pair(cert: Path, key: Path, gate_id: str) -> Iterator[Problem]:
    certificate = _load_certificates(cert)[0]
    if certificate.public_key() != load_signing_key(key).public_key():
        yield Problem("broker.key", f"{key}: is not the key of the certificate {cert}")
    names = [str(item.value) for item in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    if names != [gate_id]:
        yield Problem("broker.cert", f"{cert}: its common name is {', '.join(names) or 'missing'}, but gate.id is {gate_id}")


def _lists(policy: PolicySection) -> Iterator[Problem]:
    for key, path in (("policy.allow_list", policy.allow_list), ("policy.deny_list", policy.deny_list)):
        if path is not None:
            yield from _try(key, load_hash_list, path)


def _source(config: GateConfig) -> Iterator[Problem]:
    scheme, _, path = config.camera.source.partition(":")
    if path and not os.access(path, os.R_OK):
        yield Problem("camera.source", f"{path}: no such {'folder' if scheme == 'folder' else 'file'}, or not readable")


def _load_certificates(path: Path) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise ConfigError(f"{path}: holds no certificate in PEM form") from error


def _try(key: str, load: Callable[[Path], object], path: Path) -> Iterator[Problem]:
    try:
        load(path)
    except GateError as error:
        yield Problem(key, str(error))


def _listing(path: Path | None) -> Listing | None:
    if path is None:
        return None
    try:
        return Listing(load_hash_list(path))
    except GateError as error:
        log.error("everybody is referred to a person until this is mended: %s", error)  # noqa: TRY400 - the error says all
        return Listing(None)


def _span(hours: OpeningHours) -> Span:
    days = frozenset(_weekday(day) for day in hours.days)
    return Span(days, hours.start.hour * 60 + hours.start.minute, hours.end.hour * 60 + hours.end.minute)


def _weekday(day: Day) -> int:
    return list(type(day)).index(day)
