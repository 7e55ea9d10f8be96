"""Registries for the contract: SQLite, and PostgreSQL where Debian's server is installed."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from device.edges.certificate.enrol import Places
from provisioning.authority import keys
from provisioning.registry.registry import Registry
from provisioning.registry.tables import Gate
from tests.provisioning.enrolment_kit import Province, at_work, enrolled_gate, on_this_machine
from tests.provisioning.gate_kit import faces

SHIPPED: Final = keys.STRETCH_COST


@pytest.fixture(scope="session", autouse=True)
def quick_passphrase() -> Iterator[None]:
    """Stretching a passphrase is slow on purpose; here nobody guesses."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keys, "STRETCH_COST", 2**4)
        yield


@pytest.fixture
def slow_passphrase(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the tool itself has it: where another process opens the same keys."""
    monkeypatch.setattr(keys, "STRETCH_COST", SHIPPED)


@pytest.fixture
def town(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Province]:
    """A province at work, for those that need nothing else."""
    with at_work(tmp_path, monkeypatch) as one:
        yield one


@pytest.fixture
def enrolled(town: Province, monkeypatch: pytest.MonkeyPatch) -> tuple[Gate, Places]:
    """A gate that has enrolled there."""
    return enrolled_gate(town, monkeypatch)


@pytest.fixture
def here(town: Province, enrolled: tuple[Gate, Places]) -> tuple[Gate, Path]:
    """The same gate made to work on this machine, before faces, and its configuration."""
    gate, places = enrolled
    return gate, on_this_machine(town, places, faces(town.folder / "faces"))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of the tool's own."""
    folder = tmp_path / "home"
    monkeypatch.setenv("GATE_PROVISION_HOME", str(folder))
    monkeypatch.setenv("GATE_PROVISION_PASSPHRASE", "bon tu khong lien quan")
    monkeypatch.delenv("GATE_PROVISION_LANG", raising=False)
    monkeypatch.delenv("GATE_PROVISION_REGISTRY", raising=False)
    return folder


def _server() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return found[-1].parent if found else None


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """The address of a PostgreSQL of our own, on a socket in a folder, without a network."""
    programs = _server()
    if programs is None:
        pytest.skip("PostgreSQL's server is not installed (Debian: postgresql)")
    folder = Path(tempfile.mkdtemp(prefix="gate-pg-", dir="/tmp"))
    user: dict[str, int] = {}
    if os.geteuid() == 0:
        # The server refuses to run as root.
        nobody = pwd.getpwnam("nobody")
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)
        user = {"user": nobody.pw_uid, "group": nobody.pw_gid}
    command = [str(programs / "pg_ctl"), "-D", str(folder / "data"), "-w", "-s"]
    try:
        subprocess.run(
            [str(programs / "initdb"), "-D", str(folder / "data"), "-U", "desk", "-A", "trust", "-E", "UTF8", "--no-sync"],
            check=True,
            capture_output=True,
            cwd=folder,
            **user,  # type: ignore[call-overload] # user and group take numbers; mypy sees a mapping
        )
        options = f"-c listen_addresses= -c unix_socket_directories={folder} -c fsync=off"
        with (folder / "log").open("wb") as log:
            subprocess.run([*command, "-o", options, "start"], check=True, cwd=folder, stdout=log, stderr=log, **user)  # type: ignore[call-overload] # user and group as for initdb
        yield f"postgresql+psycopg://desk@/postgres?host={folder}"
    finally:
        subprocess.run([*command, "-m", "immediate", "stop"], check=False, cwd=folder, capture_output=True, **user)  # type: ignore[call-overload] # user and group as for initdb
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=["sqlite", "postgresql"])
def registry(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Registry]:
    """An empty registry of each kind."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'registry.sqlite'}"
    else:
        url = request.getfixturevalue("postgresql")
        _empty(url)
    opened = Registry(url)
    yield opened
    opened.close()


def _empty(url: str) -> None:
    from sqlalchemy import create_engine, text  # noqa: PLC0415 - only where there is a server

    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("DROP SCHEMA public CASCADE"))
        connection.execute(text("CREATE SCHEMA public"))
    engine.dispose()
