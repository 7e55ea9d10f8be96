"""Changes the code in small ways and counts which changes no test notices: ``python -m tests.bench.mutation ROOM…``.

A room is a folder of `device/`, or one module in it; its changes are judged by
the tests that mirror it alone, so that a test far away cannot stand in for a
missing one. The work is mutmut's, in a copy of the project: nothing is left in
this one. A change that makes a test hang counts as noticed.

``python -m tests.bench.mutation short`` tries a drawn module of each room, judged by
its own test alone, within two minutes: what CI can afford.

With ``--sample`` only so many changes of each room are tried, drawn by
``--seed``. Survivors are printed with their change; why those that are known
are harmless stands in `mutation.md` beside this file.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]

ROOMS: Final = ("core", "edges/record", "edges/broker", "edges/orders", "edges/keys", "settings")
"""What a mistake in would be worst: each is to be held to ``GOAL``."""
SHORT: Final[Mapping[str, tuple[str, ...]]] = {
    "core": ("pacing", "presence", "sending", "spans"),
    "edges/record": ("gaps", "rows", "wal"),
    "edges/broker": ("notices", "outbox_pages", "sender"),
    "edges/orders": ("book", "desk"),
    "edges/keys": ("seal", "signer", "trust_files"),
    "settings": ("commissioned", "rules_from_config"),
}
"""Modules whose own tests take a second or two: the short form draws one of each room."""
SHORT_SAMPLE: Final = 90
GOAL: Final = 0.9
"""Of a room's changes, those that its tests notice."""
NOTICED: Final = frozenset({"killed", "timeout", "suspicious", "segfault", "caught by type check"})


@dataclass(frozen=True, slots=True)
class Score:
    """What became of the changes of one room. ``tried`` are all of ``made`` unless a sample was asked for."""

    room: str
    made: int
    tried: int
    noticed: int
    survivors: tuple[str, ...]

    @property
    def share(self) -> float:
        """Of those tried, noticed: 0 to 1."""
        return self.noticed / self.tried if self.tried else 1.0


@contextmanager
def copied(sources: Sequence[str], tests: Sequence[str]) -> Iterator[Path]:
    """A copy of the project in which these sources are to be changed and these tests are to notice."""
    with tempfile.TemporaryDirectory(prefix="mutation-") as folder:
        copy = Path(folder) / "project"
        listed = subprocess.run(
            ["git", "-c", f"safe.directory={ROOT}", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            check=True,
            capture_output=True,
            text=True,
        )
        for name in filter(None, listed.stdout.split("\0")):
            if (ROOT / name).is_file():
                (copy / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, copy / name)
        with (copy / "pyproject.toml").open("a", encoding="utf-8") as file:
            file.write(_settings(sources, tests))
        yield copy


def _settings(sources: Sequence[str], tests: Sequence[str]) -> str:
    """One process and one order, so that a change is judged by the same run as every other."""
    return "\n".join(
        [
            "",
            "[tool.mutmut]",
            f"source_paths = {json.dumps(list(sources))}",
            f"pytest_add_cli_args_test_selection = {json.dumps(list(tests))}",
            'pytest_add_cli_args = ["-n", "0", "-p", "no:randomly"]',
            'also_copy = ["device", "provisioning", "systemd", "tests", "pyproject.toml", "README.md", "LICENSE"]',
            "",
        ]
    )


def mutmut(copy: Path, *words: str) -> str:
    """What mutmut prints. It ends with an error where nothing of what it was asked to change exists, which the first call means to ask."""
    done = subprocess.run(
        [sys.executable, "-m", "mutmut", *words], cwd=copy, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    return done.stdout


def states(copy: Path) -> dict[str, str]:
    """Every change by its name, and what became of it."""
    lines = mutmut(copy, "results", "--all", "true").splitlines()
    return {name.strip(): state for name, _, state in (line.rpartition(": ") for line in lines) if "__mutmut_" in name}


def measure(room: str, sources: Sequence[str], tests: Sequence[str], sample: int | None, seed: int, children: int) -> tuple[Score, str]:
    """Try the changes of ``sources``. Returns the score and, for people, what the survivors changed. Raises RuntimeError."""
    with copied(sources, tests) as copy:
        # This makes all changes and learns which test runs which function; then they are known by name.
        said = mutmut(copy, "run", "--max-children", str(children), "nothing.of.this.name")
        made = sorted(states(copy))
        if not made:
            raise RuntimeError(f"{room}: mutmut made no changes:\n{said[-3_000:]}")
        chosen = made if sample is None or sample >= len(made) else sorted(random.Random(seed).sample(made, sample))  # noqa: S311 - a sample
        said = mutmut(copy, "run", "--max-children", str(children), *(chosen if len(chosen) < len(made) else ()))
        found = states(copy)
        untried = [name for name in chosen if found[name] == "not checked"]
        if untried:
            raise RuntimeError(f"{room}: {len(untried)} changes were not tried:\n{said[-3_000:]}")
        alive = tuple(name for name in chosen if found[name] not in NOTICED)
        shown = "\n".join(mutmut(copy, "show", name) for name in alive)
    return Score(room, len(made), len(chosen), len(chosen) - len(alive), alive), shown


def scores(rooms: Iterable[str], sample: int | None, seed: int, children: int) -> Iterator[tuple[Score, str]]:
    """One room after the other."""
    for room in rooms:
        path = Path("device") / room
        folder = path.parent if path.suffix else path
        yield measure(room, [str(path)], [str(Path("tests") / folder.relative_to("device"))], sample, seed, children)


def short(seed: int, children: int) -> tuple[Score, str]:
    """A drawn module of each room, together, by their own tests."""
    drawn = random.Random(seed)  # noqa: S311 - a sample
    modules = [f"{room}/{drawn.choice(modules)}" for room, modules in SHORT.items()]
    sources = [f"device/{module}.py" for module in modules]
    tests = ["tests/{}/test_{}.py".format(*module.rsplit("/", 1)) for module in modules]
    return measure(" ".join(modules), sources, tests, SHORT_SAMPLE, seed, children)


def main(words: Sequence[str] | None = None) -> int:
    """Print the score of each room. 1 where one is below the goal."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.mutation", description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument(
        "rooms", nargs="*", default=ROOMS, metavar="ROOM", help=f"folders or modules of device/ (default: {' '.join(ROOMS)})"
    )
    parser.add_argument("--sample", type=int, metavar="N", help="so many changes of each room")
    parser.add_argument("--seed", type=int, default=1, metavar="S", help="by which they are drawn (default: 1)")
    parser.add_argument("--children", type=int, default=2, metavar="N", help="processes (default: 2)")
    parser.add_argument("--json", action="store_true", help="machine-readable output")
    options = parser.parse_args(words)
    worst = 1.0
    asked = [short(options.seed, options.children)] if options.rooms == ["short"] else None
    for score, shown in asked or scores(options.rooms, options.sample, options.seed, options.children):
        worst = min(worst, score.share)
        if options.json:
            print(json.dumps(asdict(score)), flush=True)  # noqa: T201 - its output is for the person at the terminal
        else:
            line = f"{score.room}: {score.noticed} of {score.tried} changes noticed ({score.share:.1%}), {score.made} made"
            print(f"{shown}\n{line}", flush=True)  # noqa: T201 - its output is for the person at the terminal
    return 0 if worst >= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
