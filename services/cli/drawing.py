"""Curves as pictures: a file by matplotlib, the terminal by plotext."""
# ruff: noqa: PLC0415 - both take longer to import than most commands run

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from services.cli.problem import misused, refuse
from services.what_if import WhatIf

_FORMATS = (".png", ".svg")
_WIDTHS = (
    40,
    120,
)  # columns of the terminal: below it nothing can be read, above it nothing is gained
_HEIGHT = 13
TODAY, THEN, CURVE = "#0072B2", "#D55E00", "#333333"
"""Okabe and Ito's blue and vermilion, told apart with every common colour blindness; the line style
tells them apart as well."""
Measure = Literal["bloat", "known_share"]
_TITLES: dict[Measure, str] = {
    "bloat": "Bloat: patterns for each distinct text",
    "known_share": "Coverage: share of failures to come that is known",
}


def check_picture(path: Path) -> None:
    """Raise a `Problem` when no picture can be written under this name."""
    if path.suffix.lower() not in _FORMATS:
        misused(
            f"{path} does not say which kind of picture.",
            "End the name with .png or .svg.",
        )
    if not path.absolute().parent.is_dir():
        misused(f"The folder {path.absolute().parent} is not there.", "Make it, or name another.")


def draw_what_if(answer: WhatIf, path: Path) -> None:
    """Write bloat and coverage over the range of distances as PNG or SVG. Raises `Problem`."""
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot as plt

    figure, panels = plt.subplots(2, 1, figsize=(8, 7), sharex=True, layout="constrained")
    figure.suptitle(f"{answer.project}: what the dedup distance does to its history", fontsize=13)
    for axes, measure in zip(panels, _TITLES, strict=True):
        _panel(axes, answer, measure)
    panels[0].legend(loc="upper right", fontsize=10, framealpha=1)
    panels[-1].set_xlabel(_below(answer), fontsize=11)
    saved(figure, path)


def saved(figure: Any, path: Path) -> None:
    """Write a figure of matplotlib's as the name says, and let go of it. Raises `Problem`."""
    import matplotlib as mpl
    from matplotlib import pyplot as plt

    metadata = {"Date": None} if path.suffix.lower() == ".svg" else None
    try:
        # with ids of its own every drawing of the same would be another file
        with mpl.rc_context({"svg.hashsalt": "evalratchet"}):
            figure.savefig(path, dpi=150, metadata=metadata)
    except OSError as error:
        refuse(f"The picture {path} could not be written.", f"{error.strerror}.")
    finally:
        plt.close(figure)


def _panel(axes: Any, answer: WhatIf, measure: Measure) -> None:
    distances, values = _curve(answer, measure)
    axes.plot(distances, values, color=CURVE, linewidth=2, marker="o", markersize=3)
    axes.axvline(
        answer.current_distance,
        color=TODAY,
        linewidth=2,
        linestyle="--",
        label=f"in force: {answer.current_distance:g}",
    )
    axes.axvline(
        answer.distance, color=THEN, linewidth=2, label=f"asked about: {answer.distance:g}"
    )
    axes.set_title(_TITLES[measure], loc="left", fontsize=11)
    axes.set_ylim(0, 1.03)
    axes.set_xlim(0, _right(answer))
    axes.grid(visible=True, color="#dddddd")
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def terminal_what_if(answer: WhatIf) -> str:
    """The same for the terminal, as wide as it is; without colour where output is no terminal."""
    return "\n\n".join(_terminal_panel(answer, measure) for measure in _TITLES)


def _terminal_panel(answer: WhatIf, measure: Measure) -> str:
    import plotext

    distances, values = _curve(answer, measure)
    figure = terminal_figure(plotext)
    figure.draw(figure.signal(distances, values, marker=mark(plotext, "braille", "cyan")).lines())
    for at, sign, colour in (
        (answer.current_distance, "o", "blue"),
        (answer.distance, "x", "orange"),
    ):
        height = _between(distances, values, at)
        figure.draw(figure.signal([at], [height], marker=mark(plotext, sign, colour)))
    right = _right(answer)
    figure.ruler("x").lim(0, right)
    figure.ruler("x").ticks([tick / 10 for tick in range(0, round(right * 10) + 1, 3)])
    figure.ruler("y").lim(0, 1)
    figure.ruler("y").ticks([0, 0.25, 0.5, 0.75, 1])
    figure.title(_TITLES[measure])
    figure.label(f"distance: o {answer.current_distance:g} in force, x {answer.distance:g}")
    return terminal_text(plotext, figure)


def terminal_figure(plotext: Any) -> Any:
    """Plotext's figure, empty, as wide as the terminal."""
    figure = plotext.figure
    figure.clear()  # there is one, of the module
    figure.theme("colorless")
    width = min(max(shutil.get_terminal_size((80, 24)).columns, _WIDTHS[0]), _WIDTHS[1])
    figure.plot_size(width, _HEIGHT)
    return figure


def terminal_text(plotext: Any, figure: Any) -> str:
    """The figure as text; without colour where output is no terminal."""
    drawn = str(figure.build())
    if not sys.stdout.isatty() or os.environ.get("NO_COLOR"):
        drawn = plotext.uncolorize(drawn)
    return "\n".join(line.rstrip() for line in drawn.rstrip().splitlines())


def mark(plotext: Any, sign: str, colour: str) -> Any:
    """A sign in a colour, for a signal."""
    return plotext.marker(sign, pixel=plotext.pixel(colour))


def _curve(answer: WhatIf, measure: Measure) -> tuple[list[float], list[float]]:
    points = answer.curves.points
    return [p.distance for p in points], [float(getattr(p, measure)) for p in points]


def _right(answer: WhatIf) -> float:
    """Where the picture ends: with the curve, or with a distance that lies beyond it."""
    return max(*_curve(answer, "bloat")[0], answer.current_distance, answer.distance)


def _between(xs: Sequence[float], ys: Sequence[float], at: float) -> float:
    """The height of the curve at a distance, straight between its points."""
    for left, right, low, high in zip(xs, xs[1:], ys, ys[1:], strict=False):
        if left <= at <= right:
            return low + (high - low) * (at - left) / (right - left)
    return ys[0] if at < xs[0] else ys[-1]


def _below(answer: WhatIf) -> str:
    drawn = answer.curves
    if drawn.texts < drawn.of:
        return f"dedup distance (from a sample of {drawn.texts:,} of {drawn.of:,} texts)"
    return f"dedup distance (from {drawn.texts:,} texts)"
