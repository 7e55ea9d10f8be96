"""Other versions of the gate, built from a changed copy of the project: good ones, and some that must not stay."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

from provisioning.package.build import Source, build, source

PARTS: Final = ("device", "systemd", "pyproject.toml", "README.md", "LICENSE")

_START: Final = "    config = commissioned.load(config_path) if desired is None else desired.effective()\n"
_FIRST: Final = "from __future__ import annotations\n"

GOOD: Final = "9000.2.0"
DIES: Final = "9000.3.0"
REFUSES: Final = "9000.4.0"
BROKEN: Final = "9000.5.0"
"""Newer than whatever is in the project: a number near its own would one day be its own."""

CHANGES: Final[dict[str, dict[str, tuple[str, str]]]] = {
    GOOD: {},
    DIES: {"device/gate.py": (_START, _START + '    raise RuntimeError("made to fail")\n')},
    REFUSES: {"device/gate.py": (_START, _START + '    raise ConfigError("gate.made: made to be refused")\n')},
    BROKEN: {"device/cli.py": (_FIRST, _FIRST + "import no_such_module\n")},
}
"""What is replaced in which file. The last cannot be started at all."""


def release(version: str, folder: Path, changes: dict[str, tuple[str, str]] | None = None) -> Path:
    """The package of the project as ``version``. ``changes`` are replacements in files, by name."""
    here = source()
    copy = folder / f"project-{version}"
    copy.mkdir(parents=True)
    for name in PARTS:
        origin = here.root / name
        (shutil.copytree if origin.is_dir() else shutil.copy)(origin, copy / name)
    for name, (old, new) in {"pyproject.toml": (f'version = "{here.version}"', f'version = "{version}"'), **(changes or {})}.items():
        text = (copy / name).read_text(encoding="utf-8")
        assert old in text, (name, old)
        (copy / name).write_text(text.replace(old, new, 1), encoding="utf-8")
    return build(Source(copy, version, here.epoch), "amd64", folder)
