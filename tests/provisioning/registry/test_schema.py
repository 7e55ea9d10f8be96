"""The registry's versions: the migrations make the program's tables, and a newer registry is left alone."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from provisioning.common.errors import Refused
from provisioning.registry import schema
from provisioning.registry.registry import Registry
from provisioning.registry.tables import Acceptance, Base, GateState, Technician
from tests.provisioning.registry.rows import a_gate, a_site


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


def test_the_versions_are_those_that_alembic_knows_in_its_order() -> None:
    """The names of the files tell them, so that Alembic need not be asked."""
    config = Config()
    config.set_main_option("script_location", str(schema.MIGRATIONS))
    assert tuple(one.revision for one in ScriptDirectory.from_config(config).walk_revisions())[::-1] == schema.VERSIONS


def test_an_older_registry_is_brought_up_with_what_it_holds(tmp_path: Path) -> None:
    """As an update of the tool finds it."""
    path = tmp_path / "r.sqlite"
    registry = Registry(f"sqlite:///{path}")
    registry.note("tech", "gate add", "g1", "done", {})
    registry.close()
    with closing(sqlite3.connect(path)) as file, file:
        file.execute("DROP TABLE technicians")
        file.execute("UPDATE alembic_version SET version_num = ?", (schema.VERSIONS[-2],))
    registry = Registry(f"sqlite:///{path}")
    with registry.change() as session:
        assert session.get(Technician, "lan") is None
    assert [row.subject for row in registry.audit()] == ["g1"]
    registry.close()


def _forget_fittings(file: sqlite3.Connection) -> None:
    for name in ("kit", "door", "power_loss"):
        file.execute(f"ALTER TABLE gates DROP COLUMN {name}")


def test_a_gate_from_before_is_fitted_as_its_card_says(tmp_path: Path) -> None:
    """The full kit and no door; what refers to the gate still does."""
    path = tmp_path / "r.sqlite"
    registry, site = Registry(f"sqlite:///{path}"), a_site()
    gate = a_gate(site, GateState.IN_SERVICE)
    registry.add(site)
    registry.add(gate)
    registry.accept(Acceptance(gate=gate.id, at=datetime.now(UTC), who="Thử", well=False, document="{}"))
    registry.close()
    with closing(sqlite3.connect(path)) as file, file:
        _forget_fittings(file)
        file.execute("DROP TABLE technicians")
        file.execute("UPDATE alembic_version SET version_num = '0007'")
    registry = Registry(f"sqlite:///{path}")
    found = registry.gate(gate.id)
    assert (found.kit, found.door, found.power_loss, found.state) == ("full", "none", None, "in-service")
    assert registry.acceptance(gate.id) is not None
    registry.close()


def test_alembic_is_loaded_only_where_something_has_to_be_done(tmp_path: Path) -> None:
    """Each verb opens the registry, and few find it old."""
    url = f"sqlite:///{tmp_path / 'r.sqlite'}"
    code = f"import sys; from provisioning.registry.registry import Registry; Registry({url!r}).close(); print('alembic' in sys.modules)"
    said = [subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout for _ in range(2)]
    assert said == ["True\n", "False\n"]
