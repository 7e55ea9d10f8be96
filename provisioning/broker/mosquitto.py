"""Mosquitto for one machine: the gates' broker, and a second one for enrolment alone.

Two brokers, because the claims' authority lives where cards are written: whoever
stole it could make a certificate in any gate's name, and the gates' broker must not take it.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

_GATES_ACCESS: Final = """\
# The certificate's common name is the user's name, and the client's id.
pattern write gates/v1/%u/up/#
pattern read gates/v1/%u/down/#
pattern read gates/v1/all/down/#

user collector
topic read gates/v1/+/up/#
topic write gates/v1/+/down/ack

user desk
topic read gates/v1/+/up/#
topic write gates/v1/+/down/#
topic write gates/v1/all/down/#
"""
_GONE: Final = """
user {gate}
topic deny gates/#
topic deny $SYS/#
"""
ENROL_ACCESS: Final = """\
pattern write enrol/%u/up
pattern read enrol/%u/down

user enrolment
topic read enrol/+/up
topic write enrol/+/down
"""
_COMMON: Final = """\
per_listener_settings false
allow_anonymous false
require_certificate true
use_identity_as_username true
use_username_as_clientid true
tls_version tlsv1.2
acl_file {folder}/{name}.acl
cafile {folder}/{name}-clients.pem
certfile {folder}/server.cert.pem
keyfile {folder}/server.key.pem
max_packet_size {packet}
max_inflight_messages 20
max_queued_messages 100000
max_keepalive 120
log_type error
log_type warning
log_type notice
"""


def gates_access(gone: Iterable[str] = ()) -> str:
    """Who may say and hear what at the gates' broker. Those who are gone may nothing: Mosquitto looks at a denial before anything else."""
    return _GATES_ACCESS + "".join(_GONE.format(gate=gate) for gate in sorted(gone))


def gates(folder: Path, port: int, data: Path, listen: str = "") -> str:
    """The gates' broker, which keeps sessions and retained messages in ``data``."""
    head = f"listener {port}{f' {listen}' if listen else ''}\n"
    kept = f"persistence true\npersistence_location {data}/\nautosave_interval 60\npersistent_client_expiration 14d\n"
    return head + _COMMON.format(folder=folder, name="gates", packet=262_144) + kept


def enrolment(folder: Path, port: int, listen: str = "") -> str:
    """The broker for enrolment, which keeps nothing."""
    head = f"listener {port}{f' {listen}' if listen else ''}\n"
    return head + _COMMON.format(folder=folder, name="enrol", packet=16_384) + "persistence false\nretain_available false\n"
