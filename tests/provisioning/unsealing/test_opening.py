"""Opening what a gate sealed: with the sealing key alone, for the gate that sealed it, and written down harmless."""

from __future__ import annotations

import csv
import io
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import x25519

from device.edges.keys.seal import SEAL_INFO
from provisioning.authority.authority import Authority
from provisioning.unsealing import opening
from provisioning.unsealing.contacts import Contact
from provisioning.unsealing.opening import Identity
from provisioning.unsealing.reading import CheckIn
from tests.provisioning.unsealing.desk_kit import DAY, PHRASE, Desk

PERSON = b'{"kind":"citizen_card","number":"064090000001","name":"Nguy\xe1\xbb\x85n","birth":"1990","sex":null}'


def checkin(sealed: str | None, gate: str = "g1") -> CheckIn:
    """Of somebody, at two in the morning in Greenwich."""
    return CheckIn(gate, "1", "ab" * 32, "in", (DAY + timedelta(hours=2)).timestamp(), 0.5, sealed)


def rows(table: bytes) -> list[dict[str, str]]:
    """As a spreadsheet reads it."""
    return list(csv.DictReader(io.StringIO(table.decode("utf-8-sig"), newline="")))


def test_only_the_sealing_key_opens_and_only_for_the_gate_that_sealed(desk: Desk, authority: Authority) -> None:
    """What was not told stays empty; what cannot be opened is told as such."""
    sealed = desk.sealer.seal(PERSON, (SEAL_INFO + "g1").encode())
    key = authority.sealing_key(PHRASE)
    assert opening.opened(checkin(sealed), key) == Identity("opened", ("citizen_card", "064090000001", "Nguyễn", "1990", ""))
    assert opening.opened(checkin(sealed, "g2"), key).how == "cannot be opened"
    assert opening.opened(checkin(sealed), x25519.X25519PrivateKey.generate()).how == "cannot be opened"
    assert opening.opened(checkin(None), key).how == "not sealed"


@pytest.mark.parametrize("content", [b"[]", b"1", b"\xff", b"[" * 6000, b""])
def test_whatever_a_gate_sealed_breaks_nothing(desk: Desk, authority: Authority, content: bytes) -> None:
    """It had a key, and may have had anything else."""
    sealed = desk.sealer.seal(content, (SEAL_INFO + "g1").encode())
    assert opening.opened(checkin(sealed), authority.sealing_key(PHRASE)).how == "cannot be opened"


def test_a_table_of_passages_is_in_viet_nams_time_and_no_name_is_a_formula() -> None:
    """The names come from codes that people hold up."""
    (row,) = rows(opening.passages([checkin(None)], [Identity("opened", ("citizen_card", "1", "=cmd()", "", ""))]))
    assert (row["time"], row["doubt_s"], row["name"], row["identity"]) == ("2026-11-20 09:00:00", "0.5", "'=cmd()", "opened")


@pytest.mark.parametrize(("certain", "word"), [(True, "certain"), (False, "possible")])
def test_a_contact_says_where_how_long_and_how_sure(certain: bool, word: str) -> None:  # noqa: FBT001 - a parameter of the case
    """In minutes."""
    start = DAY.timestamp()
    (row,) = rows(opening.met([("s1", Contact("ab", start, start + 1800, certain), Identity("not sealed"))]))
    assert (row["site"], row["first"], row["minutes"], row["sure"]) == ("s1", "2026-11-20 07:00:00", "30", word)
