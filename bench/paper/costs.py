"""The page's sections on what a run did and took: replacements, bytes and budgets."""

from collections.abc import Mapping, Sequence

import decisions
import plots
from decisions import Count
from intervals import Estimate
from parts import Cell, Figure, Part, Section, Table, in_words, runs, source, waits
from tables import BUDGET, FEDAVG, TAP, Json, budgets, chosen, relative

_MB = 1e6
_WORDS = {name: name.replace("_", " ") for name in BUDGET}
_ALIKE = 0.005  # a smaller part is no difference of budgets


def replacements(results: Sequence[Json], family: str) -> Section:
    """When TAP replaces."""
    used, key = chosen(results, family=family, method=TAP), f"{family}-replacements"
    counts = decisions.by_round(used)
    parts: list[Part] = [waits("tap", family)]
    if counts:
        periods = decisions.by_period(used)
        said = "; ".join(
            f"{name}: {each.taken} of {each.chances} chances taken, {each.forced} forced"
            for name, each in periods.items()
        )
        drawn = plots.rounds(f"{key}-figure", counts)
        title = f"Decisions of each round, of {runs(len(used))} together."
        parts = [
            Figure(f"{key}-figure", title, said, drawn),
            _counts(f"{key}-periods", "Replacements by part of the rounds.", "rounds", periods),
            *_fall(f"{key}-fall", used),
            _counts(
                f"{key}-tasks", "Replacements by task.", "task", decisions.by_task(used)
            ),
            _counts(
                f"{key}-rounds", "Each round.", "round",
                {str(number): each for number, each in counts.items()}, folded=True,
            ),
        ]  # fmt: skip
    text = (
        "Claim 3: replacements cluster in the early rounds and then fall off. A first participation"
        " must replace, so it is counted as forced, and is no chance."
    )
    return Section(key, "Replacements over rounds", text, parts, source(used))


def _fall(key: str, used: Sequence[Json]) -> list[Part]:
    found = decisions.fall(used)
    if found is None:
        return []
    caption = "Share taken in the first third of the rounds less that in the last."
    heads, says = ["", "difference", "chances"], ("fell off", "rose")
    return [Table(key, caption, heads, [["all tasks", found, found.n]], says)]


def _counts(
    key: str, caption: str, head: str, counts: Mapping[str, Count], *, folded: bool = False
) -> Table:
    heads = [head, "forced, first participation", "chances", "taken", "share taken"]
    body = [[name, c.forced, c.chances, c.taken, c.rate] for name, c in counts.items()]
    return Table(key, caption, heads, body, folded=folded)


def costs(results: Sequence[Json], family: str) -> Section:
    """What a run of each method takes."""
    used, key = chosen(results, family=family), f"{family}-costs"
    parts: list[Part] = []
    if used:
        drawn = _figure(f"{key}-figure", relative(used, FEDAVG))
        parts = [
            *([drawn] if drawn else []),
            _bytes(f"{key}-bytes", used),
            _budgets(f"{key}-budgets", used),
        ]
    there = {result["run"]["method"] for result in used}
    absent = [method for method in (FEDAVG, TAP) if method not in there]
    parts += [waits(" and of ".join(absent), family)] if absent else []
    text = (
        "Claim 6: no more communication than FedAvg. A run is what all rows of its method come "
        "from: the rows fedavg and disentafl leave out the steps of stage two, which their runs' "
        "budgets have."
    )
    return Section(key, "Bytes and budgets", text, parts, source(used))


def _figure(key: str, to_fedavg: Mapping[str, Mapping[str, float]]) -> Figure | None:
    ways = {"up": "bytes_up", "down": "bytes_down"}
    series = {
        name: {
            method: Estimate(ratios[of] - 1, ratios[of] - 1, ratios[of] - 1, 1)
            for method, ratios in to_fedavg.items()
            if of in ratios
        }
        for name, of in ways.items()
    }
    if not any(series.values()):
        return None
    label = "bytes of a run less FedAvg's, as a share of FedAvg's"
    title = "What travels beside what FedAvg sends: at 0 it is as much."
    return Figure(key, title, in_words(series, "+.3f"), plots.forest(key, series, label))


def _bytes(key: str, used: Sequence[Json]) -> Table:
    to_fedavg = relative(used, FEDAVG)
    body: list[list[Cell]] = [
        [
            method,
            taken["bytes_up"] / _MB,
            to_fedavg.get(method, {}).get("bytes_up"),
            taken["bytes_down"] / _MB,
            to_fedavg.get(method, {}).get("bytes_down"),
        ]
        for method, taken in budgets(used).items()
    ]
    heads = ["method", "up, MB", "up / fedavg's", "down, MB", "down / fedavg's"]
    return Table(key, "Bytes of a run, mean over seeds; ratios on the seeds of both.", heads, body)


def _budgets(key: str, used: Sequence[Json]) -> Table:
    to_tap = relative(used, TAP)
    counted = [name for name in BUDGET if not name.startswith("bytes")]
    body: list[list[Cell]] = [
        [
            method,
            *(taken[name] for name in counted),
            (taken["bytes_up"] + taken["bytes_down"]) / _MB,
            "-" if method == TAP else _beside_tap(to_tap.get(method, {})),
            _validates(next(r["spec"] for r in used if r["run"]["method"] == method)),
            sum(result["run"]["method"] == method for result in used),
        ]
        for method, taken in budgets(used).items()
    ]
    heads = [
        "method",
        *(_WORDS[name] for name in counted),
        "MB",
        "beside TAP",
        "validation",
        "runs",
    ]
    caption = (
        "What a run takes, mean over seeds. Seconds are of a machine that did other work, too; "
        "CPU seconds are the run's own. What an earlier run has computed, bit for bit, counts as "
        "it did there. Where validation samples decide something, they are labelled samples beside "
        "those that are trained on, and looked at in seconds that count; tap's are for its guard."
    )
    return Table(key, caption, heads, body)


def _validates(spec: Json) -> str:
    """What validation samples decide in a run."""
    asked = spec["algorithm"]
    decides = {
        "replacement": asked.get("signal") == "validation",
        "margin": asked.get("margin") == "auto",
        "teacher": asked.get("teacher", "always") != "always",
        "guard": bool(asked.get("guard")),
    }
    return ", ".join(name for name, does in decides.items() if does) or "nothing"


def _beside_tap(ratios: Mapping[str, float]) -> str:
    """What is more and what is less than TAP's, seconds apart."""
    told = {name: ratio for name, ratio in ratios.items() if "seconds" not in name}
    if not told:
        return "no seed in common with TAP"
    more = [f"{_WORDS[n]} x {r:.2f}" for n, r in told.items() if r > 1 + _ALIKE]
    less = [f"{_WORDS[n]} x {r:.2f}" for n, r in told.items() if r < 1 - _ALIKE]
    parts = [f"more: {', '.join(more)}"] if more else []
    parts += [f"less: {', '.join(less)}"] if less else []
    return "; ".join(parts) or "the same"
