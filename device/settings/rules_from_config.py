"""From a configuration to what the gate decides by: the rules, the lists and the keys that vouch for codes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from device.core.credentials.trust import NOBODY, Trust
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
from device.core.types import Direction, HealthEvent, Verdict
from device.edges.keys.trust_files import Signs, load_province, load_trust
from device.edges.lists.installed import GateList

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import time

    from device.config import Day, GateConfig, HealthSection, ListSection, OpeningHours, PassbackSection


T = TypeVar("T")

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
    """The keys that vouch for signed codes; none where no file names any. Raises KeyUnusable, naming the file."""
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
