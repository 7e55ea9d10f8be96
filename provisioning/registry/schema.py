"""Brings a registry's tables up to this version's. Alembic is loaded only where something has to be done."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from sqlalchemy import inspect, select
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.sql import column, table

from provisioning.common.errors import Refused

MIGRATIONS: Final = Path(__file__).with_name("migrations")
VERSIONS: Final = tuple(sorted(path.name[1:5] for path in (MIGRATIONS / "versions").glob("v*.py")))
"""The versions that this program knows, oldest first, by the names of their files."""
_TABLE: Final = "alembic_version"


def bring_up(engine: Engine) -> None:
    """All versions that are missing, in one transaction. Raises Refused (E121) for a registry of a newer program, DBAPIError."""
    with engine.begin() as connection:
        there = _version(connection)
        if there is not None and there not in VERSIONS:
            raise Refused("E121", url=engine.url.render_as_string(hide_password=True), version=there)
        if there != VERSIONS[-1]:
            _upgrade(connection)


def _version(connection: Connection) -> str | None:
    """As Alembic noted it; None in an empty registry."""
    if not inspect(connection).has_table(_TABLE):
        return None
    return connection.execute(select(column("version_num")).select_from(table(_TABLE))).scalar()


def _upgrade(connection: Connection) -> None:
    from alembic import command  # noqa: PLC0415 - half a second, which only a new or an old registry is worth
    from alembic.config import Config  # noqa: PLC0415 - the same

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
