"""The package in a Debian 13 without network: built twice, installed, cut off, upgraded, returned, purged."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from device.edges.keys.release import load_keys, verify
from device.errors import Unsigned
from provisioning.package.build import source
from provisioning.package.sign import public_key, signature
from tests.lab import service
from tests.lab.conftest import PACKAGES, TESTS
from tests.lab.folder import Folder
from tests.lab.nspawn import Machine, booted, wait_for
from tests.lab.releases import BROKEN, CHANGES, DIES, GOOD, REFUSES, release

pytestmark = [pytest.mark.lab, pytest.mark.timeout(1800)]

HANDED_OUT: Final = "/releases"
TRIAL: Final = "[Service]\nEnvironment=GATE_TRIAL_WELL_S=4 GATE_TRIAL_LIMIT_S=25\n"
"""A version proves itself in seconds here instead of half a minute, and has as much less time to."""


@pytest.mark.parametrize("architecture", ["amd64", "arm64"])
def test_the_package_is_the_same_bytes_twice(laboratory: None, tmp_path: Path, architecture: str) -> None:  # noqa: ARG001 - asked for its effect
    """In two folders, at two times, with two umasks; for the processor of a Pi too, with every wheel checked."""
    built = []
    for mask in ("022", "077"):
        (tmp_path / mask).mkdir()
        command = f"umask {mask}; exec python -m provisioning.package build --arch {architecture} --out {tmp_path / mask}"
        subprocess.run(["sh", "-c", command], check=True, cwd=source().root, stdout=subprocess.DEVNULL)
        built.append((tmp_path / mask / f"gate_{source().version}_{architecture}.deb").read_bytes())
    assert built[0] == built[1]
    print(f"{architecture}: {len(built[0])} bytes")  # noqa: T201 - the figure for the record


def test_lintian_finds_no_error(copy: Folder, packages: Path) -> None:
    """Debian's own judge. What is overridden has its reason beside it, in files/lintian-overrides."""
    judged = copy.copy(copy.scratch.parent / "judged", {packages: PACKAGES})
    said = judged.run(["sh", "-c", f"lintian --fail-on error {PACKAGES}/*.deb"], check=False)
    assert said.returncode == 0, said.stdout
    assert "\nE: " not in said.stdout


def test_it_installs_without_network_beside_apts_own_numpy(folder: Path, packages: Path, tmp_path: Path) -> None:
    """Nothing is fetched; numpy and libcamera are the system's, everything else is the package's."""
    empty = Folder(folder, tmp_path / "copy", binds={packages: PACKAGES})
    started = time.monotonic()
    empty.run(["sh", "-c", f"dpkg --install {PACKAGES}/*.deb"])
    took = time.monotonic() - started
    say = "import numpy, libcamera, lgpio, pydantic, device\nfor m in (numpy, libcamera, lgpio, pydantic, device): print(m.__file__)"
    homes = empty.run(["/opt/gate/current/bin/python", "-c", say]).stdout.split()
    assert [home.startswith("/opt/gate/") for home in homes] == [False, False, False, True, True]
    size = empty.run(["du", "--summarize", "--block-size=1M", "/opt/gate"]).stdout.split()[0]
    print(f"installed in {took:.1f} s, {size} MiB in /opt/gate")  # noqa: T201 - the figures for the record


@pytest.mark.parametrize("words", [["demo"], ["bench", "start"], ["replay", "/root/film.mp4"]])
def test_what_lives_on_a_laptop_says_so_on_an_installed_gate(installed: Folder, tmp_path: Path, words: list[str]) -> None:
    """One sentence and exit code 2; the desk's program is not there at all."""
    gate = installed.copy(tmp_path / "copy", {})
    gate.run(["touch", "/root/film.mp4"])
    said = gate.run(["gate", *words], check=False)
    assert said.returncode == 2
    assert said.stdout.startswith("gate: `gate ")
    assert "`provisioning/bootstrap gate " in said.stdout
    look = "ls /opt/gate/current/bin/gate-provision /opt/gate/current/lib/python3*/site-packages/provisioning"
    assert gate.run(["sh", "-c", f"{look} 2>/dev/null"], check=False).stdout == ""


@pytest.mark.parametrize("after_s", [0.4, 1.0, 2.0, 3.5])
def test_an_installation_cut_off_anywhere_is_finished_by_the_next_try(folder: Path, packages: Path, tmp_path: Path, after_s: float) -> None:
    """As after a power cut: everything dies at once. Until then no version is current; afterwards it is whole."""
    cut = Folder(folder, tmp_path / "copy", binds={packages: PACKAGES})
    cut.run(["sh", "-c", f"timeout --signal=KILL {after_s} dpkg --install {PACKAGES}/*.deb"], check=False)
    before = cut.run(["sh", "-c", "test -e /opt/gate/current && gate --help >/dev/null && echo works || echo none"]).stdout.strip()
    assert before in {"works", "none"}
    cut.run(
        ["sh", "-c", f"dpkg --configure --pending; dpkg --status gate | grep -q 'install ok installed' || dpkg --install {PACKAGES}/*.deb"]
    )
    assert cut.run(["/usr/lib/gate/gate-switch", "list"]).stdout == f"{source().version} current\n"
    cut.run(["gate", "--help"])


def test_purge_leaves_nothing_but_what_the_province_does_not_have(installed: Folder, tmp_path: Path) -> None:
    """Program, settings, keys, record, users and links in /etc go; a record with undelivered events stays, and that is said."""
    clean = installed.copy(tmp_path / "clean")
    before = Folder(installed.lower, tmp_path / "before")
    service.furnish(clean)
    clean.run(["dpkg", "--purge", "gate"])
    assert leftovers(clean) == leftovers(before)
    kept = installed.copy(tmp_path / "kept")
    service.furnish(kept)
    write = "cd /lab && PYTHONPATH=/lab /opt/gate/current/bin/python -c '" + RECORDS_ONE + "'"
    kept.run(["sh", "-c", write])
    said = kept.run(["dpkg", "--purge", "gate"]).stdout
    assert "/var/lib/gate is kept: it holds 1 events" in said
    assert kept.run(["ls", "/var/lib/gate/journal.sqlite"]).returncode == 0


RECORDS_ONE: Final = """
from pathlib import Path
from device.edges.machine.clock import SystemClock
from device.edges.record.journal import SqliteJournal
from tests.entries import FREEZE, checkin, section
Path("/var/lib/gate").mkdir(exist_ok=True)
journal = SqliteJournal(Path("/var/lib/gate/journal.sqlite"), section(), clock := SystemClock(), FREEZE)
journal.record(checkin(clock, 1)).result(10)
journal.close()
"""


def leftovers(folder: Folder) -> list[str]:
    """Everything that bears the gate's name, and its users; the laboratory's own things are left out."""
    outside = " -o ".join(f"-path {path}" for path in ("/proc", "/sys", "/lab", "/packages", "/var/lib/lab", "/usr/local"))
    find = f"find / -xdev \\( {outside} \\) -prune -o -name '*gate*' -print"
    users = "getent passwd gate gate-eye; getent group gate gate-eye"
    names = folder.run(["sh", "-c", f"{find}; {users}"], check=False).stdout.splitlines()
    return sorted(name for name in names if not re.match(r"/(usr/share/(perl|lintian)|usr/lib/python|var/log|etc/mosquitto)", name))


@pytest.fixture(scope="module")
def releases(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:  # noqa: ARG001 - only where there is a laboratory
    """Newer versions, signed, and their key."""
    out = tmp_path_factory.mktemp("releases")
    key = Ed25519PrivateKey.generate()
    (out / "release.pub").write_bytes(public_key(key))
    for version, change in CHANGES.items():
        signature(key, release(version, out, change))
    # The gate's own user reads them, too.
    out.chmod(0o755)
    return out


@pytest.fixture
def machine(installed: Folder, releases: Path, tmp_path: Path) -> Iterator[Machine]:
    """A gate in service that trusts the releases' key."""
    folder = installed.copy(tmp_path / "copy", {releases: HANDED_OUT, TESTS: "/lab/tests"})
    service.furnish(folder)
    upper = folder.scratch / "upper"
    service.write(upper / "etc/systemd/system/gate-trial.service.d/quick.conf", TRIAL)
    service.write(upper / "etc/gate/release-keys/release.pub", (releases / "release.pub").read_text())
    with booted(folder) as running:
        service.wait_deciding(running)
        yield running


def report(machine: Machine) -> dict[str, Any]:
    """What the last update came to."""
    said = machine.said("cat", "/var/lib/gate-package/last-update.json")
    found: dict[str, Any] = json.loads(said) if said.startswith("{") else {}
    return found


def wait_result(machine: Machine, result: str, limit_s: float = 60) -> float:
    """Wait until the last update has come to ``result``."""
    return wait_for(
        lambda: report(machine).get("result") == result, limit_s, lambda: f"{report(machine)}\n{machine.journal('gate-trial.service')}"
    )


def current(machine: Machine) -> str:
    """The version that the link names."""
    return machine.said("readlink", "/opt/gate/current")


def test_an_upgrade_is_watched_and_stays_and_the_one_before_is_kept(machine: Machine) -> None:
    """Signed, installed beside the running version, switched, watched until it is well. Nothing recorded is lost."""
    newest = service.status(machine)["journal"]["newest"]
    machine.run("gate", "update", f"{HANDED_OUT}/gate_{GOOD}_amd64.deb")
    wait_result(machine, "good")
    assert machine.said("/usr/lib/gate/gate-switch", "list").splitlines() == [f"{source().version} previous", f"{GOOD} current"]
    assert service.status(machine)["version"] == GOOD
    assert service.status(machine)["journal"]["newest"] >= newest
    machine.run("/usr/lib/gate/gate-switch", "back")
    service.wait_deciding(machine)
    assert service.status(machine)["version"] == source().version


@pytest.mark.parametrize(("version", "why"), [(DIES, "gate.service is"), (REFUSES, "refuses its configuration")])
def test_a_version_that_is_not_well_goes_by_itself(machine: Machine, version: str, why: str) -> None:
    """One that crashes, one that refuses the configuration: the version before is back in service, and the report says why."""
    machine.run("gate", "update", f"{HANDED_OUT}/gate_{version}_amd64.deb")
    wait_result(machine, "returned")
    assert why in report(machine)["reason"]
    assert current(machine) == source().version
    service.wait_deciding(machine)
    assert service.status(machine)["version"] == source().version


def test_a_version_that_cannot_start_is_never_made_current(machine: Machine) -> None:
    """It is tried before the link is changed: dpkg fails, the gate does not notice."""
    done = machine.run("gate", "update", f"{HANDED_OUT}/gate_{BROKEN}_amd64.deb", check=False)
    assert done.returncode == 1
    assert report(machine)["result"] == "failed"
    assert current(machine) == source().version
    service.wait_deciding(machine)


def test_a_trial_goes_on_after_a_power_cut(machine: Machine) -> None:
    """The plug is pulled while a bad version is watched: after the boot it still has to prove itself, and goes."""
    machine.run("gate", "update", f"{HANDED_OUT}/gate_{DIES}_amd64.deb")
    wait_for(lambda: current(machine) == DIES, 20, lambda: str(report(machine)))
    machine.pull_the_plug()
    machine.start()
    wait_result(machine, "returned", 90)
    service.wait_deciding(machine)
    assert current(machine) == source().version


def test_what_the_daemon_hands_in_is_installed_only_if_it_is_signed(machine: Machine) -> None:
    """The way of an order from the province: the gate's user leaves a file, root looks at its signature."""
    hand_in(machine, GOOD, signed=False)
    wait_result(machine, "refused")
    assert "no signature" in report(machine)["reason"]
    assert current(machine) == source().version
    hand_in(machine, GOOD, signed=True)
    wait_result(machine, "good")
    assert current(machine) == GOOD


def test_debians_signify_takes_our_signatures_and_we_take_its(folder: Path, tmp_path: Path) -> None:
    """The format is somebody else's: their program is the judge."""
    papers = tmp_path / "papers"
    papers.mkdir()
    package, key = papers / "gate.deb", Ed25519PrivateKey.generate()
    package.write_bytes(b"made for signing" * 1000)
    signature(key, package)
    (papers / "ours.pub").write_bytes(public_key(key))
    inside = Folder(folder, tmp_path / "inside", binds={papers: "/papers"})
    check = ["signify-openbsd", "-V", "-p", "/papers/ours.pub", "-x", "/papers/gate.deb.sig", "-m", "/papers/gate.deb"]
    assert "Signature Verified" in inside.run(check).stdout
    make = ["mkdir /w", "cd /w", "signify-openbsd -G -n -p theirs.pub -s theirs.sec"]
    make += ["signify-openbsd -S -s theirs.sec -x deb.sig -m /papers/gate.deb"]
    inside.run(["sh", "-ec", " && ".join(make)])
    theirs = inside.scratch / "upper/w"
    verify(package.read_bytes(), theirs / "deb.sig", load_keys(theirs))
    package.write_bytes(b"altered" + package.read_bytes())
    assert inside.run(check, check=False).returncode != 0
    with pytest.raises(Unsigned):
        verify(package.read_bytes(), theirs / "deb.sig", load_keys(theirs))


def hand_in(machine: Machine, version: str, *, signed: bool) -> None:
    """As the daemon would, with the daemon's rights."""
    name = f"gate_{version}_amd64.deb"
    lines = ["mkdir -p /var/lib/gate/update", f"cp {HANDED_OUT}/{name} /var/lib/gate/update/"]
    lines += [f"cp {HANDED_OUT}/{name}.sig /var/lib/gate/update/"] if signed else []
    lines += [f"touch /var/lib/gate/update/{name}.ready"]
    machine.run("setpriv", "--reuid=gate", "--regid=gate", "--clear-groups", "sh", "-ec", "; ".join(lines))
