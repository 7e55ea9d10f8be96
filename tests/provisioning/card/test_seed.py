"""What the first boot reads: network keyfiles, settings, cloud-init's three files, and the words for kernel and firmware."""

from __future__ import annotations

import configparser
import json
from pathlib import Path

import pytest
import yaml

from provisioning.card import seed
from provisioning.common.errors import Refused
from provisioning.registry.sites import Network
from tests.provisioning.card.pi_card import CMDLINE, a_set
from tests.provisioning.registry.rows import a_gate, a_site

WIFI = Network(kind="wifi", ssid="Xưởng gỗ")


def read(keyfile: str) -> configparser.ConfigParser:
    """GLib's key files are like ini files."""
    found = configparser.ConfigParser(interpolation=None, delimiters=("=",))
    found.read_string(keyfile)
    return found


@pytest.mark.parametrize(
    "network", [Network(), Network(kind="wifi", ssid=" a=b;\\c "), Network(kind="4g", apn="v-internet"), Network(kind="4g")]
)
def test_keyfiles_try_for_ever_and_are_read_as_they_were_meant(network: Network) -> None:
    """Backslashes and a leading blank are escaped."""
    found = read(seed.connection(network, "12345678"))
    assert found["connection"]["autoconnect-retries"] == "0"
    assert found["connection"]["type"] == {"lan": "ethernet", "wifi": "wifi", "4g": "gsm"}[network.kind]
    if network.kind == "wifi":
        assert found["wifi"]["ssid"].replace("\\s", " ", 1).replace("\\\\", "\\") == " a=b;\\c"
    if network.apn:
        assert found["gsm"]["apn"] == "v-internet"
    assert found["ipv4"]["method"] == "auto"


def test_a_gate_with_an_address_of_its_own_asks_nobody_for_one() -> None:
    """Gateway and name servers are the site's."""
    network = Network.model_validate({"gateway": "192.168.1.1", "dns": "192.168.1.1  10.0.0.53"})
    found = read(seed.connection(network, None, "192.168.1.20/24"))
    assert dict(found["ipv4"]) == {"method": "manual", "address1": "192.168.1.20/24,192.168.1.1", "dns": "192.168.1.1;10.0.0.53;"}
    alone = read(seed.connection(Network(), None, "10.1.2.3/16"))
    assert (alone["ipv4"]["address1"], alone["ipv4"]["dns"]) == ("10.1.2.3/16", "")


@pytest.mark.parametrize("wrong", [Network(kind="wifi"), Network(kind="wifi", ssid="a\nb"), Network(kind="wifi", ssid="a")])
def test_wifi_needs_a_name_and_a_password(wrong: Network) -> None:
    """E151."""
    with pytest.raises(Refused, match="E151"):
        seed.connection(wrong, "short" if wrong.ssid == "a" else "12345678")


def test_the_settings_say_what_is_set_up_and_nothing_secret(tmp_path: Path) -> None:
    """The country only where there is a radio to open."""
    gate = a_gate(a_site())
    told = json.loads(seed.settings(gate, WIFI, ("ssh-ed25519 AAAA tech",), a_set(tmp_path / "packages", chrony="4.6")))
    assert told == {
        "gate": gate.id,
        "timezone": "Asia/Ho_Chi_Minh",
        "country": "VN",
        "ssh_keys": ["ssh-ed25519 AAAA tech"],
        "packages": {"gate": "0.2.0", "chrony": "4.6"},
    }
    assert json.loads(seed.settings(gate, Network(), (), a_set(tmp_path / "other")))["country"] is None


def test_cloud_init_starts_the_program_at_every_boot_and_does_nothing_else() -> None:
    """No users, no network, no commands that run once, nothing secret; another claim is another instance."""
    gate = a_gate(a_site())
    files = {name: yaml.safe_load(content) for name, content in seed.cloud_init(gate, "claim-1").items()}
    assert files["user-data"]["bootcmd"] == [["python3", "-I", "/boot/firmware/gate/first_boot.py", "begin"]]
    assert files["user-data"].keys() == {"hostname", "preserve_hostname", "ssh_pwauth", "bootcmd"}
    assert files["network-config"] == {"network": {"config": "disabled"}}
    assert files["meta-data"]["instance-id"] != yaml.safe_load(seed.cloud_init(gate, "claim-2")["meta-data"])["instance-id"]


IMAGERS = f"{CMDLINE.strip()} cfg80211.ieee80211_regdom=GB ds=nocloud;i=rpi-imager-1796000000000"


@pytest.mark.parametrize("before", [CMDLINE, IMAGERS, f"{CMDLINE.strip()} cgroup_disable=memory fsck.repair=no"])
def test_the_kernels_words_are_one_line_however_often_the_card_is_written(before: str) -> None:
    """Ours replace Imager's and our own of the last time; all else stays."""
    once = seed.kernel_words(before, "claim-1", WIFI).decode()
    again = seed.kernel_words(once, "claim-2", WIFI).decode()
    assert once.count("\n") == again.count("\n") == 1
    assert again.split()[: len(CMDLINE.split())] == CMDLINE.split()
    ours = {"ds=nocloud;i=gate-claim-2", "cgroup_enable=memory", "fsck.repair=yes", "cfg80211.ieee80211_regdom=VN"}
    assert sorted(again.split()[len(CMDLINE.split()) :]) == sorted(ours)


def test_a_site_without_a_radio_leaves_the_country_alone() -> None:
    """It may be somebody's who set it by hand."""
    assert "regdom=GB" in seed.kernel_words(IMAGERS, "claim-1", Network()).decode()
    assert "regdom" not in seed.kernel_words(CMDLINE, "claim-1", Network()).decode()


def test_the_firmware_reads_our_file_once() -> None:
    """For every board: below ``[all]``."""
    once = seed.firmware_words("arm_64bit=1\n[pi5]\nx=1").decode()
    assert once.endswith("x=1\n\n[all]\ninclude gate.txt\n")
    assert seed.firmware_words(once).decode() == once
