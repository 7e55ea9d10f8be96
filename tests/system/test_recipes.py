"""The recipes for those who carry on are followed on a copy, and each of their files is forgotten once: then the named test fails."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parents[2]
GUIDE: Final = ROOT / ".github" / "CONTRIBUTING.md"
COPIED: Final = ("device", "provisioning", "systemd", "tests", "pyproject.toml", "README.md", "LICENSE")

ROW: Final = re.compile(r"^\| `(?P<file>[^`]+)` \| .+ \| `(?P<test>[^`]+)` \|$", re.MULTILINE)

DOCUMENTS: Final = "device.workbench.documents"
CONTRACT: Final = "device.workbench.contract"


def rows(recipe: str) -> dict[str, str]:
    """The files of a recipe, each with the test that notices when it is forgotten."""
    part = GUIDE.read_text(encoding="utf-8").partition(f"### {recipe}\n")[2].partition("\n### ")[0]
    return {match["file"]: match["test"] for match in ROW.finditer(part)}


def put(after: str, more: str) -> Callable[[str], str]:
    """An edit: these lines behind the first place of those."""

    def edited(text: str) -> str:
        assert text.count(after) >= 1, f"the recipe's place is gone: {after!r}"
        return text.replace(after, after + more, 1)

    return edited


@dataclass(frozen=True)
class Example:
    """A made-up change by one recipe: what a hand edits, and the program that writes the rest."""

    edits: Mapping[str, Callable[[str], str]]
    writes: str | None = None


EXAMPLES: Final[Mapping[str, Example]] = {
    "A new setting": Example(
        {
            "device/config.py": put(
                'class PolicySection(_Section):\n    """Who may pass."""\n\n',
                "    quiet_min: Annotated[int, Field(ge=0, le=60)] = 0\n"
                '    """Minutes of a made-up quiet, an hour at most; none by default."""\n',
            ),
            "device/core/rules.py": put("    health: HealthRules | None = None\n", "    quiet_min: int = 0\n"),
            "device/settings/rules_from_config.py": put("    return Rules(\n", "        quiet_min=policy.quiet_min,\n"),
        },
        DOCUMENTS,
    ),
    "A new order": Example(
        {
            "device/core/orders.py": put('    WIPE = "wipe"\n', '    DANCE = "dance"\n'),
            "device/edges/orders/deeds.py": put(
                "    hands: dict[Order, Hand] = {\n", "        Order.DANCE: lambda _, args: _identify(reach, args),\n"
            ),
        }
    ),
    "A new health figure": Example(
        {
            "device/core/wire/messages.py": put("    decisions: Count | None = None\n", "    dances: Count | None = None\n"),
            "device/condition.py": put('            "unreadable": self._unreadable(),\n', '            "dances": 0,\n'),
        },
        CONTRACT,
    ),
}


class Copy:
    """A copy of the project in which a recipe is followed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in COPIED:
            source = ROOT / name
            ignore = shutil.ignore_patterns("__pycache__", "*.pyc")
            if source.is_dir():
                shutil.copytree(source, folder / name, ignore=ignore)
            else:
                shutil.copy2(source, folder / name)

    def changed(self) -> set[str]:
        """The files of `device` and `provisioning` that differ from the project's."""
        return {
            str(path.relative_to(self.folder))
            for package in ("device", "provisioning")
            for path in (self.folder / package).rglob("*")
            if path.is_file() and path.suffix != ".pyc" and path.read_bytes() != (ROOT / path.relative_to(self.folder)).read_bytes()
        }

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """A program of the copy."""
        return subprocess.run([sys.executable, *words], cwd=self.folder, check=False, capture_output=True, text=True)

    def passes(self, test: str) -> bool:
        """Whether a test of the copy passes."""
        done = self.run("-m", "pytest", "-n", "0", "-q", "-x", "-p", "no:cacheprovider", test)
        assert done.returncode in {0, 1, 2}, done.stdout
        return done.returncode == 0


@pytest.mark.parametrize("recipe", re.findall(r"^### (.+)$", GUIDE.read_text(encoding="utf-8"), re.MULTILINE))
def test_a_recipe_names_files_and_tests_that_are_there(recipe: str) -> None:
    """None that was moved away."""
    found = rows(recipe)
    assert found
    assert [name for name in (*found, *found.values()) if not (ROOT / name).exists()] == []


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("recipe", EXAMPLES)
def test_a_recipe_names_each_file_that_one_touches_and_the_test_that_misses_it(recipe: str, tmp_path: Path) -> None:
    """Followed, everything passes, and no file was touched that the recipe does not name; each one forgotten is noticed."""
    named, example = rows(recipe), EXAMPLES[recipe]
    copy = Copy(tmp_path / "copy")
    for name, edit in example.edits.items():
        path = copy.folder / name
        path.write_text(edit(path.read_text(encoding="utf-8")), encoding="utf-8")
    if example.writes is not None:
        done = copy.run("-m", example.writes)
        assert done.returncode == 0, done.stderr
    assert copy.changed() == set(named)
    for test in set(named.values()):
        assert copy.passes(test), test
    for name, test in named.items():
        path = copy.folder / name
        followed = path.read_bytes()
        shutil.copyfile(ROOT / name, path)
        assert not copy.passes(test), f"{name} was forgotten, and {test} did not notice"
        path.write_bytes(followed)
