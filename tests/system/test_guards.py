"""What must hold for the project as a whole, and that no single part would notice when it breaks."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import unicodedata
import zipfile
from collections import Counter
from collections.abc import Iterator
from functools import cache
from importlib import metadata
from pathlib import Path, PurePosixPath
from typing import Final

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from pydantic import BaseModel

from device.config import GateConfig
from device.core.reasons import SENTENCES, Reason

ROOT: Final = Path(__file__).resolve().parents[2]

AGREED: Final = {"device", "systemd", "provisioning", "tests", "pyproject.toml", "README.md", ".ci", ".github", ".gitignore", "LICENSE"}

# Written in pieces, so that this file does not hold what it looks for.
REGISTRY_HOSTS: Final = (
    *("py" + "pi.org", "python" + "hosted.org", "piwheels" + ".org", "npm" + "js.org", "crates" + ".io", "docker" + ".io"),
    *("debian" + ".org", "raspberry" + "pi.com/debian", "raspi" + "an.org", "ub" + "untu.com", "anaconda" + ".org"),
)
MACHINE_PATHS: Final = ("/work" + "/main", "/farm" + "/in", ".." + "/shared", "/opt" + "/pypi", "/root" + "/.")

LEFT_OUT: Final = ("device/workbench/", "device/eye/video.py")
"""What of `device` a clone has and a gate has not."""

ROOMS: Final = {
    "device": 16,
    "device/contract": 2,
    "device/contract/schemas": 13,
    "device/core": 29,
    "device/core/credentials": 14,
    "device/core/wire": 9,
    "device/decisions": 20,
    "device/edges": 1,
    "device/edges/broker": 13,
    "device/edges/certificate": 4,
    "device/edges/eye": 3,
    "device/edges/keys": 6,
    "device/edges/lists": 3,
    "device/edges/machine": 6,
    "device/edges/orders": 5,
    "device/edges/pins": 5,
    "device/edges/record": 15,
    "device/eye": 25,
    "device/reference": 4,
    "device/settings": 5,
    "device/verbs": 7,
}
"""How many files of each folder a gate carries, documents and data too. Whoever adds one asks first whether a gate needs it."""

FINDS_HOMES: Final = """
import pathlib, sys
for name in ("device", "provisioning"):
    print(*{home.resolve() for folder in sys.path for home in pathlib.Path(folder).glob(name + "*") if home.stem == name}, sep="\\n")
"""

# What only a Pi has may be missing; then the module that needs it is passed over.
IMPORTS_EVERYTHING: Final = """
import importlib, pkgutil, sys
import device
for module in pkgutil.walk_packages(device.__path__, "device."):
    try:
        importlib.import_module(module.name)
    except ModuleNotFoundError as missing:
        if missing.name not in ("lgpio", "picamera2", "libcamera"):
            raise
print(device.__file__)
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


def carried(wheel: Path) -> set[str]:
    """The files of the wheel, without its papers and the units."""
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name and ".data/" not in name}


def test_the_wheel_holds_what_a_gate_needs_and_nothing_else(wheel: Path) -> None:
    """Every file below `device` but workbench and video, data too (score, symbol, contract); no left-over of a tool, no `provisioning`."""
    assert carried(wheel) == {name for name in project_files() if name.startswith("device/") and not name.startswith(LEFT_OUT)}


def test_each_file_that_a_gate_carries_was_given_its_room(wheel: Path) -> None:
    """A module that slips into the package is on every gate for years: whoever adds one says so in the table above."""
    assert Counter(str(PurePosixPath(name).parent) for name in carried(wheel)) == ROOMS


def test_the_package_has_one_command(wheel: Path) -> None:
    """`gate-provision` needs what is not there."""
    with zipfile.ZipFile(wheel) as archive:
        (entry_points,) = (name for name in archive.namelist() if name.endswith("/entry_points.txt"))
        assert archive.read(entry_points).decode() == "[console_scripts]\ngate = device.cli:main\n"


def test_what_runs_on_a_gate_names_no_module_that_is_not_there(wheel: Path) -> None:
    """Units, maintainer scripts, gate-switch and the image's recipe call modules by name, which no import check sees."""
    modules = {name.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for name in carried(wheel)}
    places = ("systemd/", "provisioning/package/files/")
    on_a_gate = [(name, text) for name, text in texts() if name.startswith(places) and not name.endswith(".md")]
    called = {(name, found) for name, text in on_a_gate for found in re.findall(r"\b(?:device|provisioning)(?:\.[a-z_]+)+", text)}
    assert {found for _, found in called} >= {"device.eye.ladder", "device.eye.selfcheck"}
    assert {(name, found) for name, found in called if found not in modules} == set()


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A gate's environment outside the checkout: the wheel, and of this environment's packages those alone that the wheel asks for."""
    home = tmp_path_factory.mktemp("installed")
    subprocess.run([sys.executable, "-I", "-m", "venv", "--without-pip", str(home)], check=True)
    python = home / "bin" / "python"
    pip = [sys.executable, "-I", "-m", "pip", "--quiet", "--disable-pip-version-check", "--python", str(python)]
    subprocess.run([*pip, "install", "--no-index", "--no-deps", "--no-compile", str(wheel)], check=True, capture_output=True)
    (packages,) = home.glob("lib/python*/site-packages")
    for library in needed("gate-device"):
        for top in top_level(library) - {path.name for path in packages.iterdir()}:
            (packages / top).symlink_to(str(metadata.distribution(library).locate_file(top)))
    return home


def asked_for(name: str) -> set[str]:
    """The distributions that ``name`` asks for on this machine, extras left out."""
    wanted = [Requirement(line) for line in metadata.requires(name) or ()]
    return {canonicalize_name(one.name) for one in wanted if one.marker is None or one.marker.evaluate({"extra": ""})}


def needed(name: str) -> set[str]:
    """The same, and what those ask for."""
    found: set[str] = set()
    waiting = asked_for(name)
    while waiting:
        found |= waiting
        waiting = {below for one in waiting for below in asked_for(one)} - found
    return found


def top_level(name: str) -> set[str]:
    """What a distribution puts among the packages. Debian's own lists no files: there it is the folder of its name."""
    listed = {file.parts[0] for file in metadata.files(name) or ()} - {"..", "__pycache__"}
    return listed or {name}


def answer(installed: Path, folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """What the installed program says, run in a folder that is not the project's."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder)}
    return subprocess.run(
        [installed / "bin" / command[0], *command[1:]], cwd=folder, env=environment, check=False, capture_output=True, text=True
    )


def test_every_module_imports_with_nothing_but_a_gates_libraries(installed: Path, tmp_path: Path) -> None:
    """Outside the checkout each module is found and loads, without camera, pins or service manager, and without a laptop's packages."""
    done = answer(installed, tmp_path, "python", "-W", "error", "-c", IMPORTS_EVERYTHING)
    (packages,) = installed.glob("lib/python*/site-packages")
    assert done.stderr == ""
    assert done.stdout.splitlines() == [f"{packages}/device/__init__.py"]


def test_each_library_that_a_gate_gets_is_used_by_the_gate(wheel: Path) -> None:
    """What only the laptop needs stands in an extra: each dependency is imported by name in a module of the wheel."""
    imported = re.compile(r"(?:^\s*(?:from|import) |import_module\(\")([A-Za-z_0-9]+)", re.MULTILINE)
    used = {name for path in carried(wheel) if path.endswith(".py") for name in imported.findall((ROOT / path).read_text(encoding="utf-8"))}
    assert {name for name in asked_for("gate-device") if not {top.removesuffix(".py") for top in top_level(name)} & used} == set()


def test_the_installed_command_answers(installed: Path, tmp_path: Path) -> None:
    """`gate --help` lists the verbs that other programs rely on."""
    done = answer(installed, tmp_path, "gate", "--help")
    assert (done.returncode, done.stderr) == (0, "")
    verbs = ("run", "eye", "demo", "replay", "check-config", "events", "status", "selftest", "bench")
    assert [verb for verb in verbs if not re.search(rf"^\s+{verb}\b", done.stdout, re.MULTILINE)] == []


@pytest.mark.parametrize("words", ["demo", "demo --json", "bench", "bench eye", "replay film.mp4"])
def test_what_lives_on_a_laptop_says_so_on_a_gate(installed: Path, tmp_path: Path, words: str) -> None:
    """Where it runs and by which command, on standard error; as for any usage that cannot be, exit code 2."""
    (tmp_path / "film.mp4").touch()
    done = answer(installed, tmp_path, "gate", *words.split())
    assert (done.returncode, done.stdout) == (2, "")
    verb = words.removesuffix(" --json").removesuffix(" eye")
    sentence = f"gate: `gate {verb}` runs on a laptop: `provisioning/bootstrap gate {verb}` in a clone of the project\n"
    assert done.stderr == f"{sentence}  A gate's package holds what a gate needs, and this is not in it.\n"


@pytest.mark.parametrize("words", ["check-config gate.toml", "eye --config gate.toml"])
def test_a_gate_whose_configuration_names_a_video_is_told_the_key(installed: Path, tmp_path: Path, words: str) -> None:
    """Before anything starts, and from an eye that is started all the same: a configuration that no waiting cures ends with 2."""
    (tmp_path / "film.mp4").touch()
    (tmp_path / "site.key").write_text("0" * 64)
    text = '[gate]\nid = "gate-1"\nsite = "site-1"\n[privacy]\nsite_key = "site.key"\n[camera]\nsource = "video:film.mp4"\n'
    (tmp_path / "gate.toml").write_text(text)
    done = answer(installed, tmp_path, "gate", *words.split())
    assert (done.returncode, done.stdout) == (2, "")
    assert "camera.source: a gate plays no videos: name `picamera2` or `folder:PATH`" in done.stderr
    assert "Traceback" not in done.stderr


HEAVY: Final = ("numpy", "PIL", "pyzbar", "zxingcpp", "picamera2", "libcamera", "segno", "rich", "av", "pip", "asyncio")


def test_the_daemon_does_not_import_what_only_the_eye_or_a_laptop_needs() -> None:
    """Every module is paid for at each start, on a Pi ten times over, and stays in memory."""
    code = f"import sys, device.gate; print([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"
