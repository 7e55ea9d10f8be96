"""What a card tells the first boot: the network, the settings, cloud-init's three files, and the words for firmware and kernel."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Final

import yaml

from provisioning.card.package_set import PackageSet
from provisioning.common.errors import Refused
from provisioning.registry.sites import Network
from provisioning.registry.tables import Gate

FOLDER: Final = "gate"
"""On the card, for everything of ours."""
PROGRAM: Final = f"/boot/firmware/{FOLDER}/first_boot.py"
TIMEZONE: Final = "Asia/Ho_Chi_Minh"
LEAST_WIFI_PASSWORD: Final = 8
FIRMWARE: Final = "gate.txt"
"""Beside ``config.txt``, which includes it."""
_INCLUDE: Final = f"include {FIRMWARE}"


def connection(network: Network, password: str | None, address: str | None = None) -> str:
    """A NetworkManager keyfile for the site's network. It tries for ever.

    ``address`` is the gate's own with its prefix, where the site's network gives none. Raises
    Refused (E151) for Wi-Fi without name or password.
    """
    kinds = {"lan": "ethernet", "wifi": "wifi", "4g": "gsm"}
    sections: dict[str, dict[str, str]] = {
        "connection": {
            "id": "gate",
            "uuid": str(uuid.uuid4()),
            "type": kinds[network.kind],
            "autoconnect": "true",
            "autoconnect-priority": "100",
            "autoconnect-retries": "0",
        },
    }
    if network.kind == "wifi":
        if network.ssid is None or password is None or len(password) < LEAST_WIFI_PASSWORD:
            raise Refused("E151", least=LEAST_WIFI_PASSWORD)
        sections["wifi"] = {"mode": "infrastructure", "ssid": _value(network.ssid)}
        sections["wifi-security"] = {"key-mgmt": "wpa-psk", "psk": _value(password)}
    if network.kind == "4g":
        sections["gsm"] = {"apn": network.apn} if network.apn else {"auto-config": "true"}
    sections["ipv4"] = {"method": "auto"}
    if address is not None:
        gateway = "" if network.gateway is None else f",{network.gateway}"
        sections["ipv4"] = {"method": "manual", "address1": f"{address}{gateway}", "dns": "".join(f"{one};" for one in network.dns.split())}
    sections["ipv6"] = {"method": "auto"}
    return (
        "\n\n".join(f"[{name}]\n" + "\n".join(f"{key}={value}" for key, value in pairs.items()) for name, pairs in sections.items()) + "\n"
    )


def settings(gate: Gate, network: Network, ssh_keys: Sequence[str], packages: PackageSet) -> bytes:
    """What ``first_boot.py`` sets up. Nothing secret."""
    told: dict[str, Any] = {
        "gate": gate.id,
        "timezone": TIMEZONE,
        "country": network.country if network.kind == "wifi" else None,
        "ssh_keys": list(ssh_keys),
        "packages": dict(packages.about.packages),
    }
    return json.dumps(told, indent=1, ensure_ascii=False).encode() + b"\n"


def cloud_init(gate: Gate, claim: str) -> Mapping[str, bytes]:
    """``meta-data``, ``network-config`` and, last, ``user-data``: cloud-init starts our program, and makes no network and nobody."""
    told = {"hostname": gate.id, "preserve_hostname": False, "ssh_pwauth": False, "bootcmd": [["python3", "-I", PROGRAM, "begin"]]}
    return {
        "meta-data": _yaml({"instance-id": instance(claim), "local-hostname": gate.id}),
        "network-config": _yaml({"network": {"config": "disabled"}}),
        "user-data": b"#cloud-config\n" + _yaml(told),
    }


def instance(claim: str) -> str:
    """cloud-init does everything again for an instance that it does not know: each card that is written is one."""
    return f"gate-{claim}"


def kernel_words(before: str, claim: str, network: Network) -> bytes:
    """``cmdline.txt``, one line; what is already there and not ours stays.

    ``ds=nocloud`` names the instance: Imager puts its own there, which would beat ours in ``meta-data`` at every boot. The
    kernel gives nobody a limit of memory, and opens no radio, until it is told.
    """
    ours = {
        "ds=nocloud": f"ds=nocloud;i={instance(claim)}",
        "cgroup_enable=memory": "cgroup_enable=memory",
        "fsck.repair": "fsck.repair=yes",
    }
    if network.kind == "wifi":
        ours["cfg80211.ieee80211_regdom"] = f"cfg80211.ieee80211_regdom={network.country}"
    kept = [word for word in before.split() if not word.startswith((*ours, "cgroup_disable=memory", "systemd.run"))]
    return (" ".join([*kept, *ours.values()]) + "\n").encode()


def firmware_words(before: str) -> bytes:
    """``config.txt``, which includes our own file; once, however often the card is written."""
    if _INCLUDE in before.splitlines():
        return before.encode()
    return f"{before.rstrip()}\n\n[all]\n{_INCLUDE}\n".encode()


def _value(text: str) -> str:
    """A keyfile's value: its escapes, and no line's end within."""
    if any(letter < " " for letter in text):
        raise Refused("E151", least=LEAST_WIFI_PASSWORD)
    escaped = text.replace("\\", "\\\\")
    return f"\\s{escaped[1:]}" if escaped.startswith(" ") else escaped


def _yaml(told: Mapping[str, Any]) -> bytes:
    text: str = yaml.safe_dump(dict(told), allow_unicode=True, sort_keys=False)
    return text.encode()
