"""What must hold for the project as a whole, and that no single part would notice when it breaks."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import unicodedata
import zipfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

import pytest
from pydantic import BaseModel

from device.config import GateConfig
from device.core.reasons import SENTENCES, Reason

ROOT: Final = Path(__file__).resolve().parents[2]

AGREED: Final = {"device", "systemd", "provisioning", "tests", "pyproject.toml", "README.md", ".ci", ".gitignore", "LICENSE"}

# Written in pieces, so that this file does not hold what it looks for.
REGISTRY_HOSTS: Final = (
    *("py" + "pi.org", "python" + "hosted.org", "piwheels" + ".org", "npm" + "js.org", "crates" + ".io", "docker" + ".io"),
    *("debian" + ".org", "raspberry" + "pi.com/debian", "raspi" + "an.org", "ub" + "untu.com", "anaconda" + ".org"),
)
MACHINE_PATHS: Final = ("/work" + "/main", "/farm" + "/in", ".." + "/shared", "/opt" + "/pypi", "/root" + "/.")

FINDS_HOMES: Final = """
import pathlib, sys
for name in ("device", "provisioning"):
    print(*{home.resolve() for folder in sys.path for home in pathlib.Path(folder).glob(name + "*") if home.stem == name}, sep="\\n")
"""

# What only a Pi has may be missing; then the module that needs it is passed over.
IMPORTS_EVERYTHING: Final = """
import importlib, pkgutil, sys
import device, provisioning
for package in (device, provisioning):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        try:
            importlib.import_module(module.name)
        except ModuleNotFoundError as missing:
            if missing.name not in ("lgpio", "picamera2", "libcamera"):
                raise
print(device.__file__, provisioning.__file__, sep="\\n")
"""


@cache
def project_files() -> tuple[str, ...]:
    """Every file under version control or about to be: not what .gitignore names."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("needs git and a clone of the project")
    command = ["git", "-c", f"safe.directory={ROOT}", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return tuple(name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file())


def texts() -> Iterator[tuple[str, str]]:
    """The project's text files by name; pictures and other bytes are left out."""
    for name in project_files():
        try:
            yield name, (ROOT / name).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue


def test_each_import_name_has_one_home() -> None:
    """A second `device` or `provisioning` on the search path would be tested here and run elsewhere, or the other way round."""
    found = subprocess.run([sys.executable, "-I", "-c", FINDS_HOMES], check=True, capture_output=True, text=True)
    assert found.stdout.splitlines() == [str(ROOT / "device"), str(ROOT / "provisioning")]


def test_the_top_level_holds_what_was_agreed() -> None:
    """Settings live in pyproject.toml and documents beside what they explain; what tools leave behind is ignored by git."""
    assert {name.split("/")[0] for name in project_files()} <= AGREED


def test_no_package_registry_is_named() -> None:
    """Where packages come from is the machine's affair; a name in the project would go stale or leak a private mirror."""
    assert [(name, host) for name, text in texts() for host in REGISTRY_HOSTS if host in text] == []


def test_no_path_of_a_machine_stands_in_the_project() -> None:
    """A path of the machine on which something was written means nothing on any other."""
    paths = (*MACHINE_PATHS, f"{ROOT}/")
    assert [(name, path) for name, text in texts() for path in paths if path in text] == []


def test_each_exception_to_the_rules_says_why() -> None:
    """A comment that silences a tool names the rule and is followed by its reason, or it outlives the cause unseen."""
    silenced = re.compile(r"#\s*(no" + r"qa|type:\s*ignore|mypy:|pragma:\s*no\s*cover|shellcheck\s+disable=)(.*)")
    named_and_reasoned = re.compile(r"\s*[:\[]?\s*[A-Za-z]+[A-Za-z0-9-]*(?:,\s*[A-Za-z0-9-]+)*\]?[\s#:-]+[^\s#]\S*\s+\S+")
    found = [(name, match[0]) for name, text in texts() for match in silenced.finditer(text) if not named_and_reasoned.match(match[2])]
    assert found == []


def sections(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """A model and every model below it."""
    yield model
    for field in model.model_fields.values():
        for part in models_in(field.annotation):
            yield from sections(part)


def models_in(annotation: object) -> Iterator[type[BaseModel]]:
    """The models that an annotation mentions, at any depth (`LampSection | None`, `tuple[OpeningHours, ...]`)."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in getattr(annotation, "__args__", ()):
        yield from models_in(part)


SECTIONS: Final = sorted(set(sections(GateConfig)), key=lambda section: section.__name__)


@pytest.mark.parametrize("section", SECTIONS)
def test_each_setting_is_described(section: type[BaseModel]) -> None:
    """The reference document is generated from the descriptions; a table of settings is described by its own class."""
    assert section.__doc__
    undescribed = [name for name, field in section.model_fields.items() if not field.description and not any(models_in(field.annotation))]
    assert undescribed == []


def test_each_reason_has_its_sentences() -> None:
    """A new reason code cannot reach a display without words."""
    assert set(SENTENCES) == set(Reason)
    assert len({sentence.vi for sentence in SENTENCES.values()}) == len(Reason)
    assert len({sentence.en for sentence in SENTENCES.values()}) == len(Reason)


@pytest.mark.parametrize("reason", Reason)
def test_each_reason_is_said_in_real_vietnamese_and_in_english(reason: Reason) -> None:
    """Vietnamese without its marks is another text; each sentence is one whole sentence in composed characters."""
    sentence = SENTENCES[reason]
    assert any(unicodedata.combining(mark) for mark in unicodedata.normalize("NFD", sentence.vi))
    assert sentence.en.isascii() or "…" in sentence.en
    for text in (sentence.vi, sentence.en):
        assert text == unicodedata.normalize("NFC", text).strip()
        assert text[0].isupper()
        assert text.endswith(".")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's wheel, built once, offline, without an isolated environment."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-I", "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)], cwd=ROOT, check=True, capture_output=True
    )
    (built,) = folder.iterdir()
    return built


def test_the_wheel_holds_the_two_packages_whole_and_nothing_else(wheel: Path) -> None:
    """Every file below `device` and `provisioning`, data too (score, symbol, contract), and no left-over of a tool."""
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name and ".data/" not in name}
    assert held == {name for name in project_files() if name.startswith(("device/", "provisioning/"))}


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment outside the checkout that has the wheel, and borrows the dependencies of this one.

    A line in a .pth file adds a folder, but does not obey the .pth files in it: the editable project stays out of reach.
    """
    home = tmp_path_factory.mktemp("installed")
    subprocess.run([sys.executable, "-I", "-m", "venv", "--without-pip", str(home)], check=True)
    python = home / "bin" / "python"
    pip = [sys.executable, "-I", "-m", "pip", "--quiet", "--disable-pip-version-check", "--python", str(python)]
    subprocess.run([*pip, "install", "--no-index", "--no-deps", "--no-compile", str(wheel)], check=True, capture_output=True)
    (packages,) = home.glob("lib/python*/site-packages")
    (packages / "borrowed.pth").write_text("\n".join(path for path in sys.path if path.endswith("-packages")) + "\n", encoding="utf-8")
    return home


def test_every_module_imports_from_the_wheel(installed: Path, tmp_path: Path) -> None:
    """Outside the checkout each module is found and loads, without camera, pins or service manager."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    command = [str(installed / "bin" / "python"), "-W", "error", "-c", IMPORTS_EVERYTHING]
    done = subprocess.run(command, cwd=tmp_path, env=environment, check=False, capture_output=True, text=True)
    (packages,) = installed.glob("lib/python*/site-packages")
    homes = [f"{packages}/{name}/__init__.py" for name in ("device", "provisioning")]
    assert done.stderr == ""
    assert done.stdout.splitlines() == homes


def test_the_installed_command_answers(installed: Path, tmp_path: Path) -> None:
    """`gate --help` lists the verbs that other programs rely on."""
    done = subprocess.run([installed / "bin" / "gate", "--help"], cwd=tmp_path, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    verbs = ("run", "eye", "demo", "replay", "check-config", "events", "status", "selftest", "bench")
    assert [verb for verb in verbs if not re.search(rf"^\s+{verb}\b", done.stdout, re.MULTILINE)] == []


HEAVY: Final = ("numpy", "PIL", "pyzbar", "zxingcpp", "picamera2", "libcamera", "segno", "rich", "av", "pip", "asyncio")


def test_the_daemon_does_not_import_what_only_the_eye_or_a_laptop_needs() -> None:
    """Every module is paid for at each start, on a Pi ten times over, and stays in memory."""
    code = f"import sys, device.gate; print([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"
