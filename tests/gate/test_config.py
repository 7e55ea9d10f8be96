"""The configuration is checked in full before anything starts, and what is wrong is named."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

from device.config import GateConfig, load, parse
from device.errors import ConfigError
from device.workbench.documents import configuration

GATE = '[gate]\nid = "gate-1"\nsite = "site-1"\n'
PRIVACY = '[privacy]\nsite_key = "site.key"\n'
GOOD = GATE + PRIVACY


def loaded(folder: Path, text: str) -> GateConfig:
    """The configuration in a file of this text."""
    path = folder / "gate.toml"
    path.write_text(text, encoding="utf-8")
    return load(path)


def complaint(folder: Path, text: str) -> str:
    """What is said of a bad one."""
    with pytest.raises(ConfigError) as caught:
        loaded(folder, text)
    return str(caught.value)


def test_the_smallest_configuration_is_a_gate_and_a_key(tmp_path: Path) -> None:
    """Everything else has a default that works."""
    config = loaded(tmp_path, GOOD)
    assert config.gate.direction == "in"
    assert config.broker is None


def test_the_example_of_the_reference_is_a_good_configuration(tmp_path: Path) -> None:
    """What people copy must work."""
    example = configuration().split("```toml\n")[1].split("```")[0]
    assert loaded(tmp_path, example).policy.opening_hours[0].start.hour == 5


def test_a_credential_is_where_the_service_manager_puts_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Inside the service its own folder of credentials; outside, where root keeps them for the service manager to find."""
    tree: dict[str, object] = {"gate": {"id": "g-1", "site": "s-1"}, "privacy": {"site_key": "credential:gate.site-key"}}
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    assert parse(tree, "test", tmp_path).privacy.site_key == Path("/etc/credstore/gate.site-key")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", "/run/credentials/gate.service")
    assert parse(tree, "test", tmp_path).privacy.site_key == Path("/run/credentials/gate.service/gate.site-key")


def test_relative_paths_are_meant_from_the_folder_of_the_file(tmp_path: Path) -> None:
    """Where the daemon was started plays no part."""
    config = loaded(tmp_path, GOOD + '[camera]\nsource = "folder:frames"\n')
    assert config.privacy.site_key == tmp_path / "site.key"
    assert config.camera.source == f"folder:{tmp_path / 'frames'}"
    assert config.journal.path == Path("/var/lib/gate/journal.sqlite")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (GOOD + "[policy]\nacept = []\n", "policy.acept: no such key"),
        (GOOD + "[polcy]\n", "polcy: no such key"),
        (GATE, "privacy: this key is needed"),
        (GOOD.replace('site = "site-1"\n', ""), "gate.site: this key is needed"),
        (GOOD.replace("gate-1", "Gate 1"), "gate.id: "),
        (GOOD + '[journal]\nmax_rows = "many"\n', "journal.max_rows: "),
        (GOOD + "[policy]\nduplicate_window_s = -1\n", "policy.duplicate_window_s: "),
        (GOOD + '[policy]\naccept = ["passport"]\n', "policy.accept.0: "),
        (GOOD + "[signals.green]\npin = 27\n", "signals: pin 27 is used twice: by green and by red"),
        (GOOD + "[signals.relay]\npin = 18\n", "signals: pin 18 is used twice: by buzzer and by relay"),
        (GOOD + "[signals.green]\npin = 99\n", "signals.green.pin: "),
        (GOOD + '[camera]\nsource = "webcam"\n', "camera.source: "),
        (GOOD + '[broker]\nhost = "broker.example"\n', "broker: ca, cert and key are needed"),
        (GOOD + '[broker]\nhost = "127.0.0.1"\ncert = "c.pem"\n', "broker: cert and key belong together"),
        (GOOD + '[broker]\nhost = "h"\nca = "ca.pem"\n', "broker: cert and key are needed beside ca"),
        (GOOD + '[broker]\nhost = "127.0.0.1"\nretry_min_s = 9\nretry_max_s = 3\n', "broker: retry_min_s is above retry_max_s"),
        (GOOD + "[[policy.opening_hours]]\nstart = 06:00:00\nend = 06:00:00\n", "policy.opening_hours.0: start and end are the same"),
        (GOOD + '[[policy.opening_hours]]\nstart = "six"\nend = 07:00:00\n', "policy.opening_hours.0.start: "),
        (GOOD + "x = [", "not TOML"),
    ],
)
def test_what_is_wrong_is_named_by_file_and_key(tmp_path: Path, text: str, named: str) -> None:
    """A technician must not search."""
    message = complaint(tmp_path, text)
    assert f"{tmp_path / 'gate.toml'}: {named}" in message


def test_every_wrong_key_is_named_at_once(tmp_path: Path) -> None:
    """A technician mends all of them in one go, and does not meet one in each attempt."""
    message = complaint(tmp_path, GOOD.replace("gate-1", "X") + "[journal]\nmax_rows = 1\n[policy]\nnope = 1\n")
    assert all(key in message for key in ("gate.id", "journal.max_rows", "policy.nope"))


def test_an_amber_pin_counts_only_where_the_kit_has_an_amber_lamp(tmp_path: Path) -> None:
    """The basic kit leaves pins free for other lamps."""
    config = loaded(tmp_path, GOOD + '[signals]\nkit = "basic"\n[signals.green]\npin = 22\n')
    assert config.signals.pins() == {"green": 22, "red": 27, "buzzer": 18}


def test_a_file_that_is_missing_or_no_text_is_named(tmp_path: Path) -> None:
    """Unreadable is an answer of its own."""
    with pytest.raises(ConfigError, match=r"nowhere\.toml: cannot be read"):
        load(tmp_path / "nowhere.toml")
    (tmp_path / "gate.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path / "gate.toml")


def test_a_configuration_cannot_be_changed() -> None:
    """It is frozen, in all its sections."""
    config = parse({"gate": {"id": "abc", "site": "xyz"}, "privacy": {"site_key": "k"}}, "x")
    with pytest.raises(ValueError, match="frozen"):
        config.gate.id = "other"  # type: ignore[misc]  # the point of the test


LEAST_WORDS = 6


def sections(model: type[BaseModel], place: str = "") -> Iterator[tuple[str, type[BaseModel]]]:
    """Every section by its place in the file, and the sections within it."""
    for key, field in model.model_fields.items():
        for one in (field.annotation, *getattr(field.annotation, "__args__", ())):
            if isinstance(one, type) and issubclass(one, BaseModel):
                yield f"{place}{key}", one
                yield from sections(one, f"{place}{key}.")


def described() -> dict[str, str]:
    """What the reference says of each setting, and of each section that may be left out."""
    told = {f"{place}.{key}": field for place, section in sections(GateConfig) for key, field in section.model_fields.items()}
    told.update({key: field for key, field in GateConfig.model_fields.items() if field.default is None})
    return {key: " ".join((field.description or "").split()) for key, field in told.items()}


@pytest.mark.parametrize(("key", "text"), list(described().items()))
def test_each_setting_is_described_in_sentences_that_stand_alone(key: str, text: str) -> None:
    """An operator looks up one row of the reference and reads no other: no row begins where another ends."""
    assert re.match(r"[A-Z]|`[^`]+`", text), key
    assert text.endswith("."), key
    assert not re.match(r"(And|So long|So many|The same)\b(?! person)|(When|Where|Whether|How)\b", text), key
    assert all(len(sentence.split()) >= LEAST_WORDS for sentence in re.split(r"(?<=[.]) (?=[A-Z`])", text)), text


@pytest.mark.parametrize(("place", "section"), list(sections(GateConfig)))
def test_each_section_says_what_it_is(place: str, section: type[BaseModel]) -> None:
    """It stands over its table in the reference."""
    text = " ".join((section.__doc__ or "").split())
    assert re.match(r"[A-Z]", text), place
    assert text.endswith("."), place
