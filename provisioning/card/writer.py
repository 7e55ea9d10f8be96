"""Writes a gate's card: what it will do is known before, each file is read back, and what starts everything comes last.

A card that was pulled out half way has no ``user-data`` of ours: a Pi started
from it does nothing of ours, and the next run begins anew with another claim.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv4Interface
from pathlib import Path
from typing import Final

from device.core import wire
from device.edges.certificate.enrol import MANIFEST
from provisioning.authority.authority import Authority
from provisioning.card import first_boot, seed
from provisioning.card.boot import BootPartition
from provisioning.card.package_set import PackageSet
from provisioning.card.package_set_maker import MODEM
from provisioning.common.errors import Refused
from provisioning.common.plan import Step
from provisioning.enrolment.claims import Enrolment, bundle
from provisioning.places.wiring import config_lines
from provisioning.registry.registry import Registry
from provisioning.registry.sites import Network
from provisioning.registry.tables import Gate, GateState

FIRST_BOOT: Final = Path(first_boot.__file__)
LAST: Final = ("config.txt", "cmdline.txt", "meta-data", "network-config", "user-data")
"""What firmware, kernel and cloud-init read, after everything that it leads to."""
SEEDS: Final = ("network-config", "user-data")
"""Where Imager writes a password's digest and a network's key."""


@dataclass(frozen=True, slots=True)
class Card:
    """What is to be written, and where. ``address`` is the gate's own, with its prefix, where the site's network gives none."""

    gate: Gate
    boot: Path
    enrolment: Enrolment
    packages: PackageSet
    ssh_keys: tuple[str, ...] = ()
    wifi_password: str | None = None
    address: str | None = None


def steps(card: Card, registry: Registry, authority: Authority, passphrase: str) -> Sequence[Step]:
    """All steps, in order. Everything that can be known to be wrong is refused now: nothing was written yet.

    Raises Refused like the parts: E133, E150, E151, E160 to E163, E168, and for the authority.
    """
    site = registry.site(card.gate.site)
    network = Network.model_validate(site.network)
    secret = seed.connection(network, card.wifi_password, _address(card.address))
    partition = BootPartition.at(card.boot, card.packages.size)
    _fits(card, network, partition)
    before = {name: (card.boot / name).read_text(encoding="utf-8", errors="replace") for name in ("cmdline.txt", "config.txt")}
    inside = f"{seed.FOLDER}/"
    made: dict[str, bytes] = {}

    def prepare() -> None:
        setup = {
            first_boot.SETTINGS.name: seed.settings(card.gate, network, card.ssh_keys, card.packages),
            FIRST_BOOT.name: FIRST_BOOT.read_bytes(),
            f"{first_boot.PACKAGES.name}/{first_boot.SUMS}": card.packages.content(first_boot.SUMS),
        }
        files = bundle(registry, authority, card.gate, card.enrolment, passphrase, setup=setup)
        told = wire.read(wire.Bundle, files[MANIFEST])
        if isinstance(told, wire.Unreadable):
            raise Refused("E163", path=MANIFEST, why=told.where)
        mine = {**files, **setup, first_boot.NETWORK.name: secret.encode()}
        made.update({f"{inside}{name}": content for name, content in mine.items()})
        made[seed.FIRMWARE] = firmware(card.gate)
        made["config.txt"] = seed.firmware_words(before["config.txt"])
        made["cmdline.txt"] = seed.kernel_words(before["cmdline.txt"], told.claim, network)
        made.update(seed.cloud_init(card.gate, told.claim))

    def write_packages() -> None:
        for name in card.packages.names:
            partition.write(f"{inside}{first_boot.PACKAGES.name}/{name}", card.packages.content(name))

    def write() -> None:
        for name in sorted(made, key=lambda name: LAST.index(name) if name in LAST else -1):
            if name in SEEDS:
                partition.blank(name)
            partition.write(name, made[name])

    packages = {"path": card.packages.folder, "size": f"{card.packages.size / 1e6:.1f} MB", "image": card.packages.about.image}
    return [
        Step("step.card_sweep", {"path": card.boot / seed.FOLDER}, partial(partition.sweep, seed.FOLDER)),
        Step("step.card_claim", {"id": card.gate.id}, prepare),
        Step("step.card_packages", packages, write_packages),
        Step("step.card_write", {"path": card.boot}, write),
        Step("step.card_state", {"id": card.gate.id}, partial(registry.move, card.gate.id, GateState.WRITTEN)),
    ]


def firmware(gate: Gate) -> bytes:
    """``gate.txt``: what the firmware does before there is a kernel."""
    lines = ["# The gate's part of config.txt.", *config_lines(gate), "dtparam=watchdog=on", "dtparam=audio=off", "dtoverlay=disable-bt"]
    return ("\n".join(lines) + "\n").encode()


def _fits(card: Card, network: Network, partition: BootPartition) -> None:
    """The set is for this card's image, and has what the site's network needs. Raises Refused (E168)."""
    image = partition.image
    if image is not None and image != card.packages.about.image:
        raise Refused("E168", path=card.packages.folder, why=f"{card.packages.about.image} ≠ {image}")
    if network.kind == "4g" and not all(map(card.packages.has, MODEM)):
        raise Refused("E168", path=card.packages.folder, why=f"4g: {', '.join(MODEM)} (--with-modem)")


def _address(text: str | None) -> str | None:
    if text is None:
        return None
    try:
        found = IPv4Interface(text)
    except ValueError as error:
        raise Refused("E133", value=f"--address {text}", why=str(error)) from error
    if "/" not in text or found.ip in {found.network.network_address, found.network.broadcast_address}:
        raise Refused("E133", value=f"--address {text}", why="192.168.1.20/24")
    return str(found)
