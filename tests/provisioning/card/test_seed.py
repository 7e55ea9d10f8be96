"""What the first boot reads: network keyfiles, cloud-init's three files, and the older script."""

from __future__ import annotations

import configparser

import pytest
import yaml

from provisioning.card import seed
from provisioning.common.errors import Refused
from provisioning.registry.sites import Network
from tests.provisioning.registry.rows import a_gate, a_site


@pytest.mark.parametrize(
    "network", [Network(), Network(kind="wifi", ssid=" a=b;\\c "), Network(kind="4g", apn="v-internet"), Network(kind="4g")]
)
def test_keyfiles_try_for_ever_and_are_read_as_they_were_meant(network: Network) -> None:
    """GLib's key files are like ini files; backslashes and a leading blank are escaped."""
    read = configparser.ConfigParser(interpolation=None, delimiters=("=",))
    read.read_string(seed.connection(network, "12345678"))
    assert read["connection"]["autoconnect-retries"] == "0"
    assert read["connection"]["type"] == {"lan": "ethernet", "wifi": "wifi", "4g": "gsm"}[network.kind]
    if network.kind == "wifi":
        assert read["wifi"]["ssid"].replace("\\s", " ", 1).replace("\\\\", "\\") == " a=b;\\c"
    if network.apn:
        assert read["gsm"]["apn"] == "v-internet"


@pytest.mark.parametrize("wrong", [Network(kind="wifi"), Network(kind="wifi", ssid="a\nb"), Network(kind="wifi", ssid="a")])
def test_wifi_needs_a_name_and_a_password(wrong: Network) -> None:
    """E151."""
    with pytest.raises(Refused, match="E151"):
        seed.connection(wrong, "short" if wrong.ssid == "a" else "12345678")


def test_the_older_script_is_started_once_however_often_the_card_is_written() -> None:
    """What an earlier run put into ``cmdline.txt`` is replaced, and all else stays in its one line."""
    gate = a_gate(a_site())
    once = seed.first_run(gate, Network(), None, (), "console=tty1 root=PARTUUID=1234-02\n")["cmdline.txt"]
    again = seed.first_run(gate, Network(), None, (), once.decode())["cmdline.txt"]
    assert once == again
    assert once.decode().split()[:2] == ["console=tty1", "root=PARTUUID=1234-02"]
    assert once.count(b"systemd.run=/boot/firmware/firstrun.sh") == once.count(b"\n") == 1


@pytest.mark.parametrize("keys", [(), ("ssh-ed25519 AAAA tech",)])
def test_nobody_logs_in_with_a_password_and_without_a_key_nobody_at_all(keys: tuple[str, ...]) -> None:
    """The technician is there in any case, for the console that is not."""
    told = yaml.safe_load(seed.cloud_init(a_gate(a_site()), "claim-x", Network(), None, keys)["user-data"])
    assert (told["user"]["lock_passwd"], told["ssh_pwauth"]) == (True, False)
    assert told["user"].get("ssh_authorized_keys", []) == list(keys)
    assert ("sudo" in told["user"]) is bool(keys)


def test_a_new_claim_makes_cloud_init_begin_anew() -> None:
    """It does everything again for an instance that it does not know."""
    gate = a_gate(a_site())
    one, other = (yaml.safe_load(seed.cloud_init(gate, claim, Network(), None, ())["meta-data"]) for claim in ("claim-1", "claim-2"))
    assert one["instance-id"] != other["instance-id"]
