"""Names of topics: built and taken apart in one place, and nothing that could leave a gate's own tree."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device.core import wire
from device.core.wire import topics
from device.core.wire.topics import Topic, is_gate, parse_topic

KNOWN = {
    "gates/v1/gate-07/up/checkin": Topic("gate-07", "up", "checkin"),
    "gates/v1/gate-07/up/audit": Topic("gate-07", "up", "audit"),
    "gates/v1/gate-07/up/state": Topic("gate-07", "up", "state"),
    "gates/v1/gate-07/up/hello": Topic("gate-07", "up", "hello"),
    "gates/v1/gate-07/up/health": Topic("gate-07", "up", "health"),
    "gates/v1/gate-07/up/config": Topic("gate-07", "up", "config"),
    "gates/v1/gate-07/up/cmd/c-1": Topic("gate-07", "up", "cmd", "c-1"),
    "gates/v1/gate-07/down/ack": Topic("gate-07", "down", "ack"),
    "gates/v1/gate-07/down/config": Topic("gate-07", "down", "config"),
    "gates/v1/gate-07/down/cmd/c-1": Topic("gate-07", "down", "cmd", "c-1"),
    "gates/v1/gate-07/down/list/staff": Topic("gate-07", "down", "list", "staff"),
    "gates/v1/gate-07/down/part/00ff-3": Topic("gate-07", "down", "part", "00ff-3"),
    "gates/v1/all/down/list/staff": Topic("all", "down", "list", "staff"),
    "gates/v1/all/down/part/00ff-3": Topic("all", "down", "part", "00ff-3"),
}


@pytest.mark.parametrize(("text", "topic"), KNOWN.items())
def test_a_topic_of_the_contract_is_taken_apart_and_put_together_again(text: str, topic: Topic) -> None:
    """Both ways the same."""
    assert parse_topic(text) == topic
    assert str(topic) == text
    assert (topics.up if topic.way == "up" else topics.down)(topic.gate, topic.kind, topic.name) == text


NAMELESS = (
    *("", "gates/v1/gate-07", "gates/v2/gate-07/up/state", "gates/v1/gate-07/up/other", "gates/v1/gate-07/down/state"),
    *("gates/v1/ab/up/state", "gates/v1/gate-07/up/cmd", "gates/v1/gate-07/up/cmd/", "gates/v1/gate-07/up/state/more"),
    *("gates/v1/gate-07/down/ack/more", "gates/v1/all/up/state", "gates/v1/all/down/ack", "gates/v1/all/down/cmd/c-1"),
    *("gates/v1/all/down/config", "x/gates/v1/gate-07/up/state"),
)


@pytest.mark.parametrize("text", NAMELESS)
def test_what_the_contract_does_not_name_is_none_of_its_topics(text: str) -> None:
    """Also not for all gates at once, but lists and their parts."""
    assert parse_topic(text) is None


@pytest.mark.parametrize(
    ("gate", "kind", "name"),
    [("Gate", "state", ""), ("a/b", "state", ""), ("gate-07", "cmd", ""), ("gate-07", "cmd", "x/y"), ("all", "state", "")],
)
def test_a_gate_or_a_name_that_could_leave_its_tree_is_refused(gate: str, kind: str, name: str) -> None:
    """The error says which topic it would have been."""
    with pytest.raises(ValueError, match=r"^no topic of the contract: 'gates/v1/"):
        topics.up(gate, kind, name)


def test_filters_hold_one_name_open_and_only_that() -> None:
    """All commands to a gate; all lists of one, or of everybody."""
    assert wire.down_filter("gate-07", "cmd") == "gates/v1/gate-07/down/cmd/+"
    assert wire.down_filter("all", "list") == "gates/v1/all/down/list/+"
    with pytest.raises(ValueError, match="no topic of the contract"):
        wire.down_filter("gate/07", "cmd")
    with pytest.raises(ValueError, match="no topic of the contract"):
        wire.down_filter("gate-07", "state")


def test_a_part_is_named_by_its_digest_and_number() -> None:
    """The first half of the digest is enough, and no topic gets too long."""
    assert topics.part("gate-07", "ab" * 32, 12) == f"gates/v1/gate-07/down/part/{'ab' * 16}-12"
    assert topics.part("all", "cd" * 32, 0) == f"gates/v1/all/down/part/{'cd' * 16}-0"


def test_the_word_for_every_gate_is_no_gate() -> None:
    """Ids have 3 to 32 small letters, digits and hyphens."""
    assert is_gate("abc")
    assert is_gate("a" * 32)
    assert [name for name in ("all", "ab", "a" * 33, "Abc", "a_b", "") if is_gate(name)] == []


def test_an_event_says_where_it_comes_from() -> None:
    """The attribute that CloudEvents want."""
    assert topics.source("gate-07") == "/gates/gate-07"


@pytest.mark.parametrize(
    ("built", "text"),
    [
        (wire.up("gate-7", "checkin"), "gates/v1/gate-7/up/checkin"),
        (wire.up("gate-7", "cmd", "c-1"), "gates/v1/gate-7/up/cmd/c-1"),
        (wire.down("gate-7", "ack"), "gates/v1/gate-7/down/ack"),
        (wire.down(wire.ALL, "list", "deny"), "gates/v1/all/down/list/deny"),
        (wire.down_filter("gate-7", "cmd"), "gates/v1/gate-7/down/cmd/+"),
        (wire.down_filter(wire.ALL, "list"), "gates/v1/all/down/list/+"),
    ],
)
def test_topics_are_spelled_as_the_contract_says(built: str, text: str) -> None:
    """Each topic of the table."""
    assert built == text


@pytest.mark.parametrize("gate", ["", "ab", "a" * 33, "Gate-7", "gate_7", "gate/7", "gate+", "gate#", "../x", "gate 7", "gáte", "all"])
def test_a_gate_id_that_could_leave_its_own_tree_builds_no_topic(gate: str) -> None:
    """Wildcards, slashes, capitals and the word for every gate are refused when a topic is built."""
    with pytest.raises(ValueError, match="no topic"):
        wire.up(gate, "checkin")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "gates/v1/gate-7",
        "gates/v1/gate-7/up",
        "gates/v1/gate-7/up/",
        "gates/v1/gate-7/up/invented",
        "gates/v1/gate-7/up/checkin/more",
        "gates/v1/gate-7/up/checkin\n",
        "gates/v2/gate-7/up/checkin",
        "gates/v1/all/up/checkin",
        "gates/v1/all/down/ack",
        "gates/v1/all/down/cmd/c-1",
        "gates/v1/gate-7/down/cmd/",
        "gates/v1/gate-7/down/cmd/" + "a" * 65,
        "/gates/v1/gate-7/up/checkin",
    ],
)
def test_what_the_contract_does_not_name_is_no_topic(text: str) -> None:
    """Parsing is exact."""
    assert wire.parse_topic(text) is None


@given(st.text(max_size=80))
def test_parsing_a_topic_never_raises_and_round_trips(text: str) -> None:
    """Whatever is taken apart is put together again as it was."""
    topic = wire.parse_topic(text)
    assert topic is None or str(topic) == text


@given(st.from_regex(r"[a-z0-9-]{3,32}", fullmatch=True), st.from_regex(r"[a-z0-9-]{1,64}", fullmatch=True))
def test_every_gate_and_command_has_topics_that_parse_back(gate: str, name: str) -> None:
    """Building and parsing are inverses."""
    if wire.is_gate(gate):
        assert wire.parse_topic(wire.up(gate, "cmd", name)) == wire.Topic(gate, "up", "cmd", name)
        assert wire.parse_topic(wire.down(gate, "list", name)) == wire.Topic(gate, "down", "list", name)
