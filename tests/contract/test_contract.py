"""The contract's documents: generated, committed, readable by strangers, and true of every message."""

from __future__ import annotations

import copy
import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator
from pydantic import ValidationError

from device.core import wire
from device.workbench import contract
from device.workbench.contract_examples import EXAMPLES, GATE
from tests.contract.validate import assert_valid, validator

with warnings.catch_warnings():
    # The package names a field like an attribute of pydantic's base class and says so on import.
    warnings.simplefilter("ignore", UserWarning)
    from asyncapi3 import AsyncAPI3

ALL_EXAMPLES = [(message, name) for message, examples in EXAMPLES.items() for name in examples]
TOPICS = {
    message.name: message.address.format(gate=GATE, command="c-0001", list="deny", claim=f"claim-{GATE}-00c0ffee")
    for message in contract.MESSAGES
    if message.name != "list-all"
}


def committed() -> dict[str, Any]:
    """The AsyncAPI document as it is committed."""
    document: dict[str, Any] = json.loads((contract.FOLDER / "asyncapi.json").read_text(encoding="utf-8"))
    return document


def references(node: object) -> Iterator[str]:
    """Every `$ref` in a document."""
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def resolve(document: object, reference: str) -> object:
    """What a local `$ref` points to."""
    node = document
    for part in reference.removeprefix("#/").split("/"):
        assert isinstance(node, dict), reference
        node = node[part]
    return node


def test_the_committed_documents_are_what_the_models_say() -> None:
    """A change of a model without its documents is noticed."""
    kept = {str(path.relative_to(contract.FOLDER)): path.read_text(encoding="utf-8") for path in contract.FOLDER.rglob("*.json")}
    assert kept == contract.documents(), "run `python -m device.workbench.contract`"


def test_the_asyncapi_document_is_read_by_a_package_that_knows_nothing_of_ours() -> None:
    """The whole document is valid AsyncAPI 3.0, bindings included."""
    document = AsyncAPI3.model_validate(committed())
    assert document.asyncapi == "3.0.0"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("operations", "send-checkin", "action"), "publish"),
        (("operations", "send-checkin", "bindings", "mqtt", "qos"), 3),
        (("channels", "checkin", "adress"), "x"),
        (("asyncapi",), "2.6.0"),
    ],
)
def test_that_package_refuses_a_document_that_is_no_asyncapi_3(path: tuple[str, ...], value: object) -> None:
    """The check above can fail."""
    document = copy.deepcopy(committed())
    node: Any = document
    for part in path[:-1]:
        node = node[part]
    node[path[-1]] = value
    with pytest.raises(ValidationError):
        AsyncAPI3.model_validate(document)


def test_every_reference_of_the_asyncapi_document_leads_somewhere() -> None:
    """No dangling `$ref`."""
    document = committed()
    found = list(references(document))
    assert len(found) > 50
    assert all(resolve(document, reference) is not None for reference in found)


def test_the_schemas_inside_the_asyncapi_document_hold_for_its_own_examples() -> None:
    """A reader who knows only the AsyncAPI document (JSON Schema draft 7) comes to the same result."""
    document = committed()
    count = 0
    for message in document["components"]["messages"].values():
        schema = {**message["payload"], "components": document["components"]}
        for example in message["examples"]:
            Draft7Validator(schema).validate(example["payload"])
            count += 1
    assert count >= len(ALL_EXAMPLES)


@pytest.mark.parametrize(("message", "name"), ALL_EXAMPLES)
def test_every_example_is_valid(message: str, name: str) -> None:
    """Examples hold against the committed schema and the strict models."""
    assert_valid(TOPICS[message], json.dumps(EXAMPLES[message][name], ensure_ascii=False).encode())


def test_every_message_of_the_contract_has_an_example_and_every_audit_event_too() -> None:
    """Nothing is documented without being shown."""
    assert EXAMPLES.keys() == TOPICS.keys()
    facts = {fact.model_fields["what"].default for fact in wire.AuditFact.__args__}
    assert EXAMPLES["audit"].keys() == facts


def test_every_topic_of_the_code_is_a_channel_of_the_document() -> None:
    """The document's addresses are the ones that the program accepts."""
    claim = f"claim-{GATE}-00c0ffee"
    assert (TOPICS["enrol"], TOPICS["enrol-answer"]) == (wire.enrol_up(claim), wire.enrol_down(claim))
    for name, topic in TOPICS.items():
        if name in {"enrol", "enrol-answer"}:
            continue
        parsed = wire.parse_topic(topic)
        assert parsed is not None, name
        assert str(parsed) == topic
    assert wire.parse_topic("gates/v1/all/down/list/deny") is not None


@pytest.mark.parametrize(("message", "name"), ALL_EXAMPLES)
def test_consumers_ignore_what_they_do_not_know(message: str, name: str) -> None:
    """A newer gate's additional members do not make a message invalid for an older reader."""
    newer = {**EXAMPLES[message][name], "added_later": {"any": 1}}
    assert not list(validator(message).iter_errors(newer))


@pytest.mark.parametrize(("message", "name"), ALL_EXAMPLES)
def test_no_member_that_is_required_can_be_left_out(message: str, name: str) -> None:
    """The schemas say what is needed."""
    schema = json.loads((contract.FOLDER / "schemas" / f"{message}.json").read_text(encoding="utf-8"))
    assert schema["required"]
    for member in schema["required"]:
        rest = {key: value for key, value in EXAMPLES[message][name].items() if key != member}
        assert list(validator(message).iter_errors(rest)), member


def test_an_audit_event_of_no_known_kind_is_not_valid() -> None:
    """`what` decides which members there are."""
    event = copy.deepcopy(EXAMPLES["audit"]["gap"])
    event["data"]["what"] = "invented"
    assert list(validator("audit").iter_errors(event))


def test_the_generator_says_which_document_is_stale(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--check` names stale files and returns 1; without it they are written, and a leftover goes."""
    monkeypatch.setattr(contract, "FOLDER", tmp_path)
    (tmp_path / "leftover.json").write_text("{}", encoding="utf-8")
    assert contract.main(["--check"]) == 1
    assert "asyncapi.json is out of date" in capsys.readouterr().err
    assert contract.main([]) == 0
    assert contract.main(["--check"]) == 0
    assert not (tmp_path / "leftover.json").exists()
