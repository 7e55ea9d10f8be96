"""The map of the house stays readable: no circle, one name for one thing, and a test by the name of each module."""

from __future__ import annotations

import ast
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Final

import grimp
import pytest

from tests.system.rooms import circles, floors, graph_of, modules_of

ROOT: Final = Path(__file__).resolve().parents[2]
PACKAGES: Final = ("device", "provisioning")

PROCESSES: Final[Mapping[str, tuple[str, ...]]] = {
    "the gate": ("device", "!device/eye", "!device/workbench"),
    "the eye": ("device/eye", "device/core", "device/config.py", "device/errors.py"),
    "the laptop and the province": ("provisioning",),
}
"""What one process loads of the house, by the beginnings of its files' names; ``!`` leaves out."""


@cache
def graph() -> grimp.ImportGraph:
    """Built once: it reads every file."""
    return graph_of(*PACKAGES)


def modules() -> list[str]:
    """Every module's file, as a path from the root."""
    return sorted(
        str(path.relative_to(ROOT)) for package in PACKAGES for path in (ROOT / package).rglob("*.py") if path.name != "__init__.py"
    )


def of_process(process: str) -> Iterator[str]:
    """The files of one process."""
    wanted = [part for part in PROCESSES[process] if not part.startswith("!")]
    unwanted = tuple(part[1:] for part in PROCESSES[process] if part.startswith("!"))
    for name in modules():
        if name.startswith(tuple(wanted)) and not (unwanted and name.startswith(unwanted)):
            yield name


def public_classes(names: Iterator[str] | list[str]) -> dict[str, list[str]]:
    """Where each public class name stands."""
    found: dict[str, list[str]] = defaultdict(list)
    for name in names:
        for node in ast.parse((ROOT / name).read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found[node.name].append(name)
    return found


def test_no_two_modules_import_each_other() -> None:
    """Not even through others: a circle can only be understood, loaded and tested as one. For rooms import-linter sees to it."""
    assert circles(modules_of(graph())) == []


def test_circles_and_floors_are_seen() -> None:
    """The measure itself: two that know each other through a third are one circle; the way down counts rooms."""
    house = {"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a", "e"}, "e": set[str]()}
    assert circles(house) == [("a", "b", "c")]
    assert floors({"a": {"b", "c"}, "b": {"c"}, "c": set[str](), "d": set[str]()}) == 3


TWO_NAMESAKES: Final = {
    "Gate": "the running program, and its row in the registry: the two are the same gate",
}


def test_each_public_class_name_stands_once() -> None:
    """A reader who finds a name has found the thing."""
    found = public_classes(modules())
    assert {name: places for name, places in found.items() if len(places) > 1 and name not in TWO_NAMESAKES} == {}
    assert {name for name in TWO_NAMESAKES if len(found[name]) < 2} == set()


@pytest.mark.parametrize("process", PROCESSES)
def test_each_module_name_stands_once_within_a_process(process: str) -> None:
    """A verb of the command line is called as it is typed, and may so have the name of the room that it calls."""
    counted = Counter(Path(name).stem for name in of_process(process) if "/verbs/" not in name and "/versions/" not in name)
    assert {stem: count for stem, count in counted.items() if count > 1 and stem != "__main__"} == {}


def home_of_test(module: str) -> str:
    """Where the test of a module stands: the folder mirrors its room."""
    path = PurePosixPath(module)
    room = path.parent.relative_to("device") if path.parts[0] == "device" else path.parent
    folder = PurePosixPath("gate") if str(room) == "." else room
    return str(PurePosixPath("tests") / folder / f"test_{path.name}")


VERSIONS: Final = (
    *("0001_sites_gates_audit", "0002_claims_certificates", "0003_badges", "0004_revoked_badges_lists"),
    *("0005_acceptances", "0006_unsealings", "0007_configurations", "0008_kits_doors", "0009_technicians"),
)

UNTESTED: Final[Mapping[str, str]] = {
    "device/core/types.py": "values and their names alone: tests/core/test_policy.py and whoever else uses them",
    "device/core/reasons.py": "codes and their sentences, all of them looked at: tests/system/test_guards.py",
    "device/core/wire/selftest.py": "a shape: tests/contract/test_contract.py",
    "device/edges/broker/values.py": "what goes into a connection and comes out of it: tests/edges/broker/test_connection.py",
    "device/errors.py": "a tree of names: tests/gate/test_cli.py says what each means for the exit code",
    "device/eye/__main__.py": "the eye as a process: tests/eye/test_process.py",
    "device/eye/camera.py": "what a source of frames is, one suite for all of them: tests/contract/test_camera.py",
    "device/ports.py": "Protocols, one suite for the fake and the real thing: tests/contract/test_journal.py",
    "device/workbench/contract.py": "the generated contract: tests/contract/test_contract.py",
    "device/workbench/contract_examples.py": "its examples: tests/contract/test_contract.py",
    "provisioning/common/errors.py": "one exception, whose words are in the catalogue: tests/provisioning/common/test_catalogue.py",
    "provisioning/common/plan.py": "one step of a plan, as data: tests/provisioning/test_cli.py",
    "provisioning/registry/tables.py": "the tables as they are now: tests/provisioning/registry/test_registry.py",
    **dict.fromkeys(
        (
            "provisioning/registry/migrations/env.py",
            *(f"provisioning/registry/migrations/versions/v{version}.py" for version in VERSIONS),
        ),
        "what once led from one version to the next: tests/provisioning/registry/test_schema.py",
    ),
}
"""Modules without behaviour of their own, and what covers them."""


def test_each_module_has_its_test_by_name() -> None:
    """Whoever touched `device/edges/broker/sender.py` runs `tests/edges/broker/test_sender.py`."""
    without = {name for name in modules() if not (ROOT / home_of_test(name)).exists()}
    assert without == set(UNTESTED)


@pytest.mark.parametrize("why", sorted(set(UNTESTED.values())))
def test_what_covers_a_module_without_a_test_is_there(why: str) -> None:
    """A reason that names a file which is gone is none."""
    assert any((ROOT / word).exists() for word in why.split() if word.startswith("tests/"))
