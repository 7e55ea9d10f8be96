"""Writes a gate's card: what it will do is known before, each file is read back, and what starts everything comes last.

A card that was pulled out half way has no ``user-data`` of ours (or no line in
``cmdline.txt``): a Pi started from it does nothing of ours, and the next run
begins anew with another claim.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, Literal, TypeAlias, get_args

from device.core import wire
from device.edges.certificate.enrol import MANIFEST
from provisioning.authority.authority import Authority
from provisioning.card import seed
from provisioning.card.boot import BootPartition
from provisioning.common.errors import Refused
from provisioning.common.plan import Step
from provisioning.enrolment.claims import Enrolment, bundle
from provisioning.registry.registry import Registry
from provisioning.registry.sites import Network
from provisioning.registry.tables import Gate, GateState

FIRST_BOOT: Final = Path(__file__).with_name("first-boot.sh")
PACKAGE_LIMIT_BYTES: Final = 256 << 20
_KEY_KINDS: Final = ("ssh-ed25519 ", "ecdsa-sha2-nistp256 ", "ssh-rsa ", "sk-ssh-ed25519@openssh.com ")


Form: TypeAlias = Literal["cloud-init", "firstrun"]
FORMS: Final[tuple[Form, ...]] = get_args(Form)
"""What starts everything on the first boot: cloud-init, or the script of an older Raspberry Pi OS."""


def form_of(text: str) -> Form:
    """The form that somebody named. Raises Refused (E133)."""
    found = next((form for form in FORMS if form == text), None)
    if found is None:
        raise Refused("E133", value=f"--form {text}", why=" | ".join(FORMS))
    return found


@dataclass(frozen=True, slots=True)
class Card:
    """What is to be written, and where."""

    gate: Gate
    boot: Path
    enrolment: Enrolment
    form: Form = "cloud-init"
    ssh_keys: tuple[str, ...] = ()
    package: Path | None = None
    wifi_password: str | None = None


def steps(card: Card, registry: Registry, authority: Authority, passphrase: str) -> Sequence[Step]:
    """All steps, in order. Everything that can be known to be wrong is refused now: nothing was written yet.

    Raises Refused like the parts: E150 to E152, E160 to E163, and for the authority.
    """
    site = registry.site(card.gate.site)
    network = Network.model_validate(site.network)
    seed.connection(network, card.wifi_password)
    package = b"" if card.package is None else _package(card.package)
    for key in card.ssh_keys:
        if not key.startswith(_KEY_KINDS) or not key.isprintable():
            raise Refused("E152", key=key[:40])
    partition = BootPartition.at(card.boot, len(package))
    cmdline = (card.boot / "cmdline.txt").read_text(encoding="utf-8", errors="replace")
    inside = f"{seed.FOLDER}/"
    made: dict[str, bytes] = {}

    def prepare() -> None:
        files = bundle(registry, authority, card.gate, card.enrolment, passphrase)
        claim = wire.read(wire.Bundle, files[MANIFEST])
        if isinstance(claim, wire.Unreadable):
            raise Refused("E163", path=MANIFEST, why=claim.where)
        if card.form == "cloud-init":
            started = seed.cloud_init(card.gate, claim.claim, network, card.wifi_password, card.ssh_keys)
        else:
            started = seed.first_run(card.gate, network, card.wifi_password, card.ssh_keys, cmdline)
        made.update({f"{inside}{name}": content for name, content in files.items()})
        made[f"{inside}{FIRST_BOOT.name}"] = FIRST_BOOT.read_bytes()
        made.update(started)

    def write(names: Sequence[str]) -> None:
        for name in names:
            partition.write(name, made[name])

    def rest() -> None:
        write([name for name in made if name not in last])
        write([name for name in last if name in made])

    last = ("firstrun.sh", "cmdline.txt", "meta-data", "network-config", "user-data")
    plan = [
        Step("step.card_sweep", {"path": card.boot / seed.FOLDER}, partial(partition.sweep, seed.FOLDER)),
        Step("step.card_claim", {"id": card.gate.id}, prepare),
    ]
    if card.package is not None:
        name = f"{inside}{card.package.name}"
        plan.append(Step("step.write", {"path": card.boot / name}, partial(partition.write, name, package)))
    plan.append(Step("step.card_write", {"path": card.boot, "form": card.form}, rest))
    plan.append(Step("step.card_state", {"id": card.gate.id}, partial(registry.move, card.gate.id, GateState.WRITTEN)))
    return plan


def ssh_keys(path: Path) -> tuple[str, ...]:
    """The public keys in a file, one a line. Raises Refused (E152)."""
    try:
        return tuple(line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip())
    except (OSError, UnicodeDecodeError) as error:
        raise Refused("E152", key=path) from error


def _package(path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise Refused("E153", path=path, why=error.strerror) from error
    if not content.startswith(b"!<arch>\n") or len(content) > PACKAGE_LIMIT_BYTES:
        raise Refused("E153", path=path, why="!= .deb")
    return content
