"""The report's charts: letters stay letters, the same figures give the same bytes, and the largest rows are shown."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta

import pytest
from PIL import Image

from provisioning.fleet import charts
from provisioning.fleet.charts import COLOURS, MOST_ROWS, Form
from provisioning.fleet.summary import SILENT, STATES

LEGEND = {state: f"trạng thái {state}" for state in (*STATES, SILENT)}


def rows(count: int, **figures: int) -> dict[str, dict[str, int]]:
    """So many communes with the same figures."""
    one = {**dict.fromkeys(STATES, 0), SILENT: 0, **figures}
    return {f"xã {number}": one for number in range(count)}


def test_each_state_has_a_colour_of_its_own() -> None:
    """A new state must be given one."""
    assert set(COLOURS) == set(STATES)
    assert len(set(COLOURS.values())) == len(STATES)


def test_a_drawing_for_the_page_can_be_searched_and_is_the_same_each_time() -> None:
    """Vietnamese letters stand in it as letters; a file of a report can be compared."""
    one, again = (charts.rollout(rows(3, planned=2), {}, LEGEND, "svg") for _ in range(2))
    assert one == again
    assert one.startswith(b"<svg")
    assert "xã 2".encode() in one
    assert "trạng thái planned".encode() in one


def test_only_so_many_rows_are_drawn_and_silence_is_written_beside_its_row() -> None:
    """The rest stands in the table."""
    drawn = charts.rollout(rows(MOST_ROWS + 1, silent=4), {"xã 0": "phường Pleiku"}, LEGEND, "svg").decode()
    assert f"xã {MOST_ROWS - 1}<" in drawn
    assert f"xã {MOST_ROWS}<" not in drawn
    assert "phường Pleiku" in drawn
    assert drawn.count(f"{LEGEND[SILENT]}: 4") == MOST_ROWS


@pytest.mark.parametrize("form", ["svg", "png"])
def test_people_are_drawn_in_either_form(form: Form) -> None:
    """In above the line and out below, with both words."""
    start = datetime(2026, 11, 27, tzinfo=UTC)
    hours = {start + timedelta(hours=hour): (hour, 2 * hour) for hour in range(30)}
    drawn = charts.people(hours, ("vào", "ra"), form)
    if form == "png":
        assert Image.open(io.BytesIO(drawn)).size == (1600, 520)
    else:
        assert "vào".encode() in drawn
