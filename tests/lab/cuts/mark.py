"""Marks in the log of the disk: what had been promised when the power went."""

from __future__ import annotations

import subprocess


def mark(text: str) -> None:
    """Say something between the writes before and the writes after. Returns when it is in the log, which takes one word."""
    subprocess.run(["/usr/sbin/dmsetup", "message", "log", "0", "mark", text.replace(" ", ":")], check=True)
