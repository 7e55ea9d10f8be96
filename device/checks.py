"""What a configuration names must be there and usable: keys, certificates, lists, folders.

``gate check-config`` reports every problem at once; ``gate run`` refuses to
start on those that no waiting can cure. An expired certificate is not among
them: a gate with a wrong clock must start.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

from cryptography import x509
from cryptography.x509.oid import NameOID

from device.core.rules import (
    HOUR_NS,
    Calendar,
    HealthRules,
    ListRule,
    Passback,
    Reliance,
    Rules,
    Span,
    Standing,
    Window,
)
from device.core.trust import NOBODY, Trust
from device.core.types import Direction, HealthEvent, Kind, Verdict
from device.edges.files import read_site_key
from device.edges.lists import GateList
from device.edges.seal import load_sealing_key
from device.edges.signer import load_signing_key
from device.edges.trust import Signs, load_province, load_trust
from device.errors import ConfigError, GateError, KeyUnusable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from datetime import time
    from pathlib import Path

    from device.config import BrokerSection, Day, GateConfig, HealthSection, ListSection, OpeningHours, PassbackSection


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with what a configuration names."""

    key: str
    what: str


def check_files(config: GateConfig, name: str) -> None:
    """Raise ConfigError that names each key of the file ``name`` whose file is missing or unusable."""
    _raise(name, [*_needed(config), *_lists(config), *_source(config)])


def check_needed(config: GateConfig, name: str) -> None:
    """The same for what the daemon cannot start without: keys and certificates. A list that cannot be read refers people instead."""
    _raise(name, list(_needed(config)))


DAY_S: Final = 86_400
HOUR_S: Final = 3_600


def gate_lists(config: GateConfig) -> dict[str, GateList]:
    """The lists that the policy names, by name; not loaded yet."""
    folder = config.trust.lists
    return {
        item.name: GateList(item.name, folder, ageing_ns=int(item.ageing_h * HOUR_NS), stale_ns=int(item.stale_h * HOUR_NS))
        for item in config.policy.lists
    }


def trust_of(config: GateConfig) -> Trust:
    """The keys that vouch for codes. Raises KeyUnusable, naming the file."""
    return NOBODY if config.trust.keys is None else load_trust(config.trust.keys, load_province(config.trust.province, Signs.LISTS))


def rules(config: GateConfig, lists: Mapping[str, GateList] | None = None, trust: Trust = NOBODY) -> Rules:
    """The policy of the configuration, with its lists as they are."""
    policy = config.policy
    known = gate_lists(config) if lists is None else lists
    return Rules(
        accept=frozenset(policy.accept),
        direction=None if config.gate.direction == "both" else Direction(config.gate.direction),
        duplicate_window_ns=int(policy.duplicate_window_s * 1e9),
        in_out_reset_ns=int(policy.in_out_reset_h * HOUR_NS),
        hours=_spans(policy.opening_hours),
        unknown_clock=Verdict(policy.unknown_clock),
        utc_offset_min=policy.utc_offset_min,
        lists=tuple(ListRule(item.use, known[item.name], _ladder(item)) for item in policy.lists),
        windows=tuple(Window(_spans(item.hours), _set(item.accept), item.min_assurance, _set(item.roles)) for item in policy.windows),
        calendar=Calendar(
            frozenset(policy.holidays),
            _spans(policy.holiday_hours),
            {day: _weekday(weekday) for day, weekday in policy.swapped_days.items()},
        ),
        min_assurance=policy.min_assurance,
        roles=_set(policy.roles),
        zones=_set(policy.zones),
        capacity=policy.capacity,
        passback=_passback(policy.passback),
        health=_health(policy.health),
        trust_expires_s=trust.expires_s,
    )


def _ladder(item: ListSection) -> dict[Standing, Reliance]:
    return {
        Standing.FRESH: Reliance.USE,
        Standing.AGEING: item.on_ageing,
        Standing.STALE: item.on_stale,
        Standing.EXPIRED: item.on_expired,
        Standing.MISSING: item.on_missing,
    }


def _passback(section: PassbackSection) -> Passback:
    return Passback(
        section.mode,
        int(section.timed_min * 60e9),
        int(section.forget_h * HOUR_NS),
        None if section.forgive_at is None else _minutes(section.forgive_at),
    )


def _health(section: HealthSection) -> HealthRules:
    ages = {
        HealthEvent.VACCINATION: (section.vaccination_min_days * DAY_S, section.vaccination_max_days * DAY_S),
        HealthEvent.RECOVERY: (section.recovery_min_days * DAY_S, section.recovery_max_days * DAY_S),
        HealthEvent.TEST: (0, int(section.test_max_h * HOUR_S)),
    }
    rapid = HealthEvent.TEST in section.accept and section.rapid_test_max_h > 0
    return HealthRules(
        {event: ages[event] for event in section.accept},
        (0, int(section.rapid_test_max_h * HOUR_S)) if rapid else None,
    )


def _raise(name: str, problems: list[Problem]) -> None:
    if problems:
        raise ConfigError("\n".join(f"{name}: {problem.key}: {problem.what}" for problem in problems))


def _needed(config: GateConfig) -> Iterator[Problem]:
    yield from _try("privacy.site_key", read_site_key, config.privacy.site_key)
    yield from _trust(config)
    if config.privacy.seal_to is not None:
        yield from _try("privacy.seal_to", load_sealing_key, config.privacy.seal_to)
    if config.broker is not None and config.broker.ca is not None:
        yield from _certificates(config.broker, config.gate.id)


def _trust(config: GateConfig) -> Iterator[Problem]:
    trust = config.trust
    if trust.province is not None:
        problems = list(_try("trust.province", load_province, trust.province))
        yield from problems
        if problems:
            return
    if trust.keys is not None:
        yield from _try("trust.keys", lambda path: load_trust(path, load_province(trust.province, Signs.LISTS)), trust.keys)


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


def _lists(config: GateConfig) -> Iterator[Problem]:
    """A list that is not there yet is no mistake of the configuration: a new gate fetches it."""
    province = config.trust.province
    if config.policy.lists and province is None:
        yield Problem("trust.province", "is needed for policy.lists: without it no list counts")
    elif config.policy.lists and province is not None and not list(_try("trust.province", load_province, province)):
        yield from _try("trust.province", _known_for_lists, province)
    kinds = {Kind.SITE_BADGE, Kind.PHONE_CODE, Kind.HEALTH_CERTIFICATE} & set(config.policy.accept)
    if kinds and config.trust.keys is None:
        yield Problem("trust.keys", f"is needed for {min(kinds).value} in policy.accept: without keys no signed code counts")


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


def _known_for_lists(path: Path) -> None:
    if not load_province(path, Signs.LISTS).known:
        raise KeyUnusable(f"{path}: no key in it signs lists, so none of policy.lists counts")


def _spans(several: tuple[OpeningHours, ...]) -> tuple[Span, ...]:
    return tuple(_span(hours) for hours in several)


def _span(hours: OpeningHours) -> Span:
    days = frozenset(_weekday(day) for day in hours.days)
    return Span(days, _minutes(hours.start), _minutes(hours.end), hours.grace_before_min, hours.grace_after_min)


def _minutes(moment: time) -> int:
    return moment.hour * 60 + moment.minute


def _weekday(day: Day) -> int:
    return list(type(day)).index(day)


def _set(values: tuple[T, ...] | None) -> frozenset[T] | None:
    return None if values is None else frozenset(values)
