"""The rules of a site as values: what stands where a site has no such rule."""

from __future__ import annotations

from dataclasses import MISSING, Field, fields
from typing import Any

import pytest

from device.core import rules


def default(field: Field[Any]) -> object:
    """What a field is when it is not given."""
    return field.default_factory() if field.default_factory is not MISSING else field.default


@pytest.mark.parametrize(
    "kind", [rules.Span, rules.ListRule, rules.Window, rules.Calendar, rules.HealthRules, rules.Passback, rules.Rules, rules.Remembered]
)
def test_a_default_stands_for_a_rule_that_there_is_not(kind: type[Any]) -> None:
    """None, nothing, or what lets everybody through: what a site gets that says nothing stands in the configuration alone."""
    absent: tuple[object, ...] = ((), None, 0, False, {}, frozenset(), rules.Calendar(), rules.NO_PASSBACK, rules.ASSURANCE_ORDER[0])
    assert [field.name for field in fields(kind) if default(field) is not MISSING and default(field) not in absent] == []
    assert rules.NO_PASSBACK.mode is rules.PassbackMode.OFF


def test_assurance_is_ordered_from_the_weakest() -> None:
    """Everybody has the first, so a gate that asks for it asks for nothing."""
    assert [each.value for each in rules.ASSURANCE_ORDER] == ["declared", "listed", "signed", "signed-live"]
