"""The house as a graph: its rooms, which imports which, and on how many floors they lie.

Run as ``python -m tests.system.rooms`` for the figures of each folder. A room
is a module or package directly in a folder; an arrow leads from the room that
imports to the one that is imported; the floor of a room is the length of the
longest way down from it.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final, TypeAlias

import grimp

Arrows: TypeAlias = Mapping[str, AbstractSet[str]]
"""Each room, with those that it imports."""

FOLDERS: Final = ("device", "device.edges", "device.core", "device.eye", "provisioning")


@dataclass(frozen=True, slots=True)
class Plan:
    """One folder drawn: ``circles`` are the groups of rooms that import each other, each in alphabetical order."""

    rooms: int
    arrows: int
    floors: int
    circles: tuple[tuple[str, ...], ...]


def graph_of(*packages: str) -> grimp.ImportGraph:
    """Every import between the modules of these packages, those inside functions too."""
    return grimp.build_graph(*packages)


def rooms_of(graph: grimp.ImportGraph, folder: str) -> Arrows:
    """The rooms of a folder and the arrows between them."""
    rooms = sorted(graph.find_children(folder))
    inside = {room: {room, *graph.find_descendants(room)} for room in rooms}
    home = {module: room for room, modules in inside.items() for module in modules}
    return {
        room: {
            home[imported]
            for module in modules
            for imported in graph.find_modules_directly_imported_by(module)
            if home.get(imported, room) != room
        }
        for room, modules in inside.items()
    }


def modules_of(graph: grimp.ImportGraph) -> Arrows:
    """Every module for itself."""
    return {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}


def circles(arrows: Arrows) -> list[tuple[str, ...]]:
    """The groups of more than one that can be reached from each other (Tarjan's strongly connected components)."""
    number: dict[str, int] = {}
    lowest: dict[str, int] = {}
    path: list[str] = []
    found: list[tuple[str, ...]] = []

    def visit(room: str) -> None:
        number[room] = lowest[room] = len(number)
        path.append(room)
        for below in sorted(arrows[room]):
            if below not in number:
                visit(below)
                lowest[room] = min(lowest[room], lowest[below])
            elif below in path:
                lowest[room] = min(lowest[room], number[below])
        if lowest[room] == number[room]:
            group = path[path.index(room) :]
            del path[path.index(room) :]
            if len(group) > 1:
                found.append(tuple(sorted(group)))

    for room in sorted(arrows):
        if room not in number:
            visit(room)
    return found


def floors(arrows: Arrows) -> int:
    """How many rooms the longest way down passes; a circle counts as one."""
    height: dict[str, int] = {}

    def climb(room: str, above: frozenset[str]) -> int:
        if room not in height:
            height[room] = 1 + max((climb(below, above | {room}) for below in arrows[room] if below not in above), default=0)
        return height[room]

    return max((climb(room, frozenset({room})) for room in arrows), default=0)


def plan(graph: grimp.ImportGraph, folder: str) -> Plan:
    """The figures of one folder."""
    arrows = rooms_of(graph, folder)
    return Plan(len(arrows), sum(map(len, arrows.values())), floors(arrows), tuple(circles(arrows)))


def main() -> int:
    """Print the figures of each folder, one line each."""
    graph = graph_of("device", "provisioning")
    for folder in FOLDERS:
        drawn = plan(graph, folder)
        print(  # noqa: T201 - its output is for the person at the terminal
            f"{folder:14} {drawn.rooms:3} rooms, {drawn.arrows:4} arrows, {drawn.floors:2} floors, circles: {drawn.circles or 'none'}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
