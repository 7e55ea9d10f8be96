"""The registry's tables. Rows are never deleted: an id that was once given out stays known, and so does what was done."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import JSON, Boolean, DateTime, ForeignKey, Integer, LargeBinary, String, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class GateState(StrEnum):
    """How far a gate has come."""

    PLANNED = "planned"
    WRITTEN = "written"
    ENROLLED = "enrolled"
    ACCEPTED = "accepted"
    IN_SERVICE = "in-service"
    REVOKED = "revoked"
    DECOMMISSIONED = "decommissioned"


CERTIFIED: Final = frozenset({GateState.ENROLLED, GateState.ACCEPTED, GateState.IN_SERVICE})
"""Gates that hold a certificate with which they may speak."""
GONE: Final = frozenset({GateState.REVOKED, GateState.DECOMMISSIONED})
"""Gates that may do nothing any more."""


class Base(DeclarativeBase):
    """The tables."""


class Site(Base):
    """A place with gates. Times are UTC."""

    __tablename__ = "sites"

    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    kind: Mapped[str] = mapped_column(String(32))
    commune: Mapped[str] = mapped_column(String(8), index=True)
    commune_list: Mapped[str] = mapped_column(String(16))
    address: Mapped[str] = mapped_column(String(300))
    contact: Mapped[str] = mapped_column(String(200))
    hotline: Mapped[str] = mapped_column(String(40))
    purpose: Mapped[str] = mapped_column(String(200))
    legal_basis: Mapped[str] = mapped_column(String(200))
    broker_host: Mapped[str] = mapped_column(String(253))
    broker_port: Mapped[int] = mapped_column(Integer)
    network: Mapped[dict[str, Any]] = mapped_column(JSON)
    policy: Mapped[str] = mapped_column(Text)
    created: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class Gate(Base):
    """A gate of a site. ``kit``, ``door`` and ``power_loss`` are what it is fitted with; ``power_loss`` is None without a door."""

    __tablename__ = "gates"

    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    site: Mapped[str] = mapped_column(ForeignKey("sites.id"), index=True)
    lane: Mapped[str] = mapped_column(String(16))
    direction: Mapped[str] = mapped_column(String(8))
    board: Mapped[str] = mapped_column(String(16))
    kit: Mapped[str] = mapped_column(String(8))
    door: Mapped[str] = mapped_column(String(8))
    power_loss: Mapped[str | None] = mapped_column(String(8))
    state: Mapped[str] = mapped_column(String(16), index=True)
    created: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    changed: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class ClaimState(StrEnum):
    """A card's single-use claim."""

    OPEN = "open"
    ISSUED = "issued"
    BURNT = "burnt"
    VOID = "void"


class Claim(Base):
    """The single-use claim on a card. ``key`` is the SHA-256 of the public key for which the certificate was issued."""

    __tablename__ = "claims"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    gate: Mapped[str] = mapped_column(ForeignKey("gates.id"), index=True)
    state: Mapped[str] = mapped_column(String(8))
    issued: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    expires: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    key: Mapped[str] = mapped_column(String(64))
    chain: Mapped[str] = mapped_column(Text)
    board: Mapped[str] = mapped_column(String(64))


class Certificate(Base):
    """A certificate that a gate was given. ``pem`` is followed by those between it and the root."""

    __tablename__ = "certificates"

    serial: Mapped[str] = mapped_column(String(40), primary_key=True)
    gate: Mapped[str] = mapped_column(ForeignKey("gates.id"), index=True)
    starts: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    ends: Mapped[datetime] = mapped_column(DateTime(timezone=True), index=True)
    pem: Mapped[str] = mapped_column(Text)


class Badge(Base):
    """A badge that was issued: its random number, and what the site calls its holder, which no gate ever sees."""

    __tablename__ = "badges"

    subject: Mapped[str] = mapped_column(String(16), primary_key=True)
    site: Mapped[str] = mapped_column(ForeignKey("sites.id"), index=True)
    label: Mapped[str] = mapped_column(String(60))
    role: Mapped[int] = mapped_column(Integer)
    zone: Mapped[int] = mapped_column(Integer)
    issued: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    expires: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    revoked: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    reason: Mapped[str] = mapped_column(String(100))


class Published(Base):
    """A version of a site's list as it went out, kept so that the next one can be a change."""

    __tablename__ = "lists"

    site: Mapped[str] = mapped_column(ForeignKey("sites.id"), primary_key=True)
    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    version: Mapped[int] = mapped_column(Integer, primary_key=True)
    entries: Mapped[bytes] = mapped_column(LargeBinary)
    issued: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    expires: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class Sent(Base):
    """A version of a gate's configuration as it went out. ``config`` is what it says, ``message`` what was signed."""

    __tablename__ = "configurations"

    gate: Mapped[str] = mapped_column(ForeignKey("gates.id"), primary_key=True)
    version: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    sent: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    config: Mapped[str] = mapped_column(Text)
    message: Mapped[bytes] = mapped_column(LargeBinary)


class Acceptance(Base):
    """An acceptance of a gate, good or not, with its signed document."""

    __tablename__ = "acceptances"

    number: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    gate: Mapped[str] = mapped_column(ForeignKey("gates.id"), index=True)
    at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    who: Mapped[str] = mapped_column(String(100))
    well: Mapped[bool] = mapped_column(Boolean)
    document: Mapped[str] = mapped_column(Text)


class Technician(Base):
    """Who may log in at gates whose cards he writes: his public SSH key. The private half is on his laptop alone."""

    __tablename__ = "technicians"

    name: Mapped[str] = mapped_column(String(60), primary_key=True)
    ssh_key: Mapped[str] = mapped_column(String(200))
    created: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class Unsealing(Base):
    """One opening of sealed identities: written before anything is opened, and again when it has ended.

    ``digest`` is over this row and the digest of the row before it. ``at`` and ``facts`` are kept as the text that was digested.
    """

    __tablename__ = "unsealings"

    number: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    at: Mapped[str] = mapped_column(String(32))
    who: Mapped[str] = mapped_column(String(100))
    verb: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str] = mapped_column(String(200))
    facts: Mapped[str] = mapped_column(Text)
    digest: Mapped[str] = mapped_column(String(64))


class Audit(Base):
    """What somebody did, or tried to do, with the tool."""

    __tablename__ = "audit"

    number: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    at: Mapped[datetime] = mapped_column(DateTime(timezone=True), index=True)
    who: Mapped[str] = mapped_column(String(100))
    verb: Mapped[str] = mapped_column(String(40))
    subject: Mapped[str] = mapped_column(String(64), index=True)
    outcome: Mapped[str] = mapped_column(String(16))
    facts: Mapped[dict[str, Any]] = mapped_column(JSON)
