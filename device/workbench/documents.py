"""The generated documents: configuration reference, reason codes, problems, cameras and the state diagram.

``python -m device.workbench.documents`` writes them beside the code;
``--check`` only compares, and says which one is out of date.
"""

from __future__ import annotations

import argparse
import json
import sys
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from device.config import GateConfig
from device.core.machine import diagram
from device.core.plain_words import ASSURANCES, KINDS, WARNINGS
from device.core.problems import ADVICE, LIMITS, Problem
from device.core.reasons import SENTENCES
from device.eye.sensors import CODE_MM, SENSORS, UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic import BaseModel
    from pydantic.fields import FieldInfo

ROOT: Final = Path(__file__).resolve().parent.parent
BEGIN: Final = "<!-- generated: state diagram -->"
END: Final = "<!-- end of generated -->"

_EXAMPLE: Final = """[gate]
id = "pleiku-017"
site = "s-4f2a91"
direction = "both"

[privacy]
site_key = "site.key"
seal_to = "province.pem"
purpose = "access control"

[broker]
host = "broker.example"
ca = "ca.pem"
cert = "gate.pem"
key = "gate.key"

[policy]
accept = ["citizen_card", "health_insurance"]

[[policy.opening_hours]]
days = ["mon", "tue", "wed", "thu", "fri"]
start = 05:30:00
end = 22:00:00

[signals]
kit = "full"
profile = "normal"
"""


def documents() -> dict[Path, str]:
    """Every generated document: where it lies and what it holds."""
    readme = ROOT / "README.md"
    return {
        ROOT / "reference" / "configuration.md": configuration(),
        ROOT / "reference" / "reasons.md": reasons(),
        ROOT / "reference" / "problems.md": problems(),
        ROOT / "reference" / "cameras.md": cameras(),
        readme: _with_diagram(readme.read_text(encoding="utf-8")),
    }


def configuration() -> str:
    """The configuration reference, from the descriptions in ``device.config``."""
    lines = [
        "# Configuration",
        "",
        "One TOML file, by default `/etc/gate/gate.toml`. Unknown keys are refused; `gate check-config FILE` names what is wrong.",
        "Relative paths are meant from the folder of the file. Generated from the code.",
        "",
        "```toml",
        _EXAMPLE.rstrip(),
        "```",
    ]
    for name, field in GateConfig.model_fields.items():
        section = _model(field)
        lines += ["", f"## `[{name}]`", "", _sentence(section.__doc__), *_note(field), "", *_table(section, name)]
    return "\n".join(lines) + "\n"


def reasons() -> str:
    """Every reason code with its sentences."""
    rows = [f"| `{reason.value}` | {sentence.vi} | {sentence.en} |" for reason, sentence in SENTENCES.items()]
    head = "# Lý do quyết định · Reasons for a decision\n\nMã lý do không đổi nghĩa; câu chữ có thể được sửa cho rõ hơn. "
    head += "A code never changes its meaning; sentences may be improved. Generated from the code.\n\n"
    return head + _words_table(rows) + "".join(_words())


def _words() -> Iterator[str]:
    """The other words of which `--explain` makes its sentence."""
    for title, words in (
        ("Lưu ý · Warnings", WARNINGS),
        ("Loại mã · Kinds of code", KINDS),
        ("Mức bảo đảm · Assurance", ASSURANCES),
    ):
        yield f"\n## {title}\n"
        yield _words_table([f"| `{code!s}` | {sentence.vi} | {sentence.en} |" for code, sentence in words.items()])


def _words_table(rows: list[str]) -> str:
    return "\n".join(["| mã · code | tiếng Việt | English |", "|---|---|---|", *rows]) + "\n"


def problems() -> str:
    """Every problem code with from when on it is one, how bad it is and what to do."""
    rows = [f"| `{code.value}` | {_limit(code)} | {advice.severity.value} | {advice.vi} | {advice.en} |" for code, advice in ADVICE.items()]
    head = "# Khi cổng không ổn · When a gate is not well\n\n`gate status` nêu các mã này; mã thoát là 1 khi có mã nào. "
    head += "`gate status` names these codes, within two seconds; its exit code is 1 while there is one. "
    head += "Ngưỡng thứ hai không đạt tự kiểm tra. Beyond the second limit the self-test fails, too. Generated from the code.\n\n"
    columns = "| mã · code | ngưỡng · limits | mức độ · severity | tiếng Việt | English |"
    return head + "\n".join([columns, "|---|---|---|---|---|", *rows]) + "\n"


def cameras() -> str:
    """Every known camera: how it is named, used and focused, and from where it reads a card."""
    rows = [
        f"| `{model}` | {one.name} | {one.size[0]}x{one.size[1]} | {one.advice.vi} | {one.advice.en} |" for model, one in SENSORS.items()
    ]
    head = "# Camera · Cameras\n\nTên trong `[camera] model`; `gate selftest` nói lại dòng của camera đang lắp. "
    head += f"Mã trên thẻ rộng {CODE_MM:g} mm. The names are those of `[camera] model`; `gate selftest` repeats the row of the camera "
    head += f"that is there. A card's code is {CODE_MM:g} mm wide. Generated from the code.\n\n"
    head += f"Camera khác · Any other: {UNKNOWN.vi} · {UNKNOWN.en}\n\n"
    columns = "| model | camera | ảnh · picture | tiếng Việt | English |"
    return head + "\n".join([columns, "|---|---|---|---|---|", *rows]) + "\n"


def _limit(code: Problem) -> str:
    found = []
    for figure, limit in LIMITS.items():
        if limit.problem is code:
            values = "; ".join(f"{value / limit.per_unit:g}" for value in (limit.warn, limit.fail) if value is not None)
            found.append(f"`{figure}` {'≥' if limit.high else '<'} {values} {limit.unit}")
    return ", ".join(found)


def _table(section: type[BaseModel], name: str) -> Iterator[str]:
    yield "| key | default | meaning |"
    yield "|---|---|---|"
    nested: list[tuple[str, type[BaseModel]]] = []
    for key, field in section.model_fields.items():
        yield f"| `{key}` | {_default(field)} | {_sentence(field.description)} |"
        model = _model_or_none(field)
        if model is not None and model not in [seen for _, seen in nested]:
            nested.append((key, model))
    for key, model in nested:
        yield ""
        yield f"### `[{name}.{key}]`" + (" and its like" if name == "signals" and key == "green" else "")
        yield ""
        yield _sentence(model.__doc__)
        yield ""
        yield from _table(model, f"{name}.{key}")


def _note(field: FieldInfo) -> list[str]:
    return [f"{_sentence(field.description)}"] if field.description else []


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "needed"
    value: Any = field.get_default()
    if value is None:
        return "none"
    return f"`{_toml(value)}`"


def _toml(value: Any) -> str:  # noqa: ANN401 - a default can be of any type
    if isinstance(value, Enum | str | Path):
        return json.dumps(str(value), ensure_ascii=False)
    if isinstance(value, tuple):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    if hasattr(value, "model_dump"):
        inner = value.model_dump(exclude_defaults=True)
        return "{ " + ", ".join(f"{key} = {_toml(item)}" for key, item in inner.items()) + " }"
    return str(value)


def _model(field: FieldInfo) -> type[BaseModel]:
    model = _model_or_none(field)
    if model is None:
        raise TypeError(f"{field} is no section")
    return model


def _model_or_none(field: FieldInfo) -> type[BaseModel] | None:
    candidates = [field.annotation, *getattr(field.annotation, "__args__", ())]
    return next((item for item in candidates if hasattr(item, "model_fields")), None)


def _sentence(text: str | None) -> str:
    return " ".join((text or "").split()).replace("|", "\\|")


def _with_diagram(text: str) -> str:
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n```mermaid\n{diagram()}```\n{END}{after}"


def main(arguments: list[str] | None = None) -> int:
    """Write the documents, or with ``--check`` name those that differ from the code."""
    parser = argparse.ArgumentParser(prog="python -m device.workbench.documents")
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args(arguments)
    stale = [path for path, text in documents().items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    for path in stale:
        if options.check:
            print(f"{path.relative_to(ROOT)} differs from the code: run python -m device.workbench.documents", file=sys.stderr)
        else:
            path.parent.mkdir(exist_ok=True)
            path.write_text(documents()[path], encoding="utf-8")
            print(f"wrote {path.relative_to(ROOT)}")
    return 1 if stale and options.check else 0


if __name__ == "__main__":
    sys.exit(main())
