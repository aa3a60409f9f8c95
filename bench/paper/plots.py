"""The page's drawings: they only draw. SVG whose lines and words take the page's colour."""

import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any

from decisions import Count
from intervals import Estimate
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

_PAGE = "#010203"  # stands for the page's own colour until it is drawn
# Okabe and Ito's, without those that are too faint on white or on black.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#8A7A00", _PAGE)
_LEGEND = 95  # letters and marks of a line
_MARKERS = ("o", "s", "^", "D", "v", "P")
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.unicode_minus": False,
    "legend.frameon": False,
    **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor"), _PAGE),
    **dict.fromkeys(("xtick.color", "ytick.color"), _PAGE),
}
Series = Mapping[str, Mapping[str, Estimate]]  # name -> place -> estimate


@dataclass(frozen=True)
class Panel:
    """Lines over named places, and levels beside which they stand."""

    title: str
    series: Series
    levels: Mapping[str, Estimate] = field(default_factory=dict)


def forest(key: str, series: Series, label: str, unchanged: float = 0.0) -> str:
    """Estimates with intervals, a line for each place; within `unchanged` of 0 is no change."""
    places = _places(series.values())
    with rc_context(_STYLE):
        figure = _figure(7.5, 1.2 + len(places) * (0.14 + 0.11 * len(series)))
        axes = figure.add_subplot()
        axes.axvline(0, color=_PAGE, linewidth=0.8)
        if unchanged:
            axes.axvspan(-unchanged, unchanged, color=_PAGE, alpha=0.12, linewidth=0)
        for n, (name, colour, marker) in enumerate(_looks(series)):
            shift = 0.6 * (n - (len(series) - 1) / 2) / len(series)
            at = [places.index(place) + shift for place in series[name]]
            found = list(series[name].values())
            axes.errorbar(
                [e.mean for e in found], at, xerr=_reach(found), label=name,
                color=colour, marker=marker, linestyle="none", markersize=4, linewidth=1,
            )  # fmt: skip
        axes.set_yticks(range(len(places)), [_plain(place) for place in places])
        axes.set_ylim(len(places) - 0.5, -0.5)
        axes.set_xlabel(label)
        _legend(figure, len(series))
        return _svg(key, figure)


def lines(key: str, panels: Sequence[Panel], label: str) -> str:
    """Panels of estimates with intervals, over the same places."""
    places = _places(each for panel in panels for each in panel.series.values())
    columns = min(len(panels), 3)
    with rc_context(_STYLE):
        figure = _figure(7.5, 0.6 + 2.2 * -(-len(panels) // columns))
        for n, panel in enumerate(panels):
            axes = figure.add_subplot(-(-len(panels) // columns), columns, n + 1)
            _panel(axes, panel, places)
            axes.set_xlabel(label)
        drawn = {name for panel in panels for name in (*panel.series, *panel.levels)}
        _legend(figure, len(drawn))
        return _svg(key, figure)


def _panel(axes: Axes, panel: Panel, places: Sequence[str]) -> None:
    for n, (name, colour, marker) in enumerate(_looks([*panel.series, *panel.levels])):
        if name in panel.levels:
            level = panel.levels[name]
            axes.axhspan(level.low, level.high, color=colour, alpha=0.15, linewidth=0)
            axes.axhline(level.mean, color=colour, linestyle="--" if n % 2 else ":", label=name)
            continue
        found = panel.series[name]
        shift = 0.4 * (n - (len(panel.series) - 1) / 2) / len(panel.series)
        axes.errorbar(
            [places.index(place) + shift for place in found],
            [each.mean for each in found.values()],
            yerr=_reach(list(found.values())), label=name,
            color=colour, marker=marker, markersize=4, linewidth=1,
        )  # fmt: skip
    axes.set_title(_plain(panel.title))
    axes.set_xticks(range(len(places)), [_plain(place) for place in places])
    axes.set_xlim(-0.5, len(places) - 0.5)


def rounds(key: str, counts: Mapping[int, Count]) -> str:
    """Decisions of each round, stacked, above the share of the chances that were taken."""
    numbers = list(counts)
    heights = {
        "taken": [counts[number].taken for number in numbers],
        "not taken": [counts[number].chances - counts[number].taken for number in numbers],
        "forced, first participation": [counts[number].forced for number in numbers],
    }
    with rc_context(_STYLE):
        figure = _figure(7.5, 4)
        above, below = figure.subplots(2, 1, sharex=True)
        floor = [0] * len(numbers)
        for (name, each), colour, hatch in zip(
            heights.items(), (_COLOURS[1], _COLOURS[0], _PAGE), ("", "//", ".."), strict=True
        ):
            above.bar(
                numbers, each, bottom=floor, label=name, facecolor="none" if hatch else colour,
                edgecolor=colour, hatch=hatch, linewidth=0.6,
            )  # fmt: skip
            floor = [low + more for low, more in zip(floor, each, strict=True)]
        above.set_ylabel("decisions")
        shares = {n: counts[n].rate for n in numbers if counts[n].rate is not None}
        below.plot(list(shares), list(shares.values()), "o-", color=_COLOURS[1], markersize=3)
        below.set(xlabel="round", ylabel="share of chances taken", ylim=(-0.05, 1.05))
        _legend(figure, len(heights))
        return _svg(key, figure)


def _looks(names: Iterable[str]) -> list[tuple[str, str, str]]:
    """Each name's colour and marker."""
    return list(zip(names, cycle(_COLOURS), cycle(_MARKERS), strict=False))


def _places(series: Iterable[Mapping[str, Estimate]]) -> list[str]:
    return list(dict.fromkeys(place for each in series for place in each))


def _reach(found: Sequence[Estimate]) -> list[list[float]]:
    """How far intervals reach below and above their means (2, N)."""
    below = [max(each.mean - each.low, 0.0) for each in found]
    return [below, [max(each.high - each.mean, 0.0) for each in found]]


def _figure(width: float, height: float) -> Figure:
    return Figure(figsize=(width, height), layout="constrained")


def _legend(figure: Figure, n: int) -> None:
    """Above all panels, each name once."""
    if n > 1:
        found: dict[str, Any] = {}
        for axes in figure.axes:
            for handle, name in zip(*axes.get_legend_handles_labels(), strict=True):
                found.setdefault(name, handle)
        columns = max(_LEGEND // (max(map(len, found)) + 6), 1)
        figure.legend(
            handles=list(found.values()),
            labels=list(map(_plain, found)),
            loc="outside upper center",
            ncols=columns,
        )


def _plain(text: str) -> str:
    """Without the sign that begins a formula."""
    return text.replace("$", r"\$")


def _svg(key: str, figure: Figure) -> str:
    """The drawing alone, as it stands within a page: ids of its own, no style, no addresses."""
    file = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with rc_context({"svg.hashsalt": key}):
        figure.savefig(file, format="svg", transparent=True, metadata=nothing)
    opening, _, inside = file.getvalue().partition("<svg ")[2].partition(">")
    (box,) = re.findall(r'viewBox="[^"]*"', opening)
    inside = re.sub(r"<style.*?</style>", "", inside, flags=re.DOTALL)
    inside = re.sub(r'<g id="[^"]*"', "<g", inside.replace(_PAGE, "currentColor"))
    return f"<svg {box}>{inside.strip()}"
