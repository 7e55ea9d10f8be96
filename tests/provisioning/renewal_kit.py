"""A province at work in which a gate enrolled a day ago, for whoever renews."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from sqlalchemy import select

from device.edges.certificate.enrol import Places, enrol
from provisioning.registry.tables import Certificate, Gate
from tests.provisioning.enrolment_kit import Province, province


@contextmanager
def working_province(folder: Path) -> Iterator[Province]:
    """A province whose brokers and worker run."""
    made = province(folder)
    with made.brokers(), made.working():
        yield made
    made.registry.close()


def enrolled_yesterday(town: Province) -> tuple[Gate, Places]:
    """A gate that enrolled a day ago."""
    gate = town.gate()
    places = town.places(gate)
    assert enrol(places, 20) == gate.id
    age(town, gate.id, timedelta(days=1))
    return gate, places


def age(town: Province, gate: str, by: timedelta) -> None:
    """Its certificates were given so much earlier, as the registry has it; on the gate the clock is moved instead."""
    with town.registry.change() as session:
        for row in session.scalars(select(Certificate).where(Certificate.gate == gate)):
            row.starts = row.starts - by
