"""The province beside a stock card: its own programs, in a network of its own, where nothing else can be reached.

The desk's verbs are the real command line in a process of its own. Two things of
a Pi no machine here has, its camera and its pins: `card write` is run with a folder of pictures
and pretended pins in the configuration that it signs, and for this machine's architecture.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from provisioning.package.build import build, source
from tests.lab.folder import prepare
from tests.lab.stock_card import NAMESPACE, StockCard
from tests.waiting import until

HOST: Final = "broker.example.org"
ADDRESS: Final = "192.168.77.1"
TAPS: Final = 4
PASSPHRASE: Final = "correct horse battery staple"  # noqa: S105 - of an authority that does not exist
WIFI_PASSWORD: Final = "SECRET-WIFI-1"  # noqa: S105 - of a network that does not exist
FRAMES: Final = "/var/lib/lab/frames"
PROJECT: Final = Path(__file__).parents[2]
AS_ON_A_PC: Final = f"""
import sys
from provisioning.enrolment import claims
from provisioning.verbs import cards

real = claims.configuration

def fitted(*words):
    text = real(*words)
    camera = ('source = "picamera2"', 'source = "folder:{FRAMES}"\\nfps = 5.0')
    for old, new in (camera, ('chip = "pinctrl-bcm2711"', 'pin_factory = "mock"')):
        assert old in text, old
        text = text.replace(old, new, 1)
    return text

claims.configuration = fitted
cards.ARCHITECTURE = "amd64"
from provisioning.cli import main
sys.exit(main(sys.argv[1:]))
"""


class Town:
    """The province's machine and the technician's laptop in one folder."""

    def __init__(self, folder: Path) -> None:
        """Authority, brokers' files, papers and a set; nothing runs yet."""
        self.folder, self.home, self.broker = folder, folder / "home", folder / "broker"
        self.broker.mkdir(parents=True)
        (self.broker / "data").mkdir()
        self._programs: list[subprocess.Popen[bytes]] = []
        self.desk("authority", "init")
        self.desk("broker", "mosquitto", "--host", HOST, "--out", str(self.broker), "--data", str(self.broker / "data"))
        for name in ("enrolment", "desk"):
            self.desk("authority", "service", name, "--out", str(self.broker))

    def desk(self, *words: str, program: tuple[str, ...] = ("-m", "provisioning.cli"), code: int = 0) -> Any:  # noqa: ANN401 - JSON
        """A verb of the tool, and what it says as JSON."""
        command = [*self._inside(), sys.executable, *program, *words, "--yes", "--json"]
        done = subprocess.run(command, check=False, capture_output=True, text=True, env=self._environment(), cwd=self.folder)
        assert done.returncode == code, f"{' '.join(words)}: {done.stdout}{done.stderr}"
        return json.loads(done.stdout) if done.stdout.strip() else {}

    def make_packages(self) -> Path:
        """What this machine's architecture needs beyond the stock card, fetched by the desk's own verb."""
        package = build(source(), "amd64", self.folder / "packages")
        made = ("--package", str(package), "--list", str(prepare("stock") / "packages.info"), "--sources", str(self._sources()))
        self.desk("packages", "make", *made, "--architecture", "amd64", "--without-camera")
        return self.home / "packages" / "amd64"

    def site(self, *more: str) -> str:
        """A new school."""
        words = ["site", "add", "--name", "Trường Hoa Phượng", "--kind", "school", "--commune", "23575", "--contact", "Văn phòng"]
        words += ["--hotline", "0269 000 000", "--purpose", "đón học sinh", "--legal-basis", "nội quy", "--broker", HOST]
        return str(self.desk(*words, *more)["id"])

    def gate(self, site: str) -> str:
        """A new gate of a site."""
        return str(self.desk("gate", "add", "--site", site, "--board", "pi4")["id"])

    def write(self, card: StockCard, gate: str, *more: str) -> None:
        """`card write`, on the folder that the laptop shows."""
        with card.mounted() as boot:
            self.desk("card", "write", "--gate", gate, "--boot", str(boot), *more, program=("-c", AS_ON_A_PC))

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Brokers, enrolment worker, and a network with addresses and one name."""
        try:
            self._network()
            names = ("--no-resolv", "--no-hosts", "--no-poll", f"--address=/{HOST}/{ADDRESS}", f"--address=/ntp.org/{ADDRESS}")
            leases = ("--dhcp-range=192.168.77.50,192.168.77.99,1h", f"--dhcp-leasefile={self.folder}/leases")
            here = ("--keep-in-foreground", "--interface=stock", "--bind-interfaces", "--user=root", "--log-facility=-")
            self._start("dnsmasq", "dnsmasq", *here, *names, *leases)
            self._start("ntp", sys.executable, str(PROJECT / "tests/lab/stock_ntp.py"))
            for path in (self.folder, *self.folder.parents[:-1]):
                path.chmod(path.stat().st_mode | 0o111)
            for path in [*self.broker.glob("*.key.pem"), *self.broker.glob("*.acl"), self.broker / "data"]:
                shutil.chown(path, "mosquitto")
            for name in ("gates", "enrol"):
                self._start(name, "mosquitto", "-c", str(self.broker / f"{name}.conf"))
            serve = ["enrol", "serve", "--host", HOST, *self.papers("enrolment")]
            self._start("worker", sys.executable, "-m", "provisioning.cli", *serve)
            until(lambda: "connected to the broker" in self.words("worker"), why=lambda: self.words("worker"))
            yield
        finally:
            for program in self._programs:
                program.kill()
                program.wait()
            self._programs.clear()
            subprocess.run(["ip", "netns", "del", NAMESPACE], check=False, capture_output=True)
            shutil.rmtree(f"/etc/netns/{NAMESPACE}", ignore_errors=True)

    def papers(self, name: str) -> list[str]:
        """With which a program of the province's connects."""
        return ["--cert", str(self.broker / f"{name}.cert.pem"), "--key", str(self.broker / f"{name}.key.pem")]

    def words(self, program: str) -> str:
        """What a program of the province's has said."""
        return (self.folder / f"{program}.log").read_text(errors="replace")

    def _network(self) -> None:
        subprocess.run(["ip", "netns", "del", NAMESPACE], check=False, capture_output=True)
        _ip("netns", "add", NAMESPACE)
        inside = ("-n", NAMESPACE)
        _ip(*inside, "link", "set", "lo", "up")
        _ip(*inside, "link", "add", "stock", "type", "bridge")
        _ip(*inside, "addr", "add", f"{ADDRESS}/24", "dev", "stock")
        _ip(*inside, "link", "set", "stock", "up")
        for number in range(TAPS):
            _ip(*inside, "tuntap", "add", "dev", f"stock{number}", "mode", "tap")
            _ip(*inside, "link", "set", f"stock{number}", "master", "stock", "up")
        hosts = Path(f"/etc/netns/{NAMESPACE}/hosts")
        hosts.parent.mkdir(parents=True, exist_ok=True)
        hosts.write_text(f"{ADDRESS} {HOST}\n127.0.0.1 localhost\n")

    def _environment(self) -> dict[str, str]:
        told = {"GATE_PROVISION_HOME": str(self.home), "GATE_PROVISION_PASSPHRASE": PASSPHRASE, "GATE_PROVISION_LANG": "en"}
        return {**os.environ, **told, "GATE_PROVISION_WIFI": WIFI_PASSWORD, "PYTHONPATH": str(PROJECT)}

    def _inside(self) -> list[str]:
        return ["ip", "netns", "exec", NAMESPACE] if self._programs else []

    def _start(self, name: str, *command: str) -> None:
        with (self.folder / f"{name}.log").open("wb") as log:
            inside = ["ip", "netns", "exec", NAMESPACE, *command]
            self._programs.append(subprocess.Popen(inside, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self._environment()))

    def _sources(self) -> Path:
        """Debian's archive, wherever this machine's apt fetches from."""
        said = ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages", "Label: Debian"]
        mirror = subprocess.run(said, check=True, capture_output=True, text=True).stdout.splitlines()[0]
        path = self.folder / "debian.list"
        keys = next(one for one in Path("/usr/share/keyrings").glob("debian-archive-keyring.*"))
        path.write_text(f"deb [signed-by={keys}] {mirror} trixie main\n")
        return path


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)
