"""What the verbs share: names for people and words for programs, and files of which some are for their owner alone."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from provisioning.common.catalogue import Lang
from provisioning.desk import Desk, Settings
from provisioning.verbs.verb import Verbs


@pytest.fixture(params=[False, True])
def verbs(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Verbs]:
    """For people, and for programs."""
    desk = Desk(Settings(tmp_path / "home", Lang.EN, json=request.param, yes=True))
    yield Verbs(desk)
    desk.close()


def test_people_read_names_and_programs_codes(verbs: Verbs) -> None:
    """A commune that is on no list stays its code."""
    json = verbs.desk.settings.json
    assert verbs.commune_name("23575") == ("23575" if json else "phường Pleiku")
    assert verbs.kind_name("school") == "school"
    assert verbs.kind_name("bus") == "bus"
    assert verbs.kind_name("quarantine") == ("quarantine" if json else "quarantine place")
    assert verbs.commune_name("00000") == "00000"


def test_keys_and_access_lists_are_for_their_owner_alone(verbs: Verbs, tmp_path: Path) -> None:
    """Everything else may be read."""
    made = {"a.cert.pem": b"1", "a.key.pem": b"2", "gates.acl": b"3", "gates.conf": b"4"}
    verbs.write_files("verb", "subject", made, tmp_path / "out")
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "out").iterdir()}
    assert modes == {"a.cert.pem": 0o644, "a.key.pem": 0o600, "gates.acl": 0o600, "gates.conf": 0o644}
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == made


def test_the_brokers_are_known_by_the_roots_that_count(verbs: Verbs) -> None:
    """Those of the tool's own authority."""
    assert verbs.tls(Path("c"), Path("k")).ca == verbs.desk.settings.home / "authority" / "public" / "root.pem"
