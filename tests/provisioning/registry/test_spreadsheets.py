"""Sites as spreadsheets: what goes out comes in again, and a fault is named with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from provisioning.common.errors import Refused
from provisioning.registry.spreadsheets import new_sites, read_sites, written
from tests.provisioning.registry.rows import a_gate, a_site


@pytest.mark.parametrize("form", ["csv", "yaml"])
def test_what_goes_out_comes_in_again(tmp_path: Path, form: str) -> None:
    """Every field, marks and formulas included."""
    sites = [a_site(f"Chợ số {number}", kind="market", network={"kind": "4g", "apn": "v-internet"}, address="=1+1") for number in range(3)]
    path = tmp_path / f"sites.{form}"
    text = written(sites, [a_gate(sites[0])], "csv" if form == "csv" else "yaml")
    if form == "csv":
        assert "'=1+1" in text
    path.write_text(text, encoding="utf-8")
    again = [new.row() for new in read_sites(path)]
    for before, after in zip(sites, again, strict=True):
        for column in ("id", "name", "kind", "commune", "address", "hotline", "network", "broker_port", "policy"):
            assert getattr(after, column) == getattr(before, column)


HEAD = "name;kind;commune;contact;hotline;purpose;legal_basis;broker_host"
GOOD = "Chợ Mới;market;Pleiku;Ban quản lý;0269 000 000;kiểm soát;nội quy;b.example.org"


@pytest.mark.parametrize(
    ("text", "code", "facts"),
    [
        (f"{HEAD}\n{GOOD}\n{GOOD.replace('market', 'moon')}\n", "E132", {"row": 3, "column": "kind"}),
        (f"{HEAD}\n\n\n{GOOD.replace('market', 'moon')}\n", "E132", {"row": 4, "column": "kind"}),
        (f"{HEAD}\n{GOOD.replace('0269 000 000', 'gọi')}\n", "E132", {"row": 2, "column": "hotline"}),
        (f"{HEAD};colour\n{GOOD};red\n", "E132", {"row": 2, "column": "colour"}),
        (f'{HEAD}\n"{GOOD}\n', "E132", {}),
        ("name: [", "E130", {}),
        ("sites: 3", "E130", {}),
    ],
)
def test_a_file_with_a_fault_is_refused_with_its_place(tmp_path: Path, text: str, code: str, facts: dict[str, object]) -> None:
    """Row and column."""
    path = tmp_path / ("s.csv" if text.startswith("name;") else "s.yaml")
    path.write_text(text, encoding="utf-8")
    with pytest.raises(Refused) as refused:
        read_sites(path)
    assert refused.value.code == code
    assert facts.items() <= refused.value.facts.items()


def test_a_spreadsheet_in_another_encoding_is_refused(tmp_path: Path) -> None:
    """Before a name loses its marks."""
    path = tmp_path / "s.csv"
    path.write_bytes(f"{HEAD}\nTrường".encode("utf-16"))
    with pytest.raises(Refused, match="E131"):
        read_sites(path)
    with pytest.raises(Refused, match="E130"):
        read_sites(tmp_path / "none.csv")


def test_of_a_file_only_what_is_new_is_new(tmp_path: Path) -> None:
    """What is there as it stands in the file may come again."""
    one, other = a_site(), a_site("Trạm Y tế")
    path = tmp_path / "sites.yaml"
    path.write_text(written([one, other], [], "yaml"), encoding="utf-8")
    assert [site.id for site in new_sites(path, [])] == [one.id, other.id]
    assert [site.id for site in new_sites(path, [one])] == [other.id]
    assert new_sites(path, [other, one]) == []


@pytest.mark.parametrize(("fault", "code"), [("twice", "E114"), ("changed", "E114"), ("mistyped", "E110")])
def test_a_file_that_contradicts_the_registry_or_itself_is_refused(tmp_path: Path, fault: str, code: str) -> None:
    """With the id."""
    one = a_site()
    there = [one]
    rows = written([one, one] if fault == "twice" else [one], [], "yaml")
    if fault == "changed":
        rows = rows.replace("đón học sinh", "gì khác")
    if fault == "mistyped":
        rows = rows.replace(one.id, one.id[:-1] + ("0" if one.id[-1] != "0" else "1"))
    path = tmp_path / "sites.yaml"
    path.write_text(rows, encoding="utf-8")
    with pytest.raises(Refused) as refused:
        new_sites(path, [] if fault == "twice" else there)
    assert refused.value.code == code
    assert str(refused.value.facts["id"]).startswith(one.id[:-1])
