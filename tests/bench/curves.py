"""The eye's figures as pictures and a table: ``python -m tests.bench.curves RESULT.json FOLDER``.

RESULT.json is what ``gate bench eye --json`` printed. Writes ``curves.png``, ``cost.png`` and ``eye.md`` into FOLDER.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl

mpl.use("Agg")

from matplotlib import pyplot as plt

COLOURS: Final = {
    "eye": "#0b6e4f",
    "zxing-cpp default": "#c8553d",
    "pyzbar.decode": "#3d5a80",
    "zbar full scan": "#98c1d9",
    "OpenCV QRCodeDetector": "#8d8d8d",
}
FACTORS: Final = {"Pi 4": 2.4, "Zero 2 W": 7.3}
WHERE_FROM: Final = (
    "`sysbench cpu --threads=1` gives 3,601 events a second here; published for a Pi 4 are 1,478 and for a Pi 3B+ 687 "
    "(leoncode.co.uk, Raspberry Pi CPU Benchmarks), and a Zero 2 W has the 3B+'s cores at 1.0 instead of 1.4 GHz. "
    "That test knows nothing of memory, on which a Pi is weaker: the checklist in `tests/hardware` measures the truth."
)

GOALS: Final = {2.25: 90, 3.0: 98}
"""Pixels a module, and what is to be read there within three frames."""


def main(result: Path, folder: Path) -> None:
    """Draw and write."""
    whole = json.loads(result.read_text(encoding="utf-8"))
    report = whole["eye"]
    _curves(report["curves"], folder / "curves.png")
    _cost(report["empty_and_code"], folder / "cost.png")
    (folder / "eye.md").write_text(_table(report, whole["on"]), encoding="utf-8")


def _curves(curves: dict[str, Any], path: Path) -> None:
    figure, plots = plt.subplots(1, len(curves), figsize=(13, 4.2), sharey=True, layout="constrained")
    for plot, (carrier, cells) in zip(plots, curves.items(), strict=True):
        sizes = [float(size) for size in cells]
        for name, colour in COLOURS.items():
            if all(name in cell for cell in cells.values()):
                read = [cell[name]["read_percent"] for cell in cells.values()]
                plot.plot(sizes, read, "o-", color=colour, label=name, linewidth=2.5 if name == "eye" else 1.5, markersize=4)
        for size, goal in GOALS.items():
            plot.plot([size], [goal], "k_", markersize=16, label="goal" if size == min(GOALS) else None)
        codes = next(iter(cells.values()))["eye"]["codes"]
        plot.set_title(f"{carrier}, {codes} codes a point")
        plot.set_xlabel("pixels a module")
        plot.grid(alpha=0.3)
    plots[0].set_ylabel("read within three frames, %")
    plots[0].legend(loc="lower right", fontsize=8)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _cost(costs: dict[str, Any], path: Path) -> None:
    figure, plots = plt.subplots(1, len(costs), figsize=(11, 3.6), layout="constrained")
    for plot, (size, kinds) in zip(plots, costs.items(), strict=True):
        names = [name for name in COLOURS if name in kinds["empty"]]
        for offset, kind in enumerate(("empty", "code")):
            rows = [at + 0.4 * offset for at in range(len(names))]
            means = [kinds[kind][name]["mean_ms"] for name in names]
            bars = plot.barh(rows, means, height=0.36, color=[COLOURS[name] for name in names], alpha=1.0 if kind == "empty" else 0.5)
            plot.bar_label(bars, [f"{mean:.1f} ms, {kind}" for mean in means], fontsize=7, padding=2)
        plot.set_yticks([at + 0.2 for at in range(len(names))], names)
        plot.invert_yaxis()
        plot.set_xscale("log")
        plot.set_xlim(right=plot.get_xlim()[1] * 6)
        plot.set_title(f"CPU time of a frame, {size}")
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _table(report: dict[str, Any], on: dict[str, Any]) -> str:
    where = f"{on['cpu']} ({on['cores']} cores), Python {on['python']}"
    lines = [
        "# What the eye reads, and what looking costs",
        "",
        f"Measured on {where}, by `gate bench eye --json`; drawn by `tests/bench/curves.py`.",
        "Every reader saw the same frames in the same run; times are CPU time of one frame.",
        "",
        "![Read rate by pixels a module](curves.png)",
        "",
        "![CPU time of a frame](cost.png)",
        "",
        "## Read within three frames (in the first), %; wrong readings; CPU ms a frame",
    ]
    for carrier, cells in report["curves"].items():
        lines += ["", f"### {carrier}", "", *_grid("px a module", cells)]
    lines += ["", "## Hard in one way", "", *_grid("", report["hard"])]
    lines += ["", "## Cost", "", "| frame | reader | mean | p50 | p95 | eye's mean ÷ this |", "|---|---|---|---|---|---|"]
    for size, kinds in report["empty_and_code"].items():
        for kind, readers in kinds.items():
            for name, row in readers.items():
                lines.append(f"| {size} {kind} | {name} | {row['mean_ms']} | {row['p50_ms']} | {row['p95_ms']} | {row['ratio']} |")
    cards, sieve, late = report["cards"], report["sieve"], report["latency"]
    exact = f"{cards['exact']} of {cards['cards']} exact to the byte within three frames, {cards['wrong']} wrong readings"
    delay = f"{late['frames_p50']:g} frames (p50), {late['frames_p95']:g} (p95), of {late['p50_ms']} and {late['p95_ms']} ms of CPU"
    lines += ["", "## Further", f"* Vietnamese cards at 3 pixels a module through the whole camera model: {exact}."]
    lines += [
        f"* Frames that zxing-cpp reads by itself and in which the sieve points at nothing: {sieve['missed']} of {sieve['readable']}."
    ]
    lines += [f"* From the first frame that a single look could read to the sighting: {delay}; {late['read']} of {late['codes']} read."]
    lines += _sustained(report["empty_and_code"])
    if "photographs" in report:
        photographs = report["photographs"]
        lines += ["", f"## {photographs['photographs']} photographs", "", "| reader | right | mean ms | p95 ms |", "|---|---|---|---|"]
        lines += [
            f"| {name} | {row['right']} | {row['mean_ms']} | {row['p95_ms']} |"
            for name, row in photographs.items()
            if name != "photographs"
        ]
    return "\n".join(lines) + "\n"


def _sustained(costs: dict[str, Any]) -> list[str]:
    lines = ["", "## Frames a second on one core of a Pi, with a code in each", "", "| frame | here | " + " | ".join(FACTORS) + " |"]
    lines += ["|---" * (len(FACTORS) + 2) + "|"]
    for size, kinds in costs.items():
        here = 1000 / kinds["code"]["eye"]["mean_ms"]
        lines.append(f"| {size} | {here:.0f} | " + " | ".join(f"{here / factor:.0f}" for factor in FACTORS.values()) + " |")
    said = ", ".join(f"{name} {factor:g}" for name, factor in FACTORS.items())
    return [
        *lines,
        "",
        f"By the factors {said}: {WHERE_FROM}",
        "The setting `eye.cpu_share` (0.6) is the part of that which the eye takes.",
    ]


def _grid(first: str, cells: dict[str, Any]) -> list[str]:
    names = list(next(iter(cells.values())))
    lines = [f"| {first} | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for label, cell in cells.items():
        said = [f"{row['read_percent']:g} ({row['first_percent']:g}); {row['wrong']}; {row['mean_ms']:.1f}" for row in cell.values()]
        lines.append(f"| {label} | " + " | ".join(said) + " |")
    return lines


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python -m tests.bench.curves RESULT.json FOLDER")
    main(Path(sys.argv[1]), Path(sys.argv[2]))
