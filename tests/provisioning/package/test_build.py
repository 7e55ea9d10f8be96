"""The package and our own wheel: the same bytes each time, with the rights and the date that they are to have."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from provisioning.package.build import BuildError, Source, control, date, lay_out, own_wheel, source
from provisioning.package.wheelhouse import TARGETS
from tests.lab.releases import CHANGES


@pytest.fixture
def project(monkeypatch: pytest.MonkeyPatch) -> Source:
    """The project as it stands, dated by hand: a copy of it without git is built, too."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    return source()


def test_without_git_and_without_a_date_nothing_is_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Dated by the hour of the build, the package would never be the same twice."""
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    (tmp_path / "pyproject.toml").write_text('version = "1.2.3"\n')
    with pytest.raises(BuildError, match="SOURCE_DATE_EPOCH"):
        source(tmp_path)
    monkeypatch.setattr("shutil.which", lambda _: None)
    with pytest.raises(BuildError, match="SOURCE_DATE_EPOCH"):
        source(tmp_path)


@pytest.mark.parametrize("version", CHANGES)
def test_what_the_laboratory_changes_in_its_releases_is_still_there(project: Source, version: str) -> None:
    """Found here in a moment, not in the laboratory after half an hour."""
    for name, (old, _) in CHANGES[version].items():
        assert (project.root / name).read_text(encoding="utf-8").count(old) == 1, name


def test_our_own_wheel_is_the_same_twice_and_carries_the_units(project: Source, tmp_path: Path) -> None:
    """The same commit, built in two folders, is the same bytes."""
    built = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        own_wheel(project, tmp_path / name)
        built += [path.read_bytes() for path in (tmp_path / name).iterdir()]
    assert built[0] == built[1]
    (path,) = (tmp_path / "one").iterdir()
    names = zipfile.ZipFile(path).namelist()
    assert any(name.endswith("data/share/gate/systemd/gate.service") for name in names)
    assert not any("__pycache__" in name for name in names)


def test_what_is_laid_out_has_its_rights_and_its_date_whatever_the_umask(
    project: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Units are links through the current version; what belongs to the package is a plain file."""
    monkeypatch.setattr("os.umask", lambda _: 0)
    lay_out(project, tmp_path)
    date(tmp_path, project.epoch)
    unit = tmp_path / "usr/lib/systemd/system/gate.service"
    assert str(unit.readlink()) == "/opt/gate/current/share/gate/systemd/gate.service"
    assert not (tmp_path / "usr/lib/systemd/system/gate-trial.service").is_symlink()
    for path in tmp_path.rglob("*"):
        assert path.lstat().st_mtime == 1_700_000_000
        if not path.is_symlink():
            assert path.stat().st_mode & 0o777 == (0o755 if path.is_dir() or path.name == "gate-switch" else 0o644)


def test_the_wheel_is_made_of_what_is_under_the_projects_names_alone(project: Source, tmp_path: Path) -> None:
    """Whatever else lies in a working tree, a cache or a half-written module's backup beside the folders, changes nothing."""
    folder = tmp_path / "project"
    for name in ("device", "systemd"):
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").touch()
        (folder / name / "__pycache__").mkdir()
        (folder / name / "__pycache__" / "left.pyc").touch()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        (folder / name).write_bytes((project.root / name).read_bytes())
    (folder / "provisioning").mkdir()
    (folder / "provisioning" / "__init__.py").touch()
    own_wheel(Source(folder, "9.9.9", project.epoch), tmp_path)
    (built,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(built).namelist()
    assert [name for name in names if ".dist-info/" not in name and ".data/" not in name] == ["device/__init__.py"]


def test_a_project_that_cannot_be_built_is_an_error_with_the_builders_words(project: Source, tmp_path: Path) -> None:
    """Not half a package."""
    folder = tmp_path / "project"
    for name in ("device", "systemd"):
        (folder / name).mkdir(parents=True)
    for name in ("README.md", "LICENSE"):
        (folder / name).touch()
    (folder / "pyproject.toml").write_text("nonsense")
    with pytest.raises(BuildError, match="the project's own wheel could not be built"):
        own_wheel(Source(folder, "9.9.9", project.epoch), tmp_path)


@pytest.mark.parametrize("architecture", TARGETS)
def test_the_package_describes_itself_and_each_script_knows_its_version(project: Source, tmp_path: Path, architecture: str) -> None:
    """What apt reads: the processor, what Debian must have, and how much room it takes in KiB."""
    (tmp_path / "large").write_bytes(bytes(5 << 10))
    control(project, TARGETS[architecture], tmp_path)
    text = (tmp_path / "DEBIAN" / "control").read_text(encoding="utf-8")
    fields = dict(line.split(": ", 1) for line in text.splitlines() if not line.startswith(" "))
    assert (fields["Package"], fields["Version"], fields["Architecture"]) == ("gate", project.version, architecture)
    assert "python3 (>= 3.13~)" in fields["Depends"]
    assert 5 <= int(fields["Installed-Size"]) < 30
    postinst = (tmp_path / "DEBIAN" / "postinst").read_text(encoding="utf-8")
    assert f"VERSION={project.version}\n" in postinst
    assert "@VERSION@" not in postinst
