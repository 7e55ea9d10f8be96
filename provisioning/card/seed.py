"""What cloud-init, or an older Raspberry Pi OS, reads on the first boot."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Final

import yaml

from provisioning.common.errors import Refused
from provisioning.registry.sites import Network
from provisioning.registry.tables import Gate

FOLDER: Final = "gate"
"""On the card, for everything of ours."""
FIRST_BOOT: Final = f"/boot/firmware/{FOLDER}/first-boot.sh"
CONNECTION: Final = "/etc/NetworkManager/system-connections/gate.nmconnection"
LEAST_WIFI_PASSWORD: Final = 8


def connection(network: Network, password: str | None) -> str:
    """A NetworkManager keyfile for the site's network. It tries for ever. Raises Refused (E151) for Wi-Fi without name or password."""
    kinds = {"lan": "ethernet", "wifi": "wifi", "4g": "gsm"}
    sections: dict[str, dict[str, str]] = {
        "connection": {
            "id": "gate",
            "uuid": str(uuid.uuid4()),
            "type": kinds[network.kind],
            "autoconnect": "true",
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
    sections["ipv6"] = {"method": "auto"}
    return (
        "\n\n".join(f"[{name}]\n" + "\n".join(f"{key}={value}" for key, value in pairs.items()) for name, pairs in sections.items()) + "\n"
    )


def cloud_init(gate: Gate, claim: str, network: Network, wifi_password: str | None, ssh_keys: Sequence[str]) -> Mapping[str, bytes]:
    """``meta-data``, ``network-config`` and, last, ``user-data``. Raises Refused (E151)."""
    user: dict[str, Any] = {"name": "tech", "gecos": "Technician", "lock_passwd": True, "shell": "/bin/bash"}
    if ssh_keys:
        user |= {"ssh_authorized_keys": list(ssh_keys), "sudo": "ALL=(ALL) NOPASSWD:ALL"}
    told: dict[str, Any] = {
        "hostname": gate.id,
        "manage_etc_hosts": True,
        "timezone": "Asia/Ho_Chi_Minh",
        "ssh_pwauth": False,
        "user": user,
        "write_files": [{"path": CONNECTION, "permissions": "0600", "content": connection(network, wifi_password)}],
        "runcmd": [["nmcli", "connection", "reload"], ["sh", FIRST_BOOT]],
    }
    networks: dict[str, Any] = {"version": 2, "ethernets": {"eth0": {"dhcp4": True, "optional": True}}}
    return {
        "meta-data": _yaml({"instance-id": f"gate-{claim}"}),
        "network-config": _yaml(networks),
        "user-data": b"#cloud-config\n" + _yaml(told),
    }


def first_run(gate: Gate, network: Network, wifi_password: str | None, ssh_keys: Sequence[str], cmdline: str) -> Mapping[str, bytes]:
    """The older form: ``firstrun.sh``, and ``cmdline.txt`` that runs it once. Raises Refused (E151)."""
    keys = "\n".join(ssh_keys)
    script = f"""#!/bin/sh
set -u
hostnamectl set-hostname {gate.id} || echo {gate.id} >/etc/hostname
timedatectl set-timezone Asia/Ho_Chi_Minh || :
umask 077
cat >{CONNECTION} <<'KEYFILE'
{connection(network, wifi_password)}KEYFILE
id tech >/dev/null 2>&1 || useradd --create-home --shell /bin/bash tech
install -d -m 700 -o tech -g tech /home/tech/.ssh
cat >/home/tech/.ssh/authorized_keys <<'KEYS'
{keys}
KEYS
chown tech:tech /home/tech/.ssh/authorized_keys
sed -i 's| systemd.run[^ ]*||g; s| systemd.unit=kernel-command-line.target||' /boot/firmware/cmdline.txt
nmcli connection reload || :
sh {FIRST_BOOT}
"""
    run = " systemd.run=/boot/firmware/firstrun.sh systemd.run_success_action=reboot systemd.unit=kernel-command-line.target"
    before = " ".join(word for word in cmdline.split() if not word.startswith(("systemd.run", "systemd.unit=kernel-command-line")))
    return {"firstrun.sh": script.encode(), "cmdline.txt": (before + run + "\n").encode()}


def _value(text: str) -> str:
    """A keyfile's value: its escapes, and no line's end within."""
    if any(letter < " " for letter in text):
        raise Refused("E151", least=LEAST_WIFI_PASSWORD)
    escaped = text.replace("\\", "\\\\")
    return f"\\s{escaped[1:]}" if escaped.startswith(" ") else escaped


def _yaml(told: Mapping[str, Any]) -> bytes:
    text: str = yaml.safe_dump(dict(told), allow_unicode=True, sort_keys=False)
    return text.encode()
