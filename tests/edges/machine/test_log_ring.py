"""The newest lines of the log, for an order that asks for them."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from device.edges.machine.log_ring import LINE_LETTERS, LINES, TEXT_LETTERS, LogRing


@pytest.fixture
def log() -> Iterator[logging.Logger]:
    """A logger of its own, heard by a ring."""
    made, ring = logging.getLogger("part"), LogRing()
    made.setLevel(logging.DEBUG)
    made.addHandler(ring)
    yield made
    made.removeHandler(ring)
    made.setLevel(logging.NOTSET)


def ring(log: logging.Logger) -> LogRing:
    """The ring that hears it."""
    (handler,) = log.handlers
    assert isinstance(handler, LogRing)
    return handler


def test_the_newest_lines_come_oldest_first(log: logging.Logger) -> None:
    """Each with its time, its level and who said it."""
    for number in range(5):
        log.warning("line %d", number)
    lines = ring(log).text(2).split("\n")
    assert [line.partition(" WARNING part: ")[2] for line in lines] == ["line 3", "line 4"]
    assert all(line[:2] == "20" for line in lines)


def test_what_is_below_info_is_not_kept(log: logging.Logger) -> None:
    """A gate that is being debugged still tells the province no more."""
    log.debug("detail")
    log.info("fact")
    assert ring(log).text(9).endswith("INFO part: fact")
    assert "detail" not in ring(log).text(9)


def test_memory_and_message_are_bounded(log: logging.Logger) -> None:
    """500 lines of 300 letters are kept, and 60,000 letters told: the newest."""
    for number in range(LINES + 1):
        log.info("%d %s", number, "x" * LINE_LETTERS)
    text = ring(log).text(LINES + 1)
    assert len(text) == TEXT_LETTERS
    assert text.rpartition("\n")[2].partition("part: ")[2].startswith(f"{LINES} xx")
    assert {len(line) for line in text.split("\n")[1:]} == {LINE_LETTERS}


def test_no_more_lines_are_kept_than_fit(log: logging.Logger) -> None:
    """Of more than 500 lines the oldest go."""
    for number in range(LINES + 1):
        log.info("%d", number)
    lines = ring(log).text(2 * LINES).split("\n")
    assert len(lines) == LINES
    assert lines[0].endswith("part: 1")
