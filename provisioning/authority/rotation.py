"""A new root takes over from the old one in three phases, and no gate is locked out in any of them.

| phase | what the authority does | what must be true before |
|---|---|---|
| introduce | makes the next root and issuers; both roots count | |
| switch | issues under the next root; brokers get new certificates | every working gate has renewed since, and so knows both roots |
| retire | forgets the former root | every working gate has renewed again, and so has a certificate under the new one |
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Final

from sqlalchemy import func, select

from device.edges.machine.files import replace_durably, sync_folder
from provisioning.authority.authority import FORMER, NEXT, Authority
from provisioning.authority.creation import make_issuers
from provisioning.authority.keys import ISSUERS, Purpose
from provisioning.common import times
from provisioning.common.errors import Refused
from provisioning.registry.registry import Registry
from provisioning.registry.tables import CERTIFIED, Certificate, Gate

_FILES: Final = tuple(
    f"{purpose}.{part}.pem"
    for purpose in (Purpose.ROOT, *ISSUERS)
    for part in ("cert", "key", "anchor")
    if purpose is not Purpose.ROOT or part != "anchor"
)


class RotationPhase(StrEnum):
    """The steps of a rotation, in order."""

    INTRODUCE = "introduce"
    SWITCH = "switch"
    RETIRE = "retire"


def check(authority: Authority, registry: Registry, phase: RotationPhase) -> None:
    """Raises Refused: E187 for a phase that is not due, E188 where gates would be locked out, with how many."""
    there = (authority.folder / NEXT).exists(), (authority.folder / FORMER).exists()
    # Both are there when a switch was cut off at its end.
    due = {
        RotationPhase.INTRODUCE: {(False, False)},
        RotationPhase.SWITCH: {(True, False), (True, True)},
        RotationPhase.RETIRE: {(False, True)},
    }
    if there not in due[phase]:
        raise Refused("E187", phase=phase)
    if phase is RotationPhase.INTRODUCE:
        return
    since = _since(authority, phase)
    late = behind(registry, since)
    if late:
        raise Refused("E188", count=len(late), date=f"{since:%Y-%m-%d}", ids=", ".join(late[:5]))


def behind(registry: Registry, since: datetime) -> Sequence[str]:
    """The working gates whose newest certificate was issued before."""
    newest = select(Certificate.gate, func.max(Certificate.starts)).group_by(Certificate.gate)
    with registry.change() as session:
        starts = {gate: times.aware(start) for gate, start in session.execute(newest)}
        gates = session.scalars(select(Gate.id).where(Gate.state.in_(CERTIFIED)).order_by(Gate.id)).all()
    # Certificates begin an hour before they are made, at a whole second.
    return [gate for gate in gates if gate not in starts or starts[gate].timestamp() + 3600 < int(since.timestamp())]


def carry_out(authority: Authority, phase: RotationPhase, name: str, passphrase: str) -> None:
    """Do it. A phase that a power cut broke off is ended by doing it again. Raises Refused like the authority, E145."""
    try:
        if phase is RotationPhase.INTRODUCE:
            _introduce(authority, name, passphrase)
        elif phase is RotationPhase.SWITCH:
            _switch(authority.folder)
        else:
            shutil.rmtree(authority.folder / FORMER)
        _publish(authority)
    except OSError as error:
        raise Refused("E145", path=authority.folder, why=error.strerror) from error


def _introduce(authority: Authority, name: str, passphrase: str) -> None:
    # Opened once, so that two roots are not under two passphrases.
    authority.key(Purpose.ORDERS, passphrase)
    growing = authority.folder / f"{NEXT}.new"
    shutil.rmtree(growing, ignore_errors=True)
    growing.mkdir(mode=0o700)
    make_issuers(growing, name, authority.lock(passphrase), times.now())
    growing.rename(authority.folder / NEXT)
    sync_folder(authority.folder)


def _switch(folder: Path) -> None:
    former = folder / f"{FORMER}.new"
    if (folder / FORMER).exists():
        (folder / NEXT).rmdir()
        return
    former.mkdir(mode=0o700, exist_ok=True)
    for name in _FILES:
        # What was moved before a power cut lies there already, and the next one's file in its place.
        if (folder / NEXT / name).exists():
            if (folder / name).exists():
                (folder / name).replace(former / name)
            (folder / NEXT / name).replace(folder / name)
    former.rename(folder / FORMER)
    (folder / NEXT).rmdir()
    # Its time says since when certificates come from the new root.
    os.utime(folder / FORMER)
    sync_folder(folder)


def _publish(authority: Authority) -> None:
    folder = authority.folder
    roots = [path.read_bytes() for path in (folder / one / "root.cert.pem" for one in ("", NEXT, FORMER)) if path.exists()]
    replace_durably(authority.root_file, b"".join(roots), mode=0o644)


def _since(authority: Authority, phase: RotationPhase) -> datetime:
    if phase is RotationPhase.RETIRE:
        return datetime.fromtimestamp((authority.folder / FORMER).stat().st_mtime, UTC)
    return datetime.fromtimestamp((authority.folder / NEXT).stat().st_mtime, UTC)
