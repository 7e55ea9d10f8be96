"""The score as it is written: what it may say, and that what it must not say is named."""

from __future__ import annotations

from copy import deepcopy

import pytest
from pydantic import ValidationError

from device.core.score import TONE_LIMIT_HZ, Score
from tests.core.test_signals import TREE

BEEP = {"count": 1, "ms": 60, "tone_hz": 2000}


BREATH = {"period_ms": 1000, "low": 0.0, "high": 1.0, "step_ms": 50}


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        (("sign", "reject", "beeps", "tone_hz"), TONE_LIMIT_HZ + 1, "sign.reject.beeps"),
        (("sign", "reject", "colour"), "red", "sign.reject.colour"),
        (("sign", "reject", "lamps"), ["violet"], "sign.reject.lamps.0"),
        (("sign", "reject", "lamps"), [], "sign.reject.lamps"),
        (("sign", "reject", "light"), [250, 0, 250], "only the first spell may be 0"),
        (("sign", "reject", "light"), BREATH, "standing signs"),
        (("sign", "reject", "urgent"), True, "standing signs"),
        (("sign", "reject", "beeps"), {"count": 3, "ms": 200, "tone_hz": 500}, "gap_ms is needed"),
        (("sign", "reject", "beeps"), BEEP | {"every_ms": 2000}, "standing signs"),
        (("sign", "unreadable", "beeps"), BEEP, "need every_ms"),
        (("sign", "unreadable", "beeps"), BEEP | {"every_ms": 1999}, "every_ms"),
        (("sign", "unreadable", "beeps"), BEEP | {"every_ms": 2000, "after_ms": 1940}, "every_ms is too short"),
        (("sign", "unreadable", "light"), BREATH | {"low": 1.0}, "low must be below high"),
        (("sign", "unreadable", "light"), BREATH | {"step_ms": 300}, "multiple of step_ms"),
        (("sign", "ready", "level"), 1.1, "sign.ready.level"),
        (("sign", "wave"), {"lamps": ["red"], "light": [1]}, "sign.wave"),
        (("kit", "basic", "lamps"), {"green": ["green"]}, "kit.basic.lamps must name every lamp"),
        (("kit", "basic", "sign"), {}, "sign ready in profile normal of kit basic has no lamp"),
        (("kit", "basic", "sign", "refer", "standing"), True, "kit.basic.sign.refer.standing"),
        (("profile", "night", "brightness"), 0, "profile.night.brightness"),
        (("profile", "night", "sign"), {"reject": {"light": BREATH}}, "sign reject in profile night of kit full"),
        (("work_light",), "torch", "work_light"),
    ],
)
def test_a_score_that_says_nonsense_is_refused_and_the_key_is_named(path: tuple[str, ...], value: object, named: str) -> None:
    """Unknown keys, values out of range, and lines that only a profile or a kit makes wrong."""
    tree = deepcopy(TREE)
    branch = tree
    for key in path[:-1]:
        branch = branch[key]
    branch[path[-1]] = value
    with pytest.raises(ValidationError, match=named.replace("(", r"\(")):
        Score.from_tree(tree)


@pytest.mark.parametrize("path", [("sign", "refer"), ("kit", "basic"), ("profile", "night")])
def test_a_score_without_a_part_is_refused(path: tuple[str, str]) -> None:
    """Every sign, kit and profile must be there."""
    tree = deepcopy(TREE)
    del tree[path[0]][path[1]]
    with pytest.raises(ValidationError, match=r"\.".join(path)):
        Score.from_tree(tree)
