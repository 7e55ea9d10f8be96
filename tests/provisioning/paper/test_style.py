"""The typeface: found without loading what brings it, and every Vietnamese letter is in it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from provisioning.paper.style import LETTERS, missing_letters, typefaces


@pytest.mark.parametrize("style", ["", "B"])
def test_every_vietnamese_letter_is_in_the_typeface(style: str) -> None:
    """In both styles; and what is in no typeface of this kind is missed."""
    assert missing_letters(typefaces()[style]) == ""
    assert missing_letters(typefaces()[style], LETTERS + "\U000130f8") == "\U000130f8"


def test_the_files_are_found_without_loading_matplotlib() -> None:
    """Half a second for two paths."""
    code = "import sys; from provisioning.paper.style import typefaces; typefaces(); print('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "False\n"
