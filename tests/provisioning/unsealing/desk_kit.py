"""The province's desk with two sites, and a collector's file that tests fill."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from sqlalchemy import text

from device.core import identity
from device.core.types import SubjectClass
from device.edges.keys.seal import SEAL_INFO, HpkeSealer
from provisioning.authority.authority import Authority
from provisioning.province.event_store import SqliteStore
from provisioning.registry.registry import Registry
from tests.provisioning.registry.rows import a_site

PHRASE: Final = "ba bon nam sau"
DAY: Final = datetime(2026, 11, 20, tzinfo=UTC)
HOUR: Final = timedelta(hours=1)
A, B, C = "064090000001", "064090000002", "064090000003"


class Desk:
    """The province's desk with two sites, and a collector's file that tests fill."""

    def __init__(self, folder: Path, authority: Authority) -> None:
        self.folder, self.events = folder, folder / "events.sqlite"
        (folder / "authority").symlink_to(authority.folder)
        self.registry = Registry(f"sqlite:///{folder / 'registry.sqlite'}")
        self.school, self.bus = a_site(), a_site()
        for site in (self.school, self.bus):
            self.registry.add(site)
        self.site_key = authority.site_keys(PHRASE)
        self.sealer = HpkeSealer(authority.folder / "public" / "seal.pem")
        SqliteStore(self.events).close()
        self.count = 0

    def pass_by(self, number: str, way: str, at: timedelta, *, site: str = "", **changes: Any) -> None:  # noqa: ANN401 - members of an event
        """Somebody passes; sealed as a gate seals."""
        site = site or self.school.id
        document = json.dumps(
            {"number": number, "name": f"Nguyễn Thử {number[-1]}", "birth": "1990", "sex": "male", "kind": "citizen_card"}
        )
        sealed = self.sealer.seal(document.encode(), (SEAL_INFO + "g1").encode())
        subject = identity.subject(self.site_key(site), SubjectClass.CITIZEN, number)
        data = {"site": site, "lane": "1", "subject": subject, "sealed": sealed, "direction": way, **changes.pop("data", {})}
        moment = (DAY + at).strftime("%Y-%m-%dT%H:%M:%SZ")
        self.put({"time": moment, "uncertaintyms": 500, "data": data, **changes}, moment)

    def put(self, told: object, moment: str = "2026-11-20T02:00:00Z") -> None:
        """Any body at all."""
        self.count += 1
        body = told if isinstance(told, bytes) else json.dumps(told).encode()
        row = ("g1", "e", self.count, str(self.count), "vn.gate.checkin.v1", moment, moment, "", None, body)
        with closing(sqlite3.connect(self.events)) as store, store:
            store.execute("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)

    def log(self) -> list[tuple[str, str]]:
        """Verbs and reasons of the record."""
        with self.registry.change() as session:
            return [(row.verb, row.reason) for row in session.execute(text("SELECT verb, reason FROM unsealings ORDER BY number"))]
