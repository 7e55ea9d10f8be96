"""The registry: which sites and gates there are, how far each has come, and who did what. SQLite on a laptop, PostgreSQL at the desk."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final, TypeVar

from sqlalchemy import create_engine, event, select
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError
from sqlalchemy.orm import Session

from provisioning.common.errors import Refused
from provisioning.registry import schema
from provisioning.registry.tables import GONE, Acceptance, Audit, Badge, Gate, GateState, Site, Technician

FORWARD: Final[Mapping[GateState, frozenset[GateState]]] = MappingProxyType(
    {
        GateState.PLANNED: frozenset({GateState.WRITTEN, GateState.DECOMMISSIONED}),
        GateState.WRITTEN: frozenset({GateState.WRITTEN, GateState.ENROLLED}) | GONE,
        # A card or a board that broke gets a new card: from there the way begins again.
        GateState.ENROLLED: frozenset({GateState.WRITTEN, GateState.ENROLLED, GateState.ACCEPTED}) | GONE,
        GateState.ACCEPTED: frozenset({GateState.WRITTEN, GateState.ACCEPTED, GateState.IN_SERVICE}) | GONE,
        GateState.IN_SERVICE: frozenset({GateState.WRITTEN, GateState.ACCEPTED}) | GONE,
        # A gate that was revoked comes back only with a new card, when its certificates have ended, or not at all.
        GateState.REVOKED: frozenset({GateState.WRITTEN, GateState.DECOMMISSIONED}),
        GateState.DECOMMISSIONED: frozenset(),
    }
)
"""From where to where a gate may go."""

_Row = TypeVar("_Row", Site, Gate)


class Registry:
    """One registry, at an address that SQLAlchemy understands (``sqlite:///FILE``, ``postgresql+psycopg://…``)."""

    def __init__(self, url: str) -> None:
        """Brings the tables up to this version's. Raises Refused (E120, E121), naming the address without its secret."""
        try:
            self._engine = create_engine(url)
            self.name = self._engine.url.render_as_string(hide_password=True)
        except (ArgumentError, NoSuchModuleError, ImportError) as error:
            raise Refused("E120", url=url.partition("@")[2] or url, why=error) from error
        if self._engine.dialect.name == "sqlite":
            event.listen(self._engine, "connect", _sqlite_settings)
        try:
            schema.bring_up(self._engine)
        except DBAPIError as error:
            self.close()
            raise Refused("E120", url=self.name, why=error.orig) from error
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let go of all connections."""
        self._engine.dispose()

    @contextmanager
    def change(self) -> Iterator[Session]:
        """All that is done inside happens, or nothing."""
        with Session(self._engine, expire_on_commit=False) as session, session.begin():
            yield session

    def site(self, site: str) -> Site:
        """Raises Refused (E112) for an unknown one."""
        return self._known(Site, site, "E112")

    def gate(self, gate: str) -> Gate:
        """Raises Refused (E113) for an unknown one."""
        return self._known(Gate, gate, "E113")

    def sites(self) -> Sequence[Site]:
        """All, in the order of their making."""
        with Session(self._engine) as session:
            return session.scalars(select(Site).order_by(Site.created, Site.id)).all()

    def gates(self, site: str | None = None) -> Sequence[Gate]:
        """All, or those of a site."""
        asked = select(Gate).order_by(Gate.created, Gate.id)
        with Session(self._engine) as session:
            return session.scalars(asked if site is None else asked.where(Gate.site == site)).all()

    def add(self, row: Site | Gate) -> None:
        """Keep a new one. Raises Refused (E114) for an id that exists: ids are never given twice."""
        with self.change() as session:
            if session.get(type(row), row.id) is not None:
                raise Refused("E114", id=row.id)
            session.add(row)

    def move(self, gate: str, state: GateState) -> None:
        """A gate has come further. Raises Refused (E113, E115) for an unknown one, and for a step that is not allowed."""
        with self.change() as session:
            row = session.get(Gate, gate, with_for_update=True)
            if row is None:
                raise Refused("E113", id=gate)
            if state not in FORWARD[GateState(row.state)]:
                raise Refused("E115", id=gate, state=row.state, wanted=state)
            row.state = state
            row.changed = datetime.now(UTC)

    def accept(self, row: Acceptance) -> None:
        """Keep an acceptance; a good one makes the gate accepted. All or nothing. Raises Refused (E113, E115)."""
        with self.change() as session:
            gate = session.get(Gate, row.gate, with_for_update=True)
            if gate is None:
                raise Refused("E113", id=row.gate)
            session.add(row)
            if row.well:
                if GateState.ACCEPTED not in FORWARD[GateState(gate.state)]:
                    raise Refused("E115", id=row.gate, state=gate.state, wanted=GateState.ACCEPTED)
                gate.state, gate.changed = GateState.ACCEPTED, row.at

    def acceptance(self, gate: str) -> Acceptance | None:
        """The newest of a gate."""
        with Session(self._engine) as session:
            return session.scalars(select(Acceptance).where(Acceptance.gate == gate).order_by(Acceptance.number.desc()).limit(1)).first()

    def technician(self, name: str) -> Technician | None:
        """None while he has no key."""
        with Session(self._engine) as session:
            return session.get(Technician, name)

    def badge(self, subject: str) -> Badge:
        """Raises Refused (E172) for an unknown one."""
        with Session(self._engine) as session:
            row = session.get(Badge, subject)
        if row is None:
            raise Refused("E172", id=subject)
        return row

    def badges(self, site: str) -> Sequence[Badge]:
        """All that were issued at a site."""
        with Session(self._engine) as session:
            return session.scalars(select(Badge).where(Badge.site == site).order_by(Badge.issued, Badge.subject)).all()

    def note(self, who: str, verb: str, subject: str, outcome: str, facts: Mapping[str, Any]) -> None:
        """One row of the audit."""
        with self.change() as session:
            session.add(Audit(at=datetime.now(UTC), who=who, verb=verb, subject=subject, outcome=outcome, facts=dict(facts)))

    def audit(self, subject: str | None = None, limit: int = 200) -> Sequence[Audit]:
        """The newest rows, oldest first."""
        asked = select(Audit).order_by(Audit.number.desc()).limit(limit)
        with Session(self._engine) as session:
            found = session.scalars(asked if subject is None else asked.where(Audit.subject == subject)).all()
        return found[::-1]

    def _known(self, kind: type[_Row], name: str, code: str) -> _Row:
        with Session(self._engine) as session:
            row = session.get(kind, name)
        if row is None:
            raise Refused(code, id=name)
        return row


def _sqlite_settings(connection: Any, _record: object) -> None:  # noqa: ANN401 - SQLAlchemy's own type of a raw connection
    for setting in ("foreign_keys=ON", "journal_mode=WAL", "synchronous=FULL", "busy_timeout=10000"):
        connection.execute(f"PRAGMA {setting}").close()
