"""An authority, and what openssl says of it."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime

PHRASE = "ba bon nam sau"
NOW = datetime(2026, 11, 27, 6, 0, tzinfo=UTC)


def openssl(*words: object) -> str:
    """What openssl says."""
    return subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True, text=True).stdout
