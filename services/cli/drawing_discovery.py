"""The discovery curve and its forecast as pictures, as `drawing` has those of the knob."""
# ruff: noqa: PLC0415 - both libraries take longer to import than most commands run

from pathlib import Path

from services.cli.drawing import CURVE, THEN, mark, saved, terminal_figure, terminal_text
from services.coverage import DiscoveredProject

_TITLE = "Discovery: patterns known after so many failures"


def draw_discovery(known: DiscoveredProject, path: Path) -> None:
    """Write the curve as PNG or SVG. Raises `Problem`."""
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot as plt

    curve = known.discovery
    figure, axes = plt.subplots(figsize=(8, 4.5), layout="constrained")
    figure.suptitle(f"{known.project}: how much of what goes wrong is known", fontsize=13)
    axes.plot(*zip(*curve.seen, strict=True), color=CURVE, linewidth=2, label="seen")
    failures, middle, low, high = zip(*curve.forecast, strict=True)
    axes.plot(failures, middle, color=THEN, linewidth=2, linestyle="--", label="forecast")
    axes.fill_between(failures, low, high, color=THEN, alpha=0.2, label="its 95 % interval")
    axes.set_title(_TITLE, loc="left", fontsize=11)
    axes.set_xlabel("failures", fontsize=11)
    axes.set_ylabel("patterns", fontsize=11)
    axes.set_xlim(0, failures[-1])
    axes.set_ylim(0, None)
    axes.grid(visible=True, color="#dddddd")
    axes.set_axisbelow(True)
    axes.legend(loc="upper left", fontsize=10, framealpha=1)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    saved(figure, path)


def _whole(top: float) -> list[int]:
    """Some whole numbers of patterns from 0 up to the top."""
    return sorted({round(top * part / 4) for part in range(5)})


def terminal_discovery(known: DiscoveredProject) -> str:
    """The same for the terminal, as wide as it is; without colour where output is no terminal."""
    import plotext

    curve = known.discovery
    figure = terminal_figure(plotext)
    failures, middle, low, high = zip(*curve.forecast, strict=True)
    for heights, sign in ((low, "."), (high, "."), (middle, "+")):
        drawn = figure.signal(failures, heights, marker=mark(plotext, sign, "orange"))
        figure.draw(drawn.lines())
    seen = figure.signal(*zip(*curve.seen, strict=True), marker=mark(plotext, "braille", "cyan"))
    figure.draw(seen.lines())
    figure.ruler("x").lim(0, failures[-1])
    figure.ruler("y").lim(0, max(high))
    figure.ruler("y").ticks(_whole(max(high)))
    now = curve.seen[-1][0]
    figure.ruler("x").ticks([0, now / 2, now, 1.5 * now, 2 * now])
    figure.title(_TITLE)
    figure.label("failures: line seen, + forecast, . its 95 % interval")
    return terminal_text(plotext, figure)
