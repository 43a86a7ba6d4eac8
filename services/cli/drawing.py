"""Curves as pictures: a file by matplotlib, the terminal by plotext."""
# ruff: noqa: PLC0415 - both take longer to import than most commands run

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
_TODAY, _THEN, _CURVE = "#0072B2", "#D55E00", "#333333"
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
    mpl.rcParams["svg.hashsalt"] = "evalratchet"  # or every drawing would have other ids in it
    from matplotlib import pyplot as plt

    figure, panels = plt.subplots(2, 1, figsize=(8, 7), sharex=True, layout="constrained")
    figure.suptitle(f"{answer.project}: what the dedup distance does to its history", fontsize=13)
    for axes, measure in zip(panels, _TITLES, strict=True):
        _panel(axes, answer, measure)
    panels[0].legend(loc="upper right", fontsize=10, framealpha=1)
    panels[-1].set_xlabel(_below(answer), fontsize=11)
    metadata = {"Date": None} if path.suffix.lower() == ".svg" else None
    try:
        figure.savefig(path, dpi=150, metadata=metadata)
    except OSError as error:
        refuse(f"The picture {path} could not be written.", f"{error.strerror}.")
    finally:
        plt.close(figure)


def _panel(axes: Any, answer: WhatIf, measure: Measure) -> None:
    distances, values = _curve(answer, measure)
    axes.plot(distances, values, color=_CURVE, linewidth=2, marker="o", markersize=3)
    axes.axvline(
        answer.current_distance,
        color=_TODAY,
        linewidth=2,
        linestyle="--",
        label=f"in force: {answer.current_distance:g}",
    )
    axes.axvline(
        answer.distance, color=_THEN, linewidth=2, label=f"asked about: {answer.distance:g}"
    )
    axes.set_title(_TITLES[measure], loc="left", fontsize=11)
    axes.set_ylim(0, 1.03)
    axes.set_xlim(0, max(distances))
    axes.grid(visible=True, color="#dddddd")
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def terminal_what_if(answer: WhatIf) -> str:
    """The same for the terminal, as wide as it is; without colour where output is no terminal."""
    return "\n\n".join(_terminal_panel(answer, measure) for measure in _TITLES)


def _terminal_panel(answer: WhatIf, measure: Measure) -> str:
    import plotext

    coloured = sys.stdout.isatty()
    distances, values = _curve(answer, measure)
    width = min(max(shutil.get_terminal_size((80, 24)).columns, _WIDTHS[0]), _WIDTHS[1])
    figure = plotext.figure
    figure.clear()  # there is one, of the module
    figure.theme("colorless")
    figure.plot_size(width, _HEIGHT)
    figure.draw(figure.signal(distances, values, marker=_mark(plotext, "braille", "cyan")).lines())
    for at, sign, colour in (
        (answer.current_distance, "o", "blue"),
        (answer.distance, "x", "orange"),
    ):
        height = _between(distances, values, at)
        figure.draw(figure.signal([at], [height], marker=_mark(plotext, sign, colour)))
    figure.ruler("x").lim(0, max(distances))
    figure.ruler("x").ticks([0, 0.3, 0.6, 0.9, 1.2])
    figure.ruler("y").lim(0, 1)
    figure.ruler("y").ticks([0, 0.25, 0.5, 0.75, 1])
    figure.title(_TITLES[measure])
    figure.label(f"distance: o {answer.current_distance:g} in force, x {answer.distance:g}")
    drawn = str(figure.build())
    if not coloured:
        drawn = plotext.uncolorize(drawn)
    return "\n".join(line.rstrip() for line in drawn.rstrip().splitlines())


def _mark(plotext: Any, sign: str, colour: str) -> Any:
    return plotext.marker(sign, pixel=plotext.pixel(colour))


def _curve(answer: WhatIf, measure: Measure) -> tuple[list[float], list[float]]:
    points = answer.curves.points
    return [p.distance for p in points], [float(getattr(p, measure)) for p in points]


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
