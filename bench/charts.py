"""`make figures`, or `python -m bench --draw RESULTS...`: the pictures in `docs/` from results that were kept."""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from bench.simulated.sizes import GOAL
from bench.simulated.traffic import AGAIN, COMMIT, EXCHANGE, MESSAGE, PULSE, REPORT, SUMMARY

DOCS = Path(__file__).parent.parent / "docs"

# Told apart by who sees colours otherwise too (Okabe and Ito).
_COLOURS = {
    MESSAGE: "#0072b2",
    COMMIT: "#d55e00",
    REPORT: "#009e73",
    PULSE: "#e69f00",
    SUMMARY: "#cc79a7",
    EXCHANGE: "#999999",
    AGAIN: "#d9d9d9",
}
_ONE, _OTHER, _GOAL = "#0072b2", "#e69f00", "#d55e00"


class ChartError(Exception):
    """The pictures cannot be made; says why, for people."""


def draw(files: Iterable[Path], into: Path = DOCS) -> list[Path]:
    """Draw all that these results have; of two that measured the same the later one counts."""
    universes, thousand = merged(files)
    if not universes:
        raise ChartError("these results have no simulated universes: run python -m bench --large")
    return [
        _picture(into / "healing.svg", "seconds from the heal", lambda axes: _healing(axes, universes)),
        _picture(
            into / "commits.svg",
            "protocol commits for a user message",
            lambda axes: _commits(axes, universes, thousand),
        ),
        _picture(
            into / "traffic.svg",
            "bytes at each node for a user message",
            lambda axes: _traffic(axes, universes, thousand),
        ),
    ]


def merged(files: Iterable[Path]) -> tuple[dict[int, Any], dict[str, Any] | None]:
    universes: dict[int, Any] = {}
    thousand = None
    for file in files:
        results = json.loads(file.read_text())["results"]
        measured = {name: found for name, found in results.items() if "error" not in found}
        universes |= {int(size): found for size, found in measured.get("universe", {}).items()}
        thousand = measured.get("thousand", thousand)
    return dict(sorted(universes.items())), thousand


def _picture(path: Path, title: str, fill: Callable[[Any], None]) -> Path:
    """One SVG file, the same to the byte whenever it is drawn of the same figures."""
    try:
        import matplotlib
    except ImportError:
        raise ChartError("matplotlib is missing: make figures installs it") from None
    matplotlib.use("svg")
    from matplotlib import pyplot

    settings: Any = {
        "svg.fonttype": "none",
        "svg.hashsalt": "starling",
        "font.family": "sans-serif",
        "font.size": 10,
    }
    with matplotlib.rc_context(settings):
        figure, axes = pyplot.subplots(figsize=(7, 3.4), layout="constrained")
        axes.set_ylabel(title)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", color="#e5e5e5")
        axes.set_axisbelow(True)
        fill(axes)
        figure.legend(loc="outside upper left", ncols=4, frameon=False, fontsize=8)
        figure.savefig(path, metadata={"Date": None, "Creator": "starling bench"})
        pyplot.close(figure)
    return path


def _places(axes: Any, names: Sequence[str]) -> list[int]:
    places = list(range(len(names)))
    axes.set_xticks(places, names)
    axes.set_xlabel("members")
    return places


def _healing(axes: Any, universes: dict[int, Any]) -> None:
    """Bars of the medians with a line up to the worst, and the goals above them."""
    places = _places(axes, [str(size) for size in universes])
    width = 0.38
    for shift, what, name, colour, times in (
        (-width / 2, "converged_s", "converged", _ONE, 1),
        (width / 2, "settled_s", "settled", _OTHER, 2),
    ):
        healed = [found["healed"] for found in universes.values()]
        heights = [statistics.median(run[what] for run in runs) for runs in healed]
        goals = [times * min(run["goal_s"] for run in runs) for runs in healed]
        bars = axes.bar([place + shift for place in places], heights, width, color=colour, label=name)
        lines = [place + shift for place in places]
        worst = [max(run[what] for run in runs) for runs in healed]
        axes.bar_label(bars, fmt="%.1f", fontsize=8, padding=2)
        label = "worst" if times == 2 else None
        axes.vlines(lines, heights, worst, color="black", linewidth=1.5, label=label)
        label = "goals" if times == 2 else None
        axes.hlines(
            goals,
            [at - width / 2 for at in lines],
            [at + width / 2 for at in lines],
            color=_GOAL,
            linestyle="--",
            label=label,
        )


def _commits(axes: Any, universes: dict[int, Any], thousand: dict[str, Any] | None) -> None:
    sizes = list(universes)
    figures = [found["talked"]["commits_per_message"] for found in universes.values()]
    axes.plot(sizes, figures, "o-", color=_ONE, label="real engines")
    if thousand is not None:
        axes.plot(
            thousand["size"],
            thousand["commits_per_message"],
            "D",
            color=_OTHER,
            label="3 among scripted owners",
        )
        sizes.append(thousand["size"])
    axes.axhline(GOAL, color=_GOAL, linestyle="--", label="goal at 20 members")
    axes.set_xscale("log")
    axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
    axes.minorticks_off()
    axes.set_xlabel("members")
    axes.set_ylim(0, 1.2 * GOAL)


def _traffic(axes: Any, universes: dict[int, Any], thousand: dict[str, Any] | None) -> None:
    """Stacked bars; the copies that the network's flooding adds are on top, and scripted owners flood nothing."""
    columns = {f"{size:,}": found["talked"]["bytes_per_message"] for size, found in universes.items()}
    if thousand is not None:
        columns[f"{thousand['size']:,} (3 real)"] = thousand["bytes_per_message"]
    places = _places(axes, list(columns))
    below = [0.0] * len(columns)
    for kind, colour in _COLOURS.items():
        heights = [column[kind] / 1000 for column in columns.values()]
        if any(heights):
            axes.bar(places, heights, 0.6, bottom=below, color=colour, label=_NAMES.get(kind, kind))
        below = [low + height for low, height in zip(below, heights, strict=True)]
    for place, height in zip(places, below, strict=True):
        axes.annotate(f"{height:.1f}", (place, height), ha="center", va="bottom", fontsize=8)
    axes.set_ylabel("kB at each node for a user message")


_NAMES = {AGAIN: "further copies by gossip"}


def main(files: Sequence[str]) -> int:
    try:
        for path in draw([Path(file) for file in files]):
            print(path)
    except ChartError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0
