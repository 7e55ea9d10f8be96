"""The contract as documents: JSON Schemas and an AsyncAPI 3 document, generated from the models of ``device.core.wire``.

``python -m device.workbench.contract`` writes them into ``device/contract``;
with ``--check`` it only says whether they are up to date.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from device.core import wire
from device.edges.broker.announcements import HEALTH_PERIODS_KEPT, HELLO_EXPIRY_S, WILL_DELAY_S
from device.edges.broker.values import Peer
from device.workbench.contract_examples import EXAMPLES, GATE

FOLDER: Final = Path(__file__).resolve().parent.parent / "contract"
DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
VERSION: Final = "1.0.0"
EVENTS: Final = "application/cloudevents+json"
PLAIN: Final = "application/json"
ACK_EXPIRY_S: Final = 3600
COMMAND_EXPIRY_S: Final = 86_400


@dataclass(frozen=True, slots=True)
class Message:
    """One kind of message: its topic with placeholders, its model and how it is published."""

    name: str
    address: str
    model: type[BaseModel]
    action: Literal["send", "receive"]
    summary: str
    qos: int = 1
    retain: bool = False
    expiry_s: int | None = None
    content_type: str = PLAIN

    @property
    def schema_name(self) -> str:
        """Name of the schema's file, without its ending."""
        return self.name


_UP: Final = "gates/v1/{gate}/up"
_DOWN: Final = "gates/v1/{gate}/down"

MESSAGES: Final = (
    Message("checkin", f"{_UP}/checkin", wire.CheckinEvent, "send", "One decision about one showing of one code.", content_type=EVENTS),
    Message("audit", f"{_UP}/audit", wire.AuditEvent, "send", "Something about the gate itself.", content_type=EVENTS),
    Message("state", f"{_UP}/state", wire.StateMessage, "send", "Whether the gate is connected; also the will.", retain=True),
    Message(
        "hello", f"{_UP}/hello", wire.HelloMessage, "send", "First message of a connection: what the gate holds.", expiry_s=HELLO_EXPIRY_S
    ),
    Message(
        "health",
        f"{_UP}/health",
        wire.HealthMessage,
        "send",
        f"How the gate is. Expires after {HEALTH_PERIODS_KEPT} periods.",
        qos=0,
        expiry_s=HEALTH_PERIODS_KEPT * 60,
    ),
    Message("config-report", f"{_UP}/config", wire.ConfigReport, "send", "What became of the desired configuration.", retain=True),
    Message("command-state", f"{_UP}/cmd/{{command}}", wire.CommandState, "send", "How far a command is."),
    Message("ack", f"{_DOWN}/ack", wire.Ack, "receive", "These events are safe at the province.", expiry_s=ACK_EXPIRY_S),
    Message("config", f"{_DOWN}/config", wire.DesiredConfig, "receive", "The desired configuration: signed, versioned.", retain=True),
    Message("command", f"{_DOWN}/cmd/{{command}}", wire.Command, "receive", "A signed order. Never retained.", expiry_s=COMMAND_EXPIRY_S),
    Message("list", f"{_DOWN}/list/{{list}}", wire.ListManifest, "receive", "Signed manifest of a list, at most 4 KiB.", retain=True),
    Message("list-all", "gates/v1/all/down/list/{list}", wire.ListManifest, "receive", "The same for every gate.", retain=True),
    Message("enrol", "enrol/{claim}/up", wire.EnrolRequest, "send", "At the enrolment broker: a new gate asks for its certificate."),
    Message(
        "enrol-answer",
        "enrol/{claim}/down",
        wire.EnrolAnswer,
        "receive",
        "At the enrolment broker: the answer.",
        expiry_s=600,
    ),
)

_PARAMETERS: Final = {
    "gate": "Id of the gate, the common name of its certificate: 3 to 32 of a-z, 0-9 and the hyphen; never `all`.",
    "command": "Id of the command: 1 to 64 of a-z, 0-9 and the hyphen.",
    "claim": "Common name of the single-use certificate on the card: `claim-`, the gate's id, a hyphen and eight hexadecimal digits.",
    "list": "Name of the list: 1 to 64 of a-z, 0-9 and the hyphen.",
}


def documents() -> dict[str, str]:
    """Every document by its path below the folder, as text."""
    made = {f"schemas/{message.schema_name}.json": _text(standalone(message)) for message in MESSAGES if message.name != "list-all"}
    made["asyncapi.json"] = _text(asyncapi())
    return made


def standalone(message: Message) -> dict[str, Any]:
    """The JSON Schema of one message, complete in itself."""
    schema = _plain(message.model.model_json_schema())
    return {"$schema": DIALECT, "$id": f"urn:gate:schema:{message.schema_name}:v1", **schema}


def asyncapi() -> dict[str, Any]:
    """The AsyncAPI 3 document, seen from a gate: it sends what is ``up`` and receives what is ``down``."""
    _, schemas = models_json_schema([(message.model, "validation") for message in MESSAGES], ref_template="#/components/schemas/{model}")
    return {
        "asyncapi": "3.0.0",
        "id": "urn:gate:contract:v1",
        "info": {
            "title": "Gate to province",
            "version": VERSION,
            "description": (
                "What an unattended gate says and is told over MQTT 5. Events are CloudEvents 1.0 in structured JSON. "
                "The key and the order of an event are (source, epoch, sequence). Consumers ignore members that they do not know. "
                "A body never changes once it was published; user properties `attempt` and `sent` do."
            ),
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": PLAIN,
        "servers": {"province": _server()},
        "channels": {message.name: _channel(message) for message in MESSAGES},
        "operations": {f"{message.action}-{message.name}": _operation(message) for message in MESSAGES},
        "components": {
            "messages": {message.name: _message(message) for message in MESSAGES},
            "schemas": _plain(schemas["$defs"]),
        },
    }


def _server() -> dict[str, Any]:
    peer = Peer("", 0, None, GATE)
    will = {
        "topic": f"{_UP}/state",
        "qos": 1,
        "retain": True,
        "message": f"The state with `online` false, after a delay of {WILL_DELAY_S} s.",
    }
    mqtt = {
        "clientId": "{gate}",
        "cleanSession": False,
        "keepAlive": peer.keepalive_s,
        "sessionExpiryInterval": peer.session_expiry_s,
        "maximumPacketSize": peer.maximum_packet_bytes,
        "lastWill": will,
        "bindingVersion": "0.2.0",
    }
    return {
        "host": "{host}:{port}",
        "protocol": "secure-mqtt",
        "protocolVersion": "5.0",
        "description": "The province's broker. Mutual TLS, at least 1.2; the certificate's common name is the user and the client id.",
        "variables": {"host": {"description": "`[broker] host` of the gate's configuration."}, "port": {"default": "8883"}},
        "security": [{"type": "X509", "description": "The gate's own certificate; its key never leaves the gate."}],
        "bindings": {"mqtt": mqtt},
    }


def _channel(message: Message) -> dict[str, Any]:
    parameters = {name: {"description": text} for name, text in _PARAMETERS.items() if f"{{{name}}}" in message.address}
    return {
        "address": message.address,
        "summary": message.summary,
        "messages": {message.name: {"$ref": f"#/components/messages/{message.name}"}},
        "parameters": parameters,
    }


def _operation(message: Message) -> dict[str, Any]:
    binding: dict[str, Any] = {"qos": message.qos, "retain": message.retain, "bindingVersion": "0.2.0"}
    if message.expiry_s is not None:
        binding["messageExpiryInterval"] = message.expiry_s
    return {
        "action": message.action,
        "channel": {"$ref": f"#/channels/{message.name}"},
        "summary": message.summary,
        "messages": [{"$ref": f"#/channels/{message.name}/messages/{message.name}"}],
        "bindings": {"mqtt": binding},
    }


def _message(message: Message) -> dict[str, Any]:
    examples = EXAMPLES["list" if message.name == "list-all" else message.name]
    return {
        "name": message.name,
        "title": message.summary,
        "contentType": message.content_type,
        "payload": {"$ref": f"#/components/schemas/{message.model.__name__}"},
        "bindings": {"mqtt": {"payloadFormatIndicator": 1, "contentType": message.content_type, "bindingVersion": "0.2.0"}},
        "examples": [{"name": name, "payload": payload} for name, payload in examples.items()],
    }


def _plain(node: Any) -> Any:  # noqa: ANN401 - any JSON
    """A schema for readers: open to members that are newer, null only where it is really said, no titles made of names."""
    if isinstance(node, list):
        return [_plain(item) for item in node]
    if not isinstance(node, dict):
        return node
    kept = {
        name: _plain(value)
        for name, value in node.items()
        if name not in {"additionalProperties", "discriminator"} and not (name == "title" and isinstance(value, str))
    }
    if isinstance(kept.get("properties"), dict):
        required = set(kept.get("required", []))
        kept["properties"] = {name: value if name in required else _without_null(value) for name, value in kept["properties"].items()}
    return kept


def _without_null(schema: Mapping[str, Any]) -> dict[str, Any]:
    """What is not required is left out, never null."""
    kept = {name: value for name, value in schema.items() if name != "default" or value is not None}
    choices = [choice for choice in kept.get("anyOf", []) if choice != {"type": "null"}]
    if len(choices) == 1:
        del kept["anyOf"]
        return {**choices[0], **kept}
    return kept


def _text(document: dict[str, Any]) -> str:
    return json.dumps(document, ensure_ascii=False, indent=1) + "\n"


def main(words: Sequence[str] | None = None) -> int:
    """Write the documents, or check them: 1 when one is out of date."""
    parser = argparse.ArgumentParser(prog="python -m device.workbench.contract", description="Writes the contract's documents.")
    parser.add_argument("--check", action="store_true", help="write nothing; say which documents are out of date")
    options = parser.parse_args(words)
    made = documents()
    kept = {str(path.relative_to(FOLDER)): path.read_text(encoding="utf-8") for path in FOLDER.rglob("*.json")}
    stale = sorted(name for name in made.keys() | kept.keys() if made.get(name) != kept.get(name))
    if options.check:
        for name in stale:
            print(f"{name} is out of date: run `python -m device.workbench.contract`", file=sys.stderr)
        return 1 if stale else 0
    for name in stale:
        path = FOLDER / name
        if name in made:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(made[name], encoding="utf-8")
        else:
            path.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main())
