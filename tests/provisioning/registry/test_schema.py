"""The registry's versions: the migrations make the program's tables, and a newer registry is left alone."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from provisioning.common.errors import Refused
from provisioning.registry.registry import Registry
from provisioning.registry.tables import Base


def test_the_migrations_make_exactly_the_tables_of_the_program(registry: Registry) -> None:
    """Alembic finds no difference."""
    with registry._engine.connect() as connection:  # noqa: SLF001 - the engine is the registry's own affair otherwise
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []


def test_a_newer_registry_is_left_alone(tmp_path: Path) -> None:
    """Its version is named."""
    url = f"sqlite:///{tmp_path / 'r.sqlite'}"
    Registry(url).close()
    with sqlite3.connect(tmp_path / "r.sqlite") as file:
        file.execute("UPDATE alembic_version SET version_num = '9999'")
    file.close()
    with pytest.raises(Refused) as refused:
        Registry(url)
    assert (refused.value.code, refused.value.facts["version"]) == ("E121", "9999")
