"""Enrolment: what a new gate and the province say to each other before the gate has a certificate of its own.

All of it runs under ``enrol/{claim}/``, where ``claim`` is the common name of
the single-use certificate on the card; that certificate is good for nothing
else.
"""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal

from pydantic import Field, StringConstraints

from device.core.wire.base import Code, Digest, Heard, Moment, Name
from device.core.wire.topics import GATE_PATTERN

CLAIM_PREFIX: Final = "claim-"
"""No gate's id begins so."""
RENEWAL_PROOF: Final = b"gate-renewal/1/"
"""Before the DER of a request for a renewal: what the key in use signs."""
SITE_KEY_INFO: Final = b"gate-site-key/1/"
"""Before the gate's id: what the sealed key of the site is bound to."""

Base64 = Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z+/]{4,5460}={0,2}$")]
_CLAIM: Final = re.compile(r"claim-[a-z0-9-]{3,58}")
_GATE: Final = re.compile(GATE_PATTERN)


class Bundle(Heard):
    """What a card carries, signed by the province; the signature is the last member of the file."""

    type: Literal["vn.gate.bundle.v1"]
    gate: Name
    claim: Name
    issued: Moment
    expires: Moment
    enrol_host: Annotated[str, Field(min_length=1, max_length=253)]
    enrol_port: Annotated[int, Field(ge=1, le=65_535)]
    files: Annotated[dict[str, Digest], Field(min_length=1, max_length=20)]
    """SHA-256 of each other file of the bundle that is no secret."""
    setup: Annotated[dict[str, Digest], Field(max_length=20, default_factory=dict)]
    """SHA-256 of what the first boot reads before the gate's program is there: settings, script, the list of the packages' digests."""


class EnrolRequest(Heard):
    """A gate asks for its certificate, or says that it has it and that it works."""

    type: Literal["vn.gate.enrol.v1"] = "vn.gate.enrol.v1"
    gate: Name
    phase: Literal["request", "done"]
    csr: Base64 | None = None
    """PKCS #10 in DER, of the key that was made on the gate."""
    board: Annotated[str, StringConstraints(pattern=r"^[ -~]{0,64}$")] = ""
    """Serial number of the board, as the board says it."""
    proof: Base64 | None = None
    """Of a renewal: the signature of the key in use over `gate-renewal/1/` and the request's DER. A connection in the gate's name alone
    is no proof, because whoever holds the claims' authority could have one."""


class EnrolAnswer(Heard):
    """The province's answer. ``csr`` says to which request."""

    type: Literal["vn.gate.enrol-answer.v1"] = "vn.gate.enrol-answer.v1"
    gate: Name
    csr: Digest
    """SHA-256 of the request's DER."""
    status: Literal["issued", "refused"]
    reason: Code | None = None
    chain: Annotated[list[Base64], Field(max_length=4)] = Field(default_factory=list)
    """The gate's certificate and those between it and the root, in DER."""
    site_key: Base64 | None = None
    """The site's key, sealed to the key in the certificate."""
    roots: Annotated[list[Base64], Field(max_length=4)] = Field(default_factory=list)
    """The roots that count now, in DER: two while one takes over from the other."""


def enrol_up(claim: str) -> str:
    """Where a gate asks: under its claim, or for a renewal under its own id. Raises ValueError for what is neither."""
    return f"enrol/{_checked(claim)}/up"


def enrol_down(claim: str) -> str:
    """Where the answer comes. Raises ValueError like ``enrol_up``."""
    return f"enrol/{_checked(claim)}/down"


def asker_of(topic: str) -> str | None:
    """The claim or the gate that published on a topic, or None for any other topic. The broker vouches for it."""
    first, _, rest = topic.partition("/")
    asker, _, last = rest.partition("/")
    return asker if first == "enrol" and last == "up" and (is_claim(asker) or _GATE.fullmatch(asker)) else None


def is_claim(name: str) -> bool:
    """Whether a name is a claim's. No gate's id is one."""
    return _CLAIM.fullmatch(name) is not None


def _checked(claim: str) -> str:
    if not is_claim(claim) and not _GATE.fullmatch(claim):
        raise ValueError(f"neither a claim nor a gate: {claim!r}")
    return claim
