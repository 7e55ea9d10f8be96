"""What the first boot reads: network keyfiles, cloud-init's three files, and the older script."""

from __future__ import annotations

import configparser

import pytest

from provisioning.card import seed
from provisioning.common.errors import Refused
from provisioning.registry.sites import Network


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
