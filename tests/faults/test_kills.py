"""Gate, eye, broker and collector killed at random moments, singly and together: nothing shown is lost, nothing is there twice."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Final

import pytest

from tests.faults.site import VICTIMS, Site, say, site

SHORT: Final = 4
LONG: Final = int(os.environ.get("GATE_FAULT_KILLS", "50"))
TOGETHER: Final = 0.65
"""How likely each is among the victims of one moment."""


def check(one: Site, kills: int) -> None:
    """Kill until each was killed so often, let it settle, compare what was shown with what the province holds."""
    one.wait_answers(3)
    while owing := [victim for victim in VICTIMS if one.kills[victim] < kills]:
        victims = {victim for victim in owing if one.chance.random() < TOGETHER}
        time.sleep(one.chance.uniform(0.0, 1.0))
        one.kill(victims)
        # The next kill waits for a sign of life, or the gate would be killed in its start every time.
        one.wait_answers(during=f"after killing {sorted(victims)}")
    one.settle()
    found = one.compare()
    say(f"kills {one.kills}: {found}")
    assert found.faults == (0, 0, 0, 0), found
    assert found.epochs == 1, found
    # An event whose lamp a kill prevented is right; more of them than kills of the gate would hide a loss.
    assert 0 <= found.unseen <= one.kills["gate"] + 1, found


@pytest.mark.timeout(300)
@pytest.mark.slow
def test_a_few_kills_of_each_lose_nothing_and_double_nothing(tmp_path: Path) -> None:
    """The short form."""
    with site(tmp_path, seed=1) as one:
        check(one, SHORT)


@pytest.mark.timeout(120)
@pytest.mark.slow
def test_a_gate_that_takes_a_brokers_word_loses_events_and_the_oracle_sees_it(tmp_path: Path) -> None:
    """The control: a broker that acknowledges from memory is killed while the province is away."""
    with site(tmp_path, overrides={"broker": {"confirm": "broker", "keep_after_puback_h": 0.0}}) as one:
        one.wait_answers(2)
        one.down({"collector"})
        one.wait_answers(5)
        one.kill({"broker"})
        one.up({"collector"})
        one.settle()
        found = one.compare()
    say(f"control, a broker's word taken for safe: {found}")
    assert found.lost > 0
    assert found.unexplained > 0


@pytest.mark.timeout(6 * 3600)
@pytest.mark.soak
def test_many_kills_of_each_lose_nothing_and_double_nothing(tmp_path: Path) -> None:
    """The long form: fifty of each, or as many as GATE_FAULT_KILLS says."""
    with site(tmp_path, seed=2) as one:
        check(one, LONG)
