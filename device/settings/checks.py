"""What a configuration names must be there and usable: keys, certificates, lists, folders.

``gate check-config`` reports every problem at once; ``gate run`` refuses to
start on those that no waiting can cure. An expired certificate is not among
them: a gate with a wrong clock must start.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.x509.oid import NameOID

from device.core.types import Kind
from device.edges.keys.seal import load_sealing_key
from device.edges.keys.signer import load_signing_key
from device.edges.keys.trust_files import Signs, load_province, load_trust
from device.edges.machine.files import read_site_key
from device.errors import ConfigError, GateError, KeyUnusable
from device.laptop import VIDEO, VIDEO_IS_NOT_HERE, is_here

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from device.config import BrokerSection, GateConfig


@dataclass(frozen=True, slots=True)
class ConfigFault:
    """One thing that is wrong with what a configuration names."""

    key: str
    what: str


def check_files(config: GateConfig, name: str) -> None:
    """Raise ConfigError that names each key of the file ``name`` whose file is missing or unusable."""
    _raise(name, [*_needed(config), *_lists(config), *_source(config)])


def check_needed(config: GateConfig, name: str) -> None:
    """Raise ConfigError for what the daemon cannot start without: keys and certificates. A list that cannot be read only refers people."""
    _raise(name, list(_needed(config)))


def _raise(name: str, problems: list[ConfigFault]) -> None:
    if problems:
        raise ConfigError("\n".join(f"{name}: {problem.key}: {problem.what}" for problem in problems))


def _needed(config: GateConfig) -> Iterator[ConfigFault]:
    yield from _try("privacy.site_key", read_site_key, config.privacy.site_key)
    yield from _trust(config)
    if config.privacy.seal_to is not None:
        yield from _try("privacy.seal_to", load_sealing_key, config.privacy.seal_to)
    if config.broker is not None and config.broker.ca is not None:
        yield from _certificates(config.broker, config.gate.id)


def _trust(config: GateConfig) -> Iterator[ConfigFault]:
    trust = config.trust
    if trust.province is not None:
        problems = list(_try("trust.province", load_province, trust.province))
        yield from problems
        if problems:
            return
    if trust.keys is not None:
        yield from _try("trust.keys", lambda path: load_trust(path, load_province(trust.province, Signs.LISTS)), trust.keys)


def _certificates(broker: BrokerSection, gate_id: str) -> Iterator[ConfigFault]:
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


def _pair(cert: Path, key: Path, gate_id: str) -> Iterator[ConfigFault]:
    certificate = _load_certificates(cert)[0]
    if certificate.public_key() != load_signing_key(key).public_key():
        yield ConfigFault("broker.key", f"{key}: is not the key of the certificate {cert}")
    names = [str(item.value) for item in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    if names != [gate_id]:
        yield ConfigFault("broker.cert", f"{cert}: its common name is {', '.join(names) or 'missing'}, but gate.id is {gate_id}")


def _lists(config: GateConfig) -> Iterator[ConfigFault]:
    """A list that is not there yet is no mistake of the configuration: a new gate fetches it."""
    province = config.trust.province
    if config.policy.lists and province is None:
        yield ConfigFault("trust.province", "is needed for policy.lists: without it no list counts")
    elif config.policy.lists and province is not None and not list(_try("trust.province", load_province, province)):
        yield from _try("trust.province", _known_for_lists, province)
    kinds = {Kind.SITE_BADGE, Kind.PHONE_CODE, Kind.HEALTH_CERTIFICATE} & set(config.policy.accept)
    if kinds and config.trust.keys is None:
        yield ConfigFault("trust.keys", f"is needed for {min(kinds).value} in policy.accept: without keys no signed code counts")


def _source(config: GateConfig) -> Iterator[ConfigFault]:
    scheme, _, path = config.camera.source.partition(":")
    if scheme == "video" and not is_here(VIDEO):
        yield ConfigFault("camera.source", VIDEO_IS_NOT_HERE)
    elif path and not os.access(path, os.R_OK):
        yield ConfigFault("camera.source", f"{path}: no such {'folder' if scheme == 'folder' else 'file'}, or not readable")


def _load_certificates(path: Path) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise ConfigError(f"{path}: holds no certificate in PEM form") from error


def _try(key: str, load: Callable[[Path], object], path: Path) -> Iterator[ConfigFault]:
    try:
        load(path)
    except GateError as error:
        yield ConfigFault(key, str(error))


def _known_for_lists(path: Path) -> None:
    if not load_province(path, Signs.LISTS).known:
        raise KeyUnusable(f"{path}: no key in it signs lists, so none of policy.lists counts")
