"""Kits by the real apt, from an archive in a folder: what the image lacks is in them, and what it has is not."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from provisioning.card.package_set import INDEX, read_set
from provisioning.card.package_set_maker import Wish, make_set, read_list
from provisioning.common.errors import Refused
from tests.provisioning.card.pi_card import IMAGE

LIST = f"""Raspberry Pi reference 2026-06-16
{IMAGE}

Packages:
Desired=Unknown/Install/Remove/Purge/Hold
||/ Name              Version      Architecture Description
+++-=================-============-============-=====================
ii  dpkg              1.22.21      arm64        Debian package management system
ii  libhere1:arm64    1.0-1        arm64        a library that the image has
rc  libgone1:arm64    1.0-1        arm64        one that was removed
ii  libold1:arm64     1.0-1        arm64        one that the archive has newer
"""


def deb(folder: Path, name: str, version: str, **fields: str) -> Path:
    """A package with nothing in it."""
    tree = folder / f"tree-{name}-{version.replace(':', '-')}"
    (tree / "DEBIAN").mkdir(parents=True)
    told = {"Package": name, "Version": version, "Architecture": "arm64", "Maintainer": "x <x@example.org>", "Description": "x", **fields}
    (tree / "DEBIAN/control").write_text("".join(f"{key}: {value}\n" for key, value in told.items()))
    path = folder / f"{name}_arm64.deb"
    subprocess.run(["dpkg-deb", "--root-owner-group", "--build", str(tree), str(path)], check=True, capture_output=True)
    return path


@pytest.fixture
def wish(tmp_path: Path) -> Wish:
    """A gate that needs three libraries: one is there, one is missing, one must be newer."""
    archive = tmp_path / "archive"
    archive.mkdir()
    packages = [
        deb(archive, "libhere1", "1.0-1"),
        deb(archive, "libmissing1", "1:2.0-1", Depends="libdeeper1"),
        deb(archive, "libdeeper1", "3.0"),
        deb(archive, "libold1", "1.1-1"),
        deb(archive, "libgone1", "1.0-1"),
        deb(archive, "python3-lgpio", "0.2", Depends="libgone1"),
    ]
    index = ""
    for path in packages:
        fields = subprocess.run(["dpkg-deb", "--field", str(path)], check=True, capture_output=True, text=True).stdout
        digest = subprocess.run(["sha256sum", str(path)], check=True, capture_output=True, text=True).stdout.split()[0]
        index += f"{fields}Filename: ./{path.name}\nSize: {path.stat().st_size}\nSHA256: {digest}\n\n"
    (archive / "Packages").write_text(index)
    sources = tmp_path / "archive.list"
    sources.write_text(f"deb [trusted=yes] copy:{archive} ./\n")
    listed = tmp_path / "image.info"
    listed.write_text(LIST)
    gate = deb(tmp_path, "gate", "0.2.0", Depends="libhere1, libmissing1, libold1 (>= 1.1)")
    return Wish(gate, listed, "arm64", ("python3-lgpio",), (sources,))


def test_a_set_holds_what_the_image_lacks(wish: Wish, tmp_path: Path) -> None:
    """Each with its digest; a removed package counts as missing, an old one as old; names that FAT takes."""
    out = tmp_path / "packages" / "arm64"
    made = make_set(wish, out)
    found = read_set(out, "arm64")
    assert found == made
    packages = sorted(path.name.split("_")[0] for path in out.glob("*.deb"))
    assert packages == ["gate", "libdeeper1", "libgone1", "libmissing1", "libold1", "python3-lgpio"]
    assert found.about.packages == {"gate": "0.2.0", "python3-lgpio": "0.2"}
    assert found.about.image == IMAGE
    assert not [name for name in found.names if set(name) & set('%:*?"<>|')]
    index = (out / INDEX).read_text()
    assert index.count("\nFilename: ./") == len(packages)
    again = make_set(wish, out)
    assert again == made


def test_what_no_archive_has_is_said_in_apts_words(wish: Wish, tmp_path: Path) -> None:
    """E166, and there is no half of a set."""
    out = tmp_path / "packages"
    with pytest.raises(Refused, match="E166") as refused:
        make_set(Wish(wish.package, wish.image_list, "arm64", ("python3-picamera2",), wish.sources), out)
    assert "python3-picamera2" in str(refused.value.facts["why"])
    assert not out.exists()


@pytest.mark.parametrize(("fault", "code"), [("no list", "E167"), ("no file", "E167"), ("no package", "E153"), ("other", "E153")])
def test_what_cannot_be_used_is_named(wish: Wish, tmp_path: Path, fault: str, code: str) -> None:
    """Before anything is fetched."""
    listed, package, architecture = wish.image_list, wish.package, "arm64"
    if fault == "no list":
        listed.write_text("ii  dpkg  1.22  arm64  without a name of the image")
    elif fault == "no file":
        listed = tmp_path / "nowhere"
    elif fault == "no package":
        package = listed
    else:
        architecture = "amd64"
    with pytest.raises(Refused, match=code):
        make_set(Wish(package, listed, architecture, (), wish.sources), tmp_path / "packages")


def test_a_list_names_the_image_and_what_is_installed(wish: Wish) -> None:
    """With or without the architecture at the name."""
    image, installed = read_list(wish.image_list)
    assert image == IMAGE
    assert installed == {"dpkg": ("arm64", "1.22.21"), "libhere1": ("arm64", "1.0-1"), "libold1": ("arm64", "1.0-1")}
