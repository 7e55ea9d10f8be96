"""All of the record's SQL stands in one module, fits its tables, and finds its rows by their index."""

from __future__ import annotations

import ast
import inspect
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from device.edges.record import rows, statements

SQL = re.compile(r"(SELECT|INSERT|UPDATE|DELETE|CREATE)\s")
ALL = {name: text for name, text in vars(statements).items() if name[0] != "_" and isinstance(text, str) and SQL.match(text)}
ROOM = Path(inspect.getfile(statements)).parent


@pytest.fixture
def tables() -> Iterator[sqlite3.Connection]:
    """Empty ones."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(statements.SCHEMA)
        yield connection


def plan(tables: sqlite3.Connection, sql: str) -> str:
    """How SQLite goes about it."""
    return " ".join(row[3] for row in tables.execute(f"EXPLAIN QUERY PLAN {sql}", (1,) * sql.count("?")))


@pytest.mark.parametrize("name", ALL)
def test_each_statement_fits_the_tables(tables: sqlite3.Connection, name: str) -> None:
    """A column that does not exist is found here, and not on the gate in the one case that uses it."""
    tables.execute(f"EXPLAIN {ALL[name]}", (1,) * ALL[name].count("?"))


@pytest.mark.parametrize(
    ("sql", "index"),
    [
        (statements.COUNT_LEFT, "event_done"),
        (statements.OLDEST_CONFIRMED, "event_done"),
        (statements.ERASED, "event_done"),
        (statements.WAITING_AUDITS, "event_audit"),
    ],
)
def test_what_is_rare_is_found_by_its_index(tables: sqlite3.Connection, sql: str, index: str) -> None:
    """Among half a million waiting events, those few: without the index's own words SQLite would read the whole table each minute."""
    assert f"INDEX {index}" in plan(tables, sql)


@pytest.mark.parametrize("name", [name for name, text in ALL.items() if "seq = ?" in text or "seq > ?" in text or "BETWEEN" in text])
def test_what_is_asked_for_by_its_number_is_found_by_it(tables: sqlite3.Connection, name: str) -> None:
    """No statement with a number in it reads from the beginning."""
    assert "PRIMARY KEY (rowid" in plan(tables, ALL[name])


def test_no_other_module_speaks_sql() -> None:
    """Nor does any other name a column of the tables."""
    found = [
        (module.name, node.value)
        for module in ROOM.glob("*.py")
        if module.name != "statements.py"
        for node in ast.walk(ast.parse(module.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and SQL.match(node.value)
    ]
    assert found == []


def test_columns_are_listed_once_and_states_have_names() -> None:
    """Beside the table's own definition: where a column or a state is renamed, it is renamed for all."""
    sources = {module.name: module.read_text() for module in ROOM.glob("*.py")}
    lists = [name for name, source in sources.items() for _ in re.findall(r"mono_ns, boot_ns, wall_ns, trust, doubt_ms\"", source)]
    assert lists == ["rows.py"]
    assert not re.search(r"(state|kind) (=|<|>|<>|IN) ?\(?\d", re.sub(r'""".*?"""', "", sources["statements.py"], flags=re.DOTALL))


def test_a_new_event_is_written_in_the_order_of_its_columns(tables: sqlite3.Connection) -> None:
    """What is bound by place lands under its name."""
    columns = [*rows.EVENT_COLUMNS.split(", "), "state", "sheet"]
    values = (7, "id", 1, "boot", 2, 3, 4, 1, 6, b"data", b"crc", 2, b"sheet")
    tables.execute(statements.INSERT_EVENT, values)
    tables.row_factory = sqlite3.Row
    assert dict(tables.execute("SELECT * FROM event").fetchone()) == dict(zip(columns, values, strict=True))


def test_states_and_kinds_are_the_numbers_in_every_file() -> None:
    """They stand in files in the field, and none of them is 0 or 1 where it changes: SQLite stores those shorter."""
    assert {state.name: state.value for state in rows.RowState} == {"WAITING": 2, "CONFIRMED": 3, "DEAD": 4, "ERASED": 5}
    assert {kind.name: kind.value for kind in rows.RowKind} == {"CHECKIN": 0, "AUDIT": 1, "GAP": 2}
