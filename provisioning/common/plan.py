"""One step of a plan: shown before it is taken."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Step:
    """Its words in the catalogue, what fills them, and the deed."""

    key: str
    facts: Mapping[str, object]
    do: Callable[[], None]
