"""What all paper has in common: colours, sizes, and the typeface."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Final, TypeAlias

Colour: TypeAlias = "tuple[int, int, int]"

FACE: Final = "DejaVu"
BLACK: Final = (0, 0, 0)
GREY: Final = (90, 90, 90)
GREEN: Final = (0, 140, 70)
RED: Final = (200, 30, 30)
AMBER: Final = (235, 150, 0)
BLUE: Final = (30, 90, 200)
A4_MM: Final = (210.0, 297.0)
LETTERS: Final = "ăâđêôơưĂÂĐÊÔƠƯàảãáạằẳẵắặầẩẫấậèẻẽéẹềểễếệìỉĩíịòỏõóọồổỗốộờởỡớợùủũúụừửữứựỳỷỹýỵ"
"""Those of Vietnamese that not every typeface has."""


def typefaces() -> Mapping[str, Path]:
    """The files of DejaVu Sans by style, which come with matplotlib. Found without loading it."""
    found = find_spec("matplotlib")
    if found is None or found.submodule_search_locations is None:
        raise ModuleNotFoundError("No module named 'matplotlib'", name="matplotlib")
    folder = Path(found.submodule_search_locations[0]) / "mpl-data" / "fonts" / "ttf"
    return {"": folder / "DejaVuSans.ttf", "B": folder / "DejaVuSans-Bold.ttf"}


def missing_letters(path: Path, letters: str = LETTERS) -> str:
    """Those of the letters that a typeface does not have."""
    from fontTools.ttLib import TTFont  # noqa: PLC0415 - loaded when a typeface is looked at

    with TTFont(path) as face:
        known = face["cmap"].getBestCmap()
    return "".join(letter for letter in letters if ord(letter) not in known)
