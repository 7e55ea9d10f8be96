"""The configuration that the province desires: tried, kept or taken back, and never more than may be changed."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from device.config import GateConfig, PolicySection
from device.edges.broker.downlink import ConfigVerdict
from device.settings import desired as module
from device.settings.desired import STARTS_LIMIT, TRIAL_NS, WELL_NS, Desired, forbidden, open_desired
from device.workbench.stage import GATE_ID, Stage
from tests.desk import Desk

DESK = Desk()


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    """A gate that knows the province."""
    trust = {"province": str(DESK.write_pem(tmp_path / "orders.pem")), "desired": "state/desired"}
    return Stage(tmp_path / "gate", "folder:none", 1883, {"trust": trust})


def start(stage: Stage) -> tuple[Desired, GateConfig]:
    """The program starts."""
    desired = open_desired(stage.config_path)
    assert desired is not None
    return desired, desired.effective()


def order(version: int, desk: Desk = DESK, gate: str = GATE_ID, **config: object) -> bytes:
    """A desired configuration."""
    message = {"type": "vn.gate.config.v1", "gate": gate, "version": version, "issued": "2026-11-23T00:00:00Z", "config": config}
    return desk.sign(message)


def restarts(desired: Desired) -> bool:
    """Whether the program is to start again."""
    return desired.changed


def prove(desired: Desired) -> None:
    """It runs well for as long as it takes."""
    for now_ns in (1, WELL_NS + 1):
        desired.watch(now_ns, online=True, well=True)


def test_a_configuration_is_in_force_after_the_next_start_and_reported(stage: Stage) -> None:
    """Laid over the file, which stays as it was."""
    before = stage.config_path.read_bytes()
    desired, config = start(stage)
    assert (config.policy.duplicate_window_s, desired.report()) == (5.0, None)
    assert desired.receive(order(3, policy={"duplicate_window_s": 9})) == ConfigVerdict(3, "applied")
    assert restarts(desired)
    desired, config = start(stage)
    assert config.policy.duplicate_window_s == 9.0
    assert desired.report() == ConfigVerdict(3, "applied")
    assert not restarts(desired)
    assert stage.config_path.read_bytes() == before


def test_the_same_again_changes_nothing(stage: Stage) -> None:
    """It lies retained on the broker and comes with every connection."""
    desired, _ = start(stage)
    payload = order(3, policy={"duplicate_window_s": 9})
    desired.receive(payload)
    desired, _ = start(stage)
    prove(desired)
    assert desired.receive(payload) == ConfigVerdict(3, "applied")
    assert not restarts(desired)


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (order(3, Desk(), policy={}), "unsigned"),
        (order(3, gate="another-gate", policy={}), "foreign"),
        (order(3)[:-3], "malformed"),
        (b"{}", "malformed"),
        (order(1, policy={}), "old_version"),
        (order(2, policy={"duplicate_window_s": 1}), "version_reused"),
        (order(3, trust={"province": "mine.pem"}), "not_changeable"),
        (order(3, privacy={"seal_to": "mine.pem"}), "not_changeable"),
        (order(3, broker={"ca": "mine.pem"}), "not_changeable"),
        (order(3, journal={"path": "/dev/null"}), "not_changeable"),
        (order(3, camera={"source": "folder:/"}), "not_changeable"),
        (order(3, policy=7), "not_changeable"),
        (order(3, policy={"open_for_all": True}), "invalid"),
        (order(3, policy={"duplicate_window_s": -1}), "invalid"),
        (order(3, broker={"host": "broker.example"}), "invalid"),
    ],
)
def test_what_may_not_be_is_refused_and_the_one_in_force_stays(
    stage: Stage, payload: bytes, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Validated whole before anything is touched: also that TLS is not taken away."""
    desired, _ = start(stage)
    desired.receive(order(2, policy={"duplicate_window_s": 8}))
    desired, _ = start(stage)
    prove(desired)
    caplog.clear()
    verdict = desired.receive(payload)
    assert ("with the desired configuration: " in caplog.text) == (reason == "invalid")
    assert (verdict.status, verdict.errors) == ("rejected", (reason,))
    assert not restarts(desired)
    assert start(stage)[1].policy.duplicate_window_s == 8.0


def test_a_configuration_that_cuts_the_gate_off_is_taken_back(stage: Stage) -> None:
    """After ten minutes without a connection; and the version that failed never comes back."""
    desired, _ = start(stage)
    desired.receive(order(2, broker={"port": 1884}))
    desired, config = start(stage)
    assert config.broker is not None
    assert config.broker.port == 1884
    prove(desired)
    desired, _ = start(stage)
    bad = order(3, broker={"port": 9})
    desired.receive(bad)
    desired, config = start(stage)
    assert config.broker is not None
    assert config.broker.port == 9
    desired.watch(1, online=False, well=True)
    desired.watch(TRIAL_NS, online=False, well=True)
    assert not restarts(desired)
    desired.watch(TRIAL_NS + 1, online=False, well=True)
    assert restarts(desired)
    desired, config = start(stage)
    assert config.broker is not None
    assert config.broker.port == 1884
    assert desired.report() == ConfigVerdict(3, "rolled_back", ("cut_off",))
    assert desired.receive(bad) == ConfigVerdict(3, "rolled_back", ("cut_off",))
    assert not restarts(desired)
    assert desired.receive(order(4, policy={"duplicate_window_s": 7})).status == "applied"


def test_one_that_does_not_touch_the_connection_is_kept_offline_too(stage: Stage) -> None:
    """A site without network for days still takes what came before."""
    desired, _ = start(stage)
    desired.receive(order(2, policy={"duplicate_window_s": 8}))
    desired, _ = start(stage)
    for now_ns in (1, WELL_NS + 1, TRIAL_NS + 2):
        desired.watch(now_ns, online=False, well=True)
    assert not restarts(desired)
    for _ in range(STARTS_LIMIT + 2):
        assert start(stage)[1].policy.duplicate_window_s == 8.0


def test_a_program_that_does_not_come_up_goes_back_by_itself(stage: Stage) -> None:
    """After three starts that did not get through the trial."""
    desired, _ = start(stage)
    desired.receive(order(2, policy={"duplicate_window_s": 8}))
    for _ in range(STARTS_LIMIT):
        assert start(stage)[1].policy.duplicate_window_s == 8.0
    desired, config = start(stage)
    assert config.policy.duplicate_window_s == 5.0
    assert desired.report() == ConfigVerdict(2, "rolled_back", ("did_not_start",))


def test_one_that_the_file_no_longer_bears_is_taken_back(stage: Stage) -> None:
    """A technician changed the file since."""
    desired, _ = start(stage)
    desired.receive(order(2, broker={"retry_min_s": 30}))
    desired, _ = start(stage)
    prove(desired)
    stage.config_path.write_text(stage.config_path.read_text().replace("[broker]", "[broker]\nretry_max_s = 20"))
    desired, config = start(stage)
    assert config.broker is not None
    assert config.broker.retry_min_s == 2.0
    assert desired.report() == ConfigVerdict(2, "rolled_back", ("unusable",))


@pytest.mark.parametrize("name", ["current.json", "note.json", "previous.json"])
@pytest.mark.parametrize("content", [b"", b"\xff", b"{}", b"[1]"])
def test_damaged_files_never_stop_the_start(stage: Stage, name: str, content: bytes) -> None:
    """The file on the card is always enough."""
    desired, _ = start(stage)
    for version in (2, 3):
        desired.receive(order(version, policy={"duplicate_window_s": 5 + version}))
        desired, _ = start(stage)
        prove(desired)
    (stage.folder / "state" / "desired" / name).write_bytes(content)
    assert start(stage)[1].policy.duplicate_window_s in {5.0, 7.0, 8.0}


@pytest.mark.parametrize(("name", "value"), [("current.json", 7.0), ("note.json", 8.0), ("previous.json", 8.0)])
def test_the_one_before_stands_in_for_a_damaged_one(stage: Stage, name: str, value: float) -> None:
    """What was noted is not needed for a configuration to be in force, and the one before only when the newest is lost."""
    desired, _ = start(stage)
    for version in (2, 3):
        desired.receive(order(version, policy={"duplicate_window_s": 5 + version}))
        desired, _ = start(stage)
        prove(desired)
    (stage.folder / "state" / "desired" / name).write_bytes(b"?")
    again, config = start(stage)
    assert config.policy.duplicate_window_s == value
    if name == "note.json":
        assert again.report() == ConfigVerdict(3, "applied")
        assert again.receive(order(2)).errors == ("old_version",)


MAY_CHANGE = {
    "gate": {"direction", "lane"},
    "policy": set(PolicySection.model_fields),
    "privacy": {"purpose", "legal_basis"},
    "signals": {"profile"},
    "journal": {"max_rows", "max_mib", "retention_days", "budget_ms", "unsynced_grace_s", "strict"},
    "broker": {
        "host",
        "port",
        "confirm",
        "keep_after_puback_h",
        "first_connect_spread_s",
        "retry_min_s",
        "retry_max_s",
        "backlog_per_s",
        "health_every_s",
    },
}


def keys_of(section: str) -> set[str]:
    """The keys that a section of the configuration has."""
    model = next(
        one
        for one in (GateConfig.model_fields[section].annotation, *getattr(GateConfig.model_fields[section].annotation, "__args__", ()))
        if isinstance(one, type) and issubclass(one, BaseModel)
    )
    return set(model.model_fields)


@pytest.mark.parametrize("section", sorted(GateConfig.model_fields))
def test_the_province_may_change_what_is_named_here_and_nothing_else(section: str) -> None:
    """It makes no gate another one, and points none at other keys, files, cameras or pins."""
    allowed = {key for key in keys_of(section) if forbidden({section: {key: 1}}) is None}
    assert allowed == MAY_CHANGE.get(section, set())
    for key in keys_of(section) - allowed:
        assert forbidden({section: {key: 1}}) == (f"{section}.{key}" if section in MAY_CHANGE else section)
    assert forbidden({section: 7}) == section


def test_a_gate_without_a_broker_is_given_none(tmp_path: Path) -> None:
    """Nobody connects a gate that was set up to be alone."""
    trust = {"province": str(DESK.write_pem(tmp_path / "orders.pem")), "desired": "state/desired"}
    desired, _ = start(Stage(tmp_path / "gate", "folder:none", None, {"trust": trust}))
    assert desired.receive(order(2, broker={"host": "127.0.0.1"})) == ConfigVerdict(2, "rejected", ("invalid",))


def test_a_trial_ends_when_the_gate_was_well_for_long_enough(stage: Stage) -> None:
    """Ten seconds; online too, where the connection was changed. Until then the next start counts towards its starts."""
    for payload in (order(2, policy={"duplicate_window_s": 8}), order(3, broker={"port": 1884})):
        desired, _ = start(stage)
        desired.receive(payload)
        desired, _ = start(stage)
        assert not on_trial_after(desired, 1, WELL_NS + 1)
    desired, _ = start(stage)
    desired.receive(order(4, broker={"port": 1885}))
    desired, _ = start(stage)
    assert on_trial_after(desired, 1, WELL_NS)
    assert on_trial_after(desired, WELL_NS + 1, online=False)
    assert on_trial_after(desired, WELL_NS + 1, well=False)
    assert not on_trial_after(desired, WELL_NS + 1)


def on_trial_after(desired: Desired, *moments_ns: int, online: bool = True, well: bool = True) -> bool:
    """Whether a configuration has still to prove itself when these moments are over."""
    for now_ns in moments_ns:
        desired.watch(now_ns, online=online, well=well)
    note = json.loads((desired._folder / "note.json").read_bytes())  # noqa: SLF001 - what a start would read
    return note["trial"] is not None


def test_one_that_is_not_well_in_time_is_taken_back(stage: Stage) -> None:
    """The one before is in force again, and the reason is told: it was not well, although it was connected."""
    desired, _ = start(stage)
    desired.receive(order(2, policy={"duplicate_window_s": 8}))
    desired, _ = start(stage)
    prove(desired)
    desired.receive(order(3, broker={"port": 1884}, policy={"duplicate_window_s": 9}))
    desired, _ = start(stage)
    desired.watch(1, online=True, well=False)
    desired.watch(TRIAL_NS, online=True, well=False)
    assert not restarts(desired)
    desired.watch(TRIAL_NS + 1, online=True, well=False)
    assert restarts(desired)
    desired, config = start(stage)
    assert config.policy.duplicate_window_s == 8.0
    assert desired.report() == ConfigVerdict(3, "rolled_back", ("not_well",))


def test_a_version_on_trial_never_becomes_the_one_before(stage: Stage) -> None:
    """A newer one that fails is taken back to the last that was good."""
    desired, _ = start(stage)
    for version, value in ((2, 8), (3, 9), (4, 10)):
        desired.receive(order(version, policy={"duplicate_window_s": value}))
        desired, _ = start(stage)
        if version == 2:
            prove(desired)
    for now_ns in (1, TRIAL_NS + 1):
        desired.watch(now_ns, online=True, well=False)
    assert start(stage)[1].policy.duplicate_window_s == 8.0


def test_a_change_of_the_connection_is_remembered_over_a_newer_version(stage: Stage) -> None:
    """Two changes in turn: the second must be online too, because the first was not yet proved."""
    desired, _ = start(stage)
    desired.receive(order(2, broker={"port": 1884}))
    desired, _ = start(stage)
    desired.receive(order(3, policy={"duplicate_window_s": 8}))
    desired, _ = start(stage)
    assert on_trial_after(desired, 1, WELL_NS + 1, online=False)
    assert not on_trial_after(desired, WELL_NS + 2)


def test_a_connection_that_has_proved_itself_is_not_asked_for_again(stage: Stage) -> None:
    """A later change of the policy is kept offline too."""
    desired, _ = start(stage)
    desired.receive(order(2, broker={"port": 1884}))
    desired, _ = start(stage)
    prove(desired)
    desired.receive(order(3, policy={"duplicate_window_s": 8}))
    desired, _ = start(stage)
    assert not on_trial_after(desired, 1, WELL_NS + 1, online=False)


def test_one_that_cannot_be_taken_back_is_said(stage: Stage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """A full card has the gate start again with the same configuration, and its log says why."""

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    desired, _ = start(stage)
    desired.receive(order(2, policy={"duplicate_window_s": 8}))
    desired, _ = start(stage)
    desired.watch(1, online=True, well=False)
    monkeypatch.setattr(module, "replace_durably", full)
    desired.watch(TRIAL_NS + 1, online=True, well=False)
    assert caplog.messages[-2:] == [
        "configuration 2 is taken back: not_well",
        "that it is taken back cannot be noted: [Errno 28] No space left on device",
    ]


def test_what_may_not_be_changed_is_not_in_force_whoever_kept_it(stage: Stage) -> None:
    """A gate of an older version may have kept what this one refuses: it is taken back at the start."""
    desired, _ = start(stage)
    desired.receive(order(2, policy={"duplicate_window_s": 8}))
    bad = order(2, policy={"duplicate_window_s": 8}, eye={"cpu_share": 0.1})
    (stage.folder / "state" / "desired" / "current.json").write_bytes(bad)
    desired, config = start(stage)
    assert (config.policy.duplicate_window_s, config.eye.cpu_share) == (5.0, 0.6)
    assert desired.report() == ConfigVerdict(2, "rolled_back", ("unusable",))


def test_a_damaged_note_without_a_configuration_is_a_fresh_beginning(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    """Nothing is known then, and the first version that comes is taken."""
    folder = stage.folder / "state" / "desired"
    folder.mkdir(parents=True)
    (folder / "note.json").write_bytes(b"?")
    desired, config = start(stage)
    assert "what was noted about desired configurations cannot be read: ValidationError" in caplog.messages
    assert (config.policy.duplicate_window_s, desired.report()) == (5.0, None)
    assert desired.receive(order(1, policy={"duplicate_window_s": 8})) == ConfigVerdict(1, "applied", ())


def test_the_log_names_the_version_on_trial_and_when_it_is_good(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    """Whoever looks for the day from which a gate behaved otherwise finds it there."""
    caplog.set_level("INFO")
    desired, _ = start(stage)
    desired.receive(order(2, policy={"duplicate_window_s": 8}))
    desired, _ = start(stage)
    prove(desired)
    assert caplog.messages == ["configuration 2 is on trial", "configuration 2 is good"]


def test_what_was_kept_is_for_the_gate_alone(stage: Stage) -> None:
    """Nobody else reads or writes the folder."""
    desired, _ = start(stage)
    desired.receive(order(2, policy={"duplicate_window_s": 8}))
    folder = stage.folder / "state" / "desired"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert sorted(path.name for path in folder.iterdir()) == ["current.json", "note.json"]


def test_one_for_another_gate_in_the_folder_is_not_in_force(stage: Stage) -> None:
    """As when a card was put into another gate."""
    desired, _ = start(stage)
    desired.receive(order(2, policy={"duplicate_window_s": 8}))
    (stage.folder / "state" / "desired" / "current.json").write_bytes(order(2, gate="another-gate", policy={"duplicate_window_s": 9}))
    assert start(stage)[1].policy.duplicate_window_s == 5.0


def test_a_full_card_changes_nothing(stage: Stage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """The province hears that the card is full, and the same version counts later."""

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    desired, _ = start(stage)
    with monkeypatch.context() as patch:
        patch.setattr(module, "replace_durably", full)
        assert desired.receive(order(2, policy={"duplicate_window_s": 8})) == ConfigVerdict(2, "rejected", ("storage",))
    assert caplog.messages == ["the desired configuration cannot be kept: [Errno 28] No space left on device"]
    assert start(stage)[1].policy.duplicate_window_s == 5.0
    assert desired.receive(order(2, policy={"duplicate_window_s": 8})).status == "applied"


def test_without_the_province_nothing_is_desired(tmp_path: Path) -> None:
    """A gate that knows no province runs by its file alone."""
    assert open_desired(Stage(tmp_path / "gate", "folder:none").config_path) is None


@given(payload=st.binary(max_size=300))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
def test_no_bytes_change_anything(stage: Stage, payload: bytes) -> None:
    """No bytes from the broker raise anything, or have the gate start again."""
    desired, _ = start(stage)
    assert desired.receive(payload).status == "rejected"
    assert not restarts(desired)
