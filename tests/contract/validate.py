"""Holds any message against the committed contract, as a consumer in another language would, and against our own strict models."""

from __future__ import annotations

import functools
import json
from typing import Any, Final

from jsonschema import Draft202012Validator
from pydantic import BaseModel

from device.core import wire
from device.workbench.contract import FOLDER, MESSAGES

_KINDS: Final = {
    ("up", "checkin"): "checkin",
    ("up", "audit"): "audit",
    ("up", "state"): "state",
    ("up", "hello"): "hello",
    ("up", "health"): "health",
    ("up", "config"): "config-report",
    ("up", "cmd"): "command-state",
    ("down", "ack"): "ack",
    ("down", "config"): "config",
    ("down", "cmd"): "command",
    ("down", "list"): "list",
}


def assert_valid(topic: str, payload: bytes) -> None:
    """Fail unless `topic` is one of the contract's and `payload` is what it promises."""
    parsed = wire.parse_topic(topic)
    enrolment = {wire.enrol_up: "enrol", wire.enrol_down: "enrol-answer"}
    claim = topic.split("/")[1] if topic.startswith("enrol/") else None
    name = next((kind for address, kind in enrolment.items() if claim is not None and address(claim) == topic), None)
    assert name is not None or parsed is not None, f"no topic of the contract: {topic}"
    if parsed is not None:
        name = _KINDS[parsed.way, parsed.kind]
    assert name is not None
    content = json.loads(payload)
    found = [f"{'.'.join(map(str, error.absolute_path)) or 'message'}: {error.message}" for error in validator(name).iter_errors(content)]
    assert not found, f"{topic}: {found}"
    model(name).model_validate_json(payload)
    if parsed is not None and parsed.kind in {"checkin", "audit"}:
        assert content["source"] == wire.source(parsed.gate), f"{topic}: source {content['source']}"


@functools.cache
def validator(name: str) -> Draft202012Validator:
    """The validator of one committed schema."""
    schema: dict[str, Any] = json.loads((FOLDER / "schemas" / f"{name}.json").read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def model(name: str) -> type[BaseModel]:
    """Our own model of a message."""
    return next(message.model for message in MESSAGES if message.name == name)
