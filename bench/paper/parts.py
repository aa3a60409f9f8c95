"""What the page is made of: sections of figures, tables and sentences, and where they come from."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from intervals import Estimate
from tables import Json

Cell = str | int | float | Estimate | None


@dataclass(frozen=True)
class Table:
    """Rows of cells below heads; a row's first cell is its head."""

    key: str
    caption: str
    heads: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    says: tuple[str, str] | None = None  # of a difference whose interval is above 0, or below
    folded: bool = False  # long, and shown when it is asked for


@dataclass(frozen=True)
class Figure:
    """A drawing, with what it shows in words."""

    key: str
    caption: str
    alternative: str
    svg: str


Part = Table | Figure | str  # a sentence


@dataclass(frozen=True)
class Section:
    """One question to the results, and all that answers it."""

    key: str
    title: str
    text: str
    parts: Sequence[Part]
    source: str


def source(results: Iterable[Json]) -> str:
    """What made results: commands, commits, machines where they are known; and how many runs."""
    found: Counter[tuple[str, str, str]] = Counter()
    for result in results:
        machine = f" on {result['machine']}" if "machine" in result else ""
        found[str(result["command"]), short(str(result["commit"])), machine] += 1
    each = [f"{runs(n)} by `{how}` at {at}{on}" for (how, at, on), n in sorted(found.items())]
    return "; ".join(each)


def short(commit: str) -> str:
    """A commit's first digits, and what is said behind its hash of files that differ."""
    digits, dash, rest = commit.partition("-")
    return digits[:7] + dash + rest


def runs(n: int) -> str:
    """So many runs, in words."""
    return f"{n} run" if n == 1 else f"{n} runs"


def waits(what: str, family: str) -> str:
    """The sentence in the place of what has no data."""
    return f"Waits for runs of {what} ({family})."


def kinds(results: Iterable[Json]) -> Mapping[str, str]:
    """Each task's kind, in words."""
    return {
        task: str(described["kind"]).replace("_", " ")
        for result in results
        for task, described in result["spec"]["tasks"].items()
    }


def metrics(results: Iterable[Json]) -> Mapping[str, str]:
    """Each task's metric."""
    return {s["task"]: str(s["metric"]) for result in results for s in result["scores"]}


def in_words(series: Mapping[str, Mapping[str, Estimate]], form: str = ".3f") -> str:
    """What a drawing of estimates shows."""
    return "; ".join(
        f"{name}: " + ", ".join(f"{place} {each.mean:{form}}" for place, each in found.items())
        for name, found in series.items()
    )


def headed(tasks: Iterable[str], behind: Mapping[str, str]) -> list[str]:
    """Heads of tasks' columns, with what else is to be said of each."""
    return [f"{task} ({behind[task]})" for task in tasks]
