"""RabbitMQ 4 for a cluster: where one Mosquitto is not enough, or may not be the only one. Each node gets the same files.

A user for each gate that has a card, without a password: its certificate is the only way in. Enrolment stays with Mosquitto.
RabbitMQ's words for topics are those of AMQP: ``a/b`` is ``a.b``, ``+`` is ``*``. A subscription is refused as a
whole where Mosquitto only holds back what may not be heard, so the rules name filters as well as topics.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from provisioning.authority.authority import Authority
from provisioning.authority.keys import Purpose
from provisioning.broker.config_files import GATES_PORT, service
from provisioning.common.errors import Refused
from provisioning.registry.tables import GONE, Gate, GateState

LEAST_NODES: Final = 3
"""Two nodes agree on nothing when they lose sight of each other."""
WITHOUT_USER: Final = GONE | {GateState.PLANNED}
PLUGINS: Final = "[rabbitmq_mqtt,rabbitmq_auth_mechanism_ssl].\n"
ADVANCED: Final = """\
%% A client's id is its certificate's name; rabbitmq.conf has no word for this. Without it a gate could throw another out.
[{rabbitmq_mqtt, [{ssl_cert_client_id_from, common_name}]}].
"""
_NODE: Final = re.compile(r"[a-z][a-z0-9_-]{0,31}@[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?", re.ASCII)
_VHOST: Final = "/"
_LEVEL: Final = r"[^.#]+"
_CONF: Final = """\
# All files belong to root:rabbitmq and may be read by that group, server.key.pem by nobody else.
# The definitions are read when a node starts. While the cluster runs, on one node, after each new edition of the files:
#   rabbitmqctl import_definitions {etc}/definitions.json
#   xargs -r -n 1 rabbitmqctl delete_user <{etc}/former-gates.txt    (an import deletes nobody)
# The nodes' own ports (4369 and 25672) are for the nodes alone: keep them behind a firewall, and one cookie on all nodes.
listeners.tcp = none
mqtt.listeners.tcp = none
mqtt.listeners.ssl.default = {port}
ssl_options.cacertfile = {etc}/gates-clients.pem
ssl_options.certfile = {etc}/server.cert.pem
ssl_options.keyfile = {etc}/server.key.pem
ssl_options.verify = verify_peer
ssl_options.fail_if_no_peer_cert = true
ssl_options.versions.1 = tlsv1.3
ssl_options.versions.2 = tlsv1.2
auth_mechanisms.1 = EXTERNAL
anonymous_login_user = none
ssl_cert_login_from = common_name
mqtt.ssl_cert_login = true
mqtt.allow_anonymous = false
mqtt.vhost = /
mqtt.exchange = amq.topic
mqtt.durable_queue_type = quorum
mqtt.max_session_expiry_interval_seconds = 1209600
mqtt.prefetch = 20
mqtt.max_packet_size_unauthenticated = 65536
mqtt.max_packet_size_authenticated = 262144
mqtt.retained_message_store = rabbit_mqtt_retained_msg_store_dets
definitions.import_backend = local_filesystem
definitions.local.path = {etc}/definitions.json
vm_memory_high_watermark.relative = 0.4
disk_free_limit.absolute = 2GB
cluster_partition_handling = pause_minority
cluster_formation.peer_discovery_backend = classic_config
cluster_formation.target_cluster_size_hint = {count}
"""


def rabbitmq_files(
    authority: Authority, passphrase: str, hosts: Sequence[str], nodes: Sequence[str], gates: Sequence[Gate], etc: Path
) -> Mapping[str, bytes]:
    """Everything for each node, which will find it in ``etc``. Raises Refused: E190, E191, and like the authority."""
    return {
        "rabbitmq.conf": conf(etc, nodes).encode(),
        "advanced.config": ADVANCED.encode(),
        "enabled_plugins": PLUGINS.encode(),
        "definitions.json": definitions(gates).encode(),
        "former-gates.txt": "".join(f"{gate.id}\n" for gate in gates if gate.state in GONE).encode(),
        "gates-clients.pem": authority.anchor(Purpose.GATES) + authority.anchor(Purpose.SERVICES),
        **service(authority, passphrase, "server", hosts),
    }


def conf(etc: Path, nodes: Sequence[str], port: int | str = GATES_PORT) -> str:
    """The configuration of each node; ``port`` may have an address before it. Raises Refused (E190, E191)."""
    for node in nodes:
        if not _NODE.fullmatch(node):
            raise Refused("E190", node=node)
    if len(set(nodes)) != len(nodes) or len(nodes) < LEAST_NODES or not len(nodes) % 2:
        raise Refused("E191", nodes=", ".join(nodes), least=LEAST_NODES)
    known = "".join(f"cluster_formation.classic_config.nodes.{number} = {node}\n" for number, node in enumerate(nodes, 1))
    return _CONF.format(etc=etc, port=port, count=len(nodes)) + known


def definitions(gates: Iterable[Gate]) -> str:
    """Users and what they may do, for the gates that have a card, the collector and the desk."""
    every, below = rf"gates\.v1\.{_LEVEL}", r"\..+"
    rules = {
        "collector": (rf"^{every}\.down\.ack$", rf"^{every}\.up{below}$"),
        "desk": (rf"^{every}\.down{below}$", rf"^{every}\.up{below}$"),
        **{gate.id: _own(gate.id) for gate in gates if gate.state not in WITHOUT_USER},
    }
    made = {
        "vhosts": [{"name": _VHOST}],
        "users": [_user(name) for name in rules],
        "permissions": [_sessions(name) for name in rules],
        "topic_permissions": [
            {"user": name, "vhost": _VHOST, "exchange": "amq.topic", "write": write, "read": read} for name, (write, read) in rules.items()
        ],
        # A full session refuses what is new, and its sender is told: what was taken is kept.
        "policies": [
            {
                "vhost": _VHOST,
                "name": "sessions",
                "pattern": "^mqtt-subscription-",
                "apply-to": "queues",
                "priority": 0,
                "definition": {"max-length": 100_000, "overflow": "reject-publish"},
            }
        ],
    }
    return json.dumps(made, indent=1, sort_keys=True) + "\n"


def _own(gate: str) -> tuple[str, str]:
    """What a gate may say, and hear."""
    name = re.escape(gate)
    return rf"^gates\.v1\.{name}\.up\..+$", rf"^gates\.v1\.(?:{name}|all)\.down\..+$"


def _user(name: str) -> Mapping[str, object]:
    """With an empty hash, which no password has."""
    return {"name": name, "password_hash": "", "hashing_algorithm": "rabbit_password_hashing_sha256", "tags": [], "limits": {}}


def _sessions(name: str) -> Mapping[str, str]:
    """The queues of its own session and of its will; and messages to and from the exchange, as far as its topics go.

    A will waits for its delay in a queue behind the default exchange. By MQTT nothing else goes there, and its topic is judged like others.
    """
    queues = rf"mqtt-subscription-{re.escape(name)}qos[01]|mqtt-will-{re.escape(name)}"
    return {
        "user": name,
        "vhost": _VHOST,
        "configure": f"^(?:{queues})$",
        "write": rf"^(?:{queues}|amq\.topic|amq\.default)$",
        "read": rf"^(?:{queues}|amq\.topic)$",
    }
