"""``site`` and ``gate`` at the command line."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from provisioning.cli import main
from provisioning.registry.sites import Network
from provisioning.registry.tables import GateState
from tests.provisioning.commands import SITE_WORDS, told
from tests.provisioning.enrolment_kit import Province, run
from tests.provisioning.paper.pages import text_of


def test_a_file_of_sites_may_be_brought_again(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is there stays as it is; what was changed outside is refused."""
    for _ in range(3):
        told(capsys, "site", "add", *SITE_WORDS)
    path = tmp_path / "sites.yaml"
    told(capsys, "site", "export", "--out", str(path))
    other = ("--home", str(tmp_path / "other"))
    assert told(capsys, "site", "import", str(path), *other)["count"] == 3
    assert told(capsys, "site", "import", str(path), *other)["count"] == 0
    path.write_text(path.read_text(encoding="utf-8").replace("Hoa Mai", "Hoa Lan"), encoding="utf-8")
    assert told(capsys, "site", "import", str(path), *other, code=2)["error"] == "E114"
    assert len(told(capsys, "audit", *other)) == 1
    assert home.exists()


def test_a_site_is_changed_only_by_what_a_gate_can_use(town: Province, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each refusal names the option; what is the same is nothing to do; the plan shows old and new."""
    site = town.gate(GateState.PLANNED).site
    wrong = tmp_path / "policy.toml"
    for text, why in (
        ("lists", "not TOML"),
        ("[policy]\nacept = []", "policy.acept: no such key"),
        ("[policy]\nlists = [{ name = 'a', use = 'friends' }]", "policy.lists.0.use"),
        ("[broker]\nhost = 'x'", "broker: a site decides only"),
        ("[journal]\npath = '/tmp/x'", "journal.path: a site decides only"),
    ):
        wrong.write_text(text)
        told = run(capsys, "site", "change", site, "--policy", str(wrong), code=2)
        assert (told["error"], "--policy" in told["message"], why in told["message"]) == ("E133", True, True), told
    assert run(capsys, "site", "change", site, "--port", "0", code=2)["message"].startswith("--port")
    assert run(capsys, "site", "change", site, "--ssid", "x", code=2)["error"] == "E133"
    told = run(capsys, "site", "change", site, "--network", "wifi", "--ssid", "Trường", "--hotline", "0269 111 222")
    assert told == {"id": site, "changed": ["hotline", "network"]}
    assert town.registry.site(site).network == {"kind": "wifi", "ssid": "Trường"}
    assert run(capsys, "site", "change", site, "--hotline", "0269 111 222")["changed"] == []


def test_what_is_not_said_of_a_network_stays_and_another_kind_forgets_its_name(town: Province, capsys: pytest.CaptureFixture[str]) -> None:
    """The country is Vietnam's until somebody says another, and technicians may log in until somebody forbids it."""
    site = town.gate(GateState.PLANNED).site
    wire = ("--gateway", "10.0.0.1", "--dns", "10.0.0.1 10.0.0.2")
    run(capsys, "site", "change", site, "--network", "wifi", "--ssid", "Trường", "--no-ssh", *wire)
    run(capsys, "site", "change", site, "--country", "LA")
    kept = {"country": "LA", "gateway": "10.0.0.1", "dns": "10.0.0.1 10.0.0.2", "ssh": False}
    assert town.registry.site(site).network == {"kind": "wifi", "ssid": "Trường", **kept}
    run(capsys, "site", "change", site, "--network", "lan")
    assert town.registry.site(site).network == {"kind": "lan", **kept}
    assert Network().model_dump() == {"kind": "lan", "ssid": None, "apn": None, "country": "VN", "gateway": None, "dns": "", "ssh": True}
    for wrong in (("--country", "Vietnam"), ("--gateway", "10.0.0"), ("--dns", "x"), ("--apn", "x")):
        assert run(capsys, "site", "change", site, *wrong, code=2)["error"] == "E133", wrong


def test_a_site_is_shown_with_its_gates_and_listed_by_its_kind(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """For people by names, for programs by words."""
    site = told(capsys, "site", "add", *SITE_WORDS)["id"]
    gate = told(capsys, "gate", "add", "--site", site, "--lane", "2")["id"]
    shown = told(capsys, "site", "show", site)
    assert (shown["broker"], shown["gates"], shown["kind"]) == (
        "broker.example.org:8883",
        [f"{gate} (2, in, full, none, planned)"],
        "hospital",
    )
    assert main(["site", "show", site, "--lang", "en"]) == 0
    assert "Kind: hospital or clinic" in capsys.readouterr().out
    assert [row["id"] for row in told(capsys, "gate", "list", "--site", site)] == [gate]
    assert home.exists()


@pytest.mark.parametrize(
    "words", [("--lane", "A"), ("--direction", "up"), ("--board", "pi1"), ("--kit", "x"), ("--door", "relay"), ("--power-loss", "open")]
)
def test_a_gate_that_cannot_be_is_not_planned(home: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, str]) -> None:
    """E133, and nothing is kept."""
    site = told(capsys, "site", "add", *SITE_WORDS)["id"]
    assert told(capsys, "gate", "add", "--site", site, *words, code=2)["error"] == "E133"
    assert told(capsys, "gate", "list") == []
    assert home.exists()


def test_what_a_gate_is_fitted_with_stands_wherever_it_is_listed_and_can_be_changed(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Added, listed, shown, exported; a change says what is left to do, and one that changes nothing does nothing."""
    site = told(capsys, "site", "add", *SITE_WORDS)["id"]
    made = told(capsys, "gate", "add", "--site", site, "--kit", "basic", "--door", "relay", "--power-loss", "open")
    gate = made["id"]
    assert (made["kit"], made["door"]) == ("basic", "relay open")
    changed = told(capsys, "gate", "change", gate, "--kit", "full", "--power-loss", "locked")
    assert changed["changed"] == ["kit", "power_loss"]
    assert f"card write --gate {gate}" in changed["next"]
    assert told(capsys, "gate", "change", gate, "--kit", "full") == {"id": gate, "changed": []}
    assert [(row["kit"], row["door"]) for row in told(capsys, "gate", "list")] == [("full", "relay locked")]
    assert told(capsys, "site", "show", site)["gates"] == [f"{gate} (1, in, full, relay locked, planned)"]
    told(capsys, "site", "export", "--out", str(tmp_path / "sites.yaml"))
    (row,) = yaml.safe_load((tmp_path / "sites.yaml").read_text(encoding="utf-8"))["sites"]
    assert [{name: one[name] for name in ("kit", "door", "power_loss")} for one in row["gates"]] == [
        {"kit": "full", "door": "relay", "power_loss": "locked"}
    ]
    assert home.exists()


def test_the_wiring_of_a_gate_is_drawn_twice(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As PDF and as PNG; of a gate that there is."""
    site = told(capsys, "site", "add", *SITE_WORDS)["id"]
    gate = told(capsys, "gate", "add", "--site", site, "--door", "relay", "--power-loss", "locked")["id"]
    made = told(capsys, "gate", "wiring", gate, "--out", str(tmp_path))
    assert [Path(path).name for path in made["files"]] == [f"{gate}-wiring.pdf", f"{gate}-wiring.png"]
    assert f"Đấu dây cổng {gate}" in text_of(Path(made["files"][0]).read_bytes())
    assert told(capsys, "gate", "wiring", "g0000000", code=2)["error"] == "E110"
    assert home.exists()


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("--door", "relay"), "--power-loss open | locked"),
        (("--power-loss", "open"), "--door relay"),
        (("--board", "pi1"), "--board pi1"),
        (("--kit", "half"), "--kit half"),
    ],
)
def test_a_gate_is_not_changed_to_one_that_cannot_be(
    home: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, str], named: str
) -> None:
    """E133 names the option; nothing is noted as done."""
    site = told(capsys, "site", "add", *SITE_WORDS)["id"]
    gate = told(capsys, "gate", "add", "--site", site)["id"]
    refused = told(capsys, "gate", "change", gate, *words, code=2)
    assert (refused["error"], named in refused["message"]) == ("E133", True)
    assert {row["verb"] for row in told(capsys, "audit")} == {"site add", "gate add"}
    assert home.exists()


def test_without_a_file_the_export_is_written_to_standard_output(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Alone, for the next program."""
    site = told(capsys, "site", "add", *SITE_WORDS)["id"]
    assert main(["site", "export", "--form", "csv"]) == 0
    rows = capsys.readouterr().out.splitlines()
    assert rows[0].startswith("id,name,kind")
    assert rows[1].startswith(f"{site},Bệnh viện Hoa Mai,hospital")
    assert len(rows) == 2
    assert home.exists()
