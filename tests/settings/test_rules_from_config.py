"""The rules are those of the configuration: every setting arrives, in the unit that the rules count in."""

from __future__ import annotations

import ast
import base64
import inspect
from datetime import date
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from device.config import GateConfig, PolicySection, parse
from device.core.credentials.trust import NOBODY, KeyUse, Trust
from device.core.rules import (
    Calendar,
    HealthRules,
    ListUse,
    Passback,
    PassbackMode,
    Reliance,
    Span,
    Standing,
    Window,
)
from device.core.types import Assurance, ClockReading, Direction, HealthEvent, Kind, Verdict
from device.edges.lists.installed import GateList
from device.errors import KeyUnusable
from device.settings import rules_from_config
from device.settings.rules_from_config import gate_lists, rules, trust_of
from tests.desk import Desk

EVERY_DAY = frozenset(range(7))
DAY_S = 24 * 3600
HOUR_NS = 3_600 * 10**9
MINUTE_NS = 60 * 10**9


def config(folder: Path = Path("/gate"), *, direction: str = "in", trust: dict[str, object] | None = None, **policy: object) -> GateConfig:
    """A gate with this policy, and everything else as it is by default."""
    tree: dict[str, object] = {
        "gate": {"id": "gate-1", "site": "site-1", "direction": direction},
        "privacy": {"site_key": "site.key"},
        "trust": {"lists": "lists", **(trust or {})},
        "policy": policy,
    }
    return parse(tree, "gate.toml", folder)


def test_a_policy_that_says_nothing_lets_the_common_codes_pass_at_every_hour() -> None:
    """No lists, no hours, no limits, and nobody is refused for passing twice."""
    made = rules(config())
    assert made.accept == {Kind.CITIZEN_CARD, Kind.NATIONAL_QR, Kind.HEALTH_INSURANCE}
    assert (made.hours, made.windows, made.lists) == ((), (), ())
    assert made.calendar == Calendar(frozenset(), (), {})
    assert (made.roles, made.zones, made.capacity, made.trust_expires_s) == (None, None, None, None)
    assert made.passback.mode is PassbackMode.OFF
    assert made.passback.forgive_min is None
    assert (made.min_assurance, made.unknown_clock, made.utc_offset_min) == (Assurance.DECLARED, Verdict.REFER, 420)


@pytest.mark.parametrize(("direction", "way"), [("in", Direction.IN), ("out", Direction.OUT), ("both", None)])
def test_in_both_directions_no_way_is_fixed(direction: str, way: Direction | None) -> None:
    """Then each person comes and goes in turn."""
    assert rules(config(direction=direction)).direction is way


def test_what_is_plain_arrives_in_the_rules_unit() -> None:
    """Seconds and hours become nanoseconds; half of one is not lost."""
    made = rules(
        config(
            accept=["site_badge"],
            duplicate_window_s=2.5,
            in_out_reset_h=1.5,
            unknown_clock="reject",
            utc_offset_min=-90,
            min_assurance="signed",
            roles=[1, 2],
            zones=[3],
            capacity=4,
        )
    )
    assert made.accept == {Kind.SITE_BADGE}
    assert made.duplicate_window_ns == 2_500_000_000
    assert made.in_out_reset_ns == 5_400 * 10**9
    assert (made.unknown_clock, made.utc_offset_min, made.min_assurance) == (Verdict.REJECT, -90, Assurance.SIGNED)
    assert (made.roles, made.zones, made.capacity) == (frozenset({1, 2}), frozenset({3}), 4)


def test_hours_are_minutes_after_midnight_of_weekdays() -> None:
    """Monday is 0."""
    night = {"days": ["sat", "sun"], "start": "22:10:00", "end": "06:30:00", "grace_before_min": 5, "grace_after_min": 7}
    made = rules(config(opening_hours=[night, {"start": "05:00:00", "end": "21:00:00"}]))
    assert made.hours == (Span(frozenset({5, 6}), 1330, 390, 5, 7), Span(EVERY_DAY, 300, 1260, 0, 0))


def test_a_window_brings_its_own_terms_and_leaves_the_others() -> None:
    """What it does not name is None."""
    hours = [{"days": ["mon"], "start": "01:00:00", "end": "02:00:00"}]
    full = {"hours": hours, "accept": ["site_badge"], "min_assurance": "signed-live", "roles": [5]}
    made = rules(config(windows=[full, {"hours": hours}]))
    span = (Span(frozenset({0}), 60, 120),)
    assert made.windows == (
        Window(span, frozenset({Kind.SITE_BADGE}), Assurance.SIGNED_LIVE, frozenset({5})),
        Window(span, None, None, None),
    )


def test_the_calendar_has_its_holidays_their_hours_and_its_swapped_days() -> None:
    """A date that works like a Monday has weekday 0."""
    hours = [{"start": "08:00:00", "end": "09:00:00"}]
    made = rules(config(holidays=["2027-02-06"], holiday_hours=hours, swapped_days={"2027-02-13": "mon", "2027-02-14": "tue"}))
    expected = {date(2027, 2, 13): 0, date(2027, 2, 14): 1}
    assert made.calendar == Calendar(frozenset({date(2027, 2, 6)}), (Span(EVERY_DAY, 480, 540),), expected)


def test_passing_twice_is_counted_in_nanoseconds_and_forgiven_at_a_minute_of_the_day() -> None:
    """Minutes and hours may be broken ones."""
    made = rules(config(passback={"mode": "timed", "timed_min": 1.5, "forget_h": 2.5, "forgive_at": "03:30:00"}))
    assert made.passback == Passback(PassbackMode.TIMED, 90 * 10**9, 150 * MINUTE_NS, 210)


def test_health_certificates_count_from_and_until_so_many_seconds() -> None:
    """Days for vaccination and recovery, hours for tests; a rapid test has hours of its own."""
    section = {
        "vaccination_min_days": 1,
        "vaccination_max_days": 2,
        "recovery_min_days": 3,
        "recovery_max_days": 4,
        "test_max_h": 1.5,
        "rapid_test_max_h": 0.5,
    }
    ages = {
        HealthEvent.VACCINATION: (DAY_S, 2 * DAY_S),
        HealthEvent.RECOVERY: (3 * DAY_S, 4 * DAY_S),
        HealthEvent.TEST: (0, 5_400),
    }
    assert rules(config(health=section)).health == HealthRules(ages, (0, 1_800))


def test_what_a_certificate_may_be_about_is_chosen() -> None:
    """No rapid test counts where no test does, or where it is given no time."""
    without = rules(config(health={"accept": ["recovery"]})).health
    assert without is not None
    assert (set(without.ages_s), without.rapid_age_s) == ({HealthEvent.RECOVERY}, None)
    slow = rules(config(health={"accept": ["test"], "rapid_test_max_h": 0})).health
    assert slow is not None
    assert (set(slow.ages_s), slow.rapid_age_s) == ({HealthEvent.TEST}, None)


def test_each_list_has_its_use_and_its_ladder() -> None:
    """A fresh list is used whatever the configuration says of older ones."""
    first = {"name": "staff", "use": "allow", "on_ageing": "warn", "on_stale": "refer", "on_expired": "ignore", "on_missing": "ignore"}
    made = rules(config(lists=[first, {"name": "barred", "use": "deny"}])).lists
    assert [(rule.use, rule.listing.name) for rule in made] == [(ListUse.ALLOW, "staff"), (ListUse.DENY, "barred")]
    assert made[0].ladder == {
        Standing.FRESH: Reliance.USE,
        Standing.AGEING: Reliance.WARN,
        Standing.STALE: Reliance.REFER,
        Standing.EXPIRED: Reliance.IGNORE,
        Standing.MISSING: Reliance.IGNORE,
    }
    assert set(made[1].ladder) == set(Standing)


def test_a_list_that_never_came_refers_everybody() -> None:
    """A new gate has none yet: it fetches one, and meanwhile a person looks."""
    (rule,) = rules(config(lists=[{"name": "staff", "use": "allow"}])).lists
    assert rule.listing.members is None
    assert rule.ladder[Standing.MISSING] is Reliance.REFER


def test_lists_that_are_loaded_already_are_the_ones_of_the_rules() -> None:
    """The gate loads them once, and replaces what is in them while the rules stand."""
    made = config(lists=[{"name": "staff", "use": "allow"}])
    known = gate_lists(made)
    (rule,) = rules(made, known).lists
    assert rule.listing is known["staff"]


def aged(one: GateList, hours: float) -> Standing:
    """How old a list counts so many hours after it was issued."""
    return one.standing(ClockReading(1, 1, int(1_763_856_000 * 10**9 + hours * HOUR_NS), "b", trusted=True))


def test_a_list_lies_in_its_folder_and_ages_by_its_own_hours(tmp_path: Path) -> None:
    """Counted from when it was issued."""
    desk = Desk()
    item = {"name": "staff", "use": "allow", "ageing_h": 1.5, "stale_h": 2.5}
    made = gate_lists(config(tmp_path, lists=[item, {"name": "barred", "use": "deny"}]))
    assert {name: one.folder for name, one in made.items()} == {name: tmp_path / "lists" / name for name in ("staff", "barred")}
    one = made["staff"]
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    body = {"type": "vn.gate.list.v1", "gate": "all", "issued": "2025-11-23T00:00:00Z", "expires": "2026-12-23T00:00:00Z"}
    one.folder.mkdir(parents=True)
    (one.folder / f"{empty}.hashes").touch()
    (one.folder / "manifest.json").write_bytes(
        desk.sign({**body, "name": "staff", "version": 1, "snapshot": {"sha256": empty, "bytes": 0}})
    )
    assert one.load(desk.province) is None
    assert [aged(one, hours) for hours in (1.4, 1.5, 2.4, 2.5)] == [Standing.FRESH, Standing.AGEING, Standing.AGEING, Standing.STALE]


def test_keys_vouch_until_their_list_has_expired(tmp_path: Path) -> None:
    """Without a list of keys nobody vouches; one that the province's key for orders signed does not count."""
    assert trust_of(config(tmp_path)) is NOBODY
    desk = Desk()
    raw = ed25519.Ed25519PrivateKey.generate().public_key()
    key = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    entry = {"use": "badges", "kid": "01", "key": base64.b64encode(raw.public_bytes(*key)).decode()}
    times = {"not_before": "2026-11-23T00:00:00Z", "not_after": "2027-11-23T00:00:00Z"}
    listed = {"type": "vn.gate.trust.v1", "gate": "all", "issued": "2026-11-23T00:00:00Z", "version": 4, "expires": "2027-01-01T00:00:00Z"}
    (tmp_path / "keys.json").write_bytes(desk.sign({**listed, "keys": [{**entry, **times}]}))
    pem = desk.write_pem(tmp_path / "orders.pem").read_bytes()
    made = config(tmp_path, trust={"province": "orders.pem", "keys": "keys.json"})
    trust = trust_of(made)
    assert len(trust.named(KeyUse.BADGES, b"\x01")) == 1
    assert rules(made, trust=trust).trust_expires_s == trust.expires_s == 1_798_761_600
    (tmp_path / "orders.pem").write_bytes(b"signs: orders\n" + pem)
    with pytest.raises(KeyUnusable, match=r"trust\.province names no keys"):
        trust_of(made)


def test_rules_are_told_when_trust_should_have_been_replaced() -> None:
    """After that signed codes are referred."""
    assert rules(config(), trust=Trust(1, 77, {})).trust_expires_s == 77


OF_THE_LOOP = {"rearm_s"}
"""Settings of the policy that are no rule: when a code counts again is decided before any rule is asked."""


def test_each_setting_of_the_policy_reaches_the_rules() -> None:
    """One that is read from the file and then forgotten would change nothing, and nobody would be told."""
    read = {
        node.attr
        for node in ast.walk(ast.parse(inspect.getsource(rules_from_config)))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name | ast.Attribute)
        if getattr(node.value, "id", getattr(node.value, "attr", "")) == "policy"
    }
    assert set(PolicySection.model_fields) - read == OF_THE_LOOP
