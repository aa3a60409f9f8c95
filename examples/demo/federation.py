"""Who has what: twelve clients, seven tasks, out of the public data, drawn with one seed.

Every public sample goes to at most one client, task and split. Tests and validations come from the
same distribution as the client's training samples, which differs from client to client.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

from headlines import Report, reports
from packages import PrepareError
from pools import Pool
from sources import (
    COLOURS,
    MAX_WORDS,
    SHAPES,
    Article,
    Digit,
    Drawing,
    Opinion,
    Question,
    articles,
    digits,
    drawings,
    opinions,
)

T = TypeVar("T")
SplitName = Literal["train", "validation", "test"]
Sizes = Mapping[SplitName, int]
SEED = 2611
VALIDATION, TEST = 60, 150

SHAPE_CLASSES = tuple(f"{colour} {shape}" for colour in COLOURS for shape in SHAPES)
TOPICS = ("acq", "crude", "earn", "grain", "interest", "money-fx", "ship", "trade")
BUSINESS = {"acq": 0.2, "crude": 0.2, "earn": 0.2, "trade": 0.2} | {
    "grain": 0.02,
    "interest": 0.065,
    "money-fx": 0.065,
    "ship": 0.05,
}  # grain is rare in the data
MARKETS = {"grain": 0.05, "interest": 0.28, "money-fx": 0.28, "ship": 0.17} | {
    "acq": 0.055,
    "crude": 0.055,
    "earn": 0.055,
    "trade": 0.055,
}
SENTIMENTS = ("negative", "positive")
DIGITS = tuple("0123456789")


@dataclass(frozen=True, slots=True)
class Sample:
    """One row of a split; `origin` names the public sample that it was made from."""

    origin: str
    image: bytes | None = None  # PNG
    text: str | None = None
    label: str | None = None
    target: str | None = None
    domain: str | None = None


@dataclass(frozen=True, slots=True)
class TaskPart:
    """One client's share of a task."""

    client: str
    task: str
    kind: str
    modalities: tuple[str, ...]
    splits: Mapping[SplitName, Sequence[Sample]]
    classes: tuple[str, ...] = ()
    domains: tuple[str, ...] = ("general",)


class Sources:
    """All public data, each kind in one pool for each split that it may go to."""

    def __init__(self, folder: Path, rng: random.Random) -> None:
        train, test = drawings(folder, "train"), drawings(folder, "test")
        self.drawings = _official("drawings", train, test, rng)
        self.digits = _one("digits", digits(), rng)
        old, new = articles(folder)
        found = reports([*old, *new])
        used = {report.origin for report in found}
        old, new = ([a for a in part if a.origin not in used] for part in (old, new))
        self.articles = _official("articles", old, new, rng)
        self.reports = _one("reports", found, rng)
        self.opinions = _one("opinions", opinions(folder), rng)


Pools = Mapping[SplitName, Pool[T]]


def _official(name: str, train: list[T], test: list[T], rng: random.Random) -> Pools[T]:
    """Train and validation from the official training part, tests from the official test part."""
    first = Pool(f"{name} (training part)", train, rng)
    return {"train": first, "validation": first, "test": Pool(f"{name} (test part)", test, rng)}


def _one(name: str, samples: list[T], rng: random.Random) -> Pools[T]:
    """All splits from one pool, where the data have no official test part of the same kind."""
    pool = Pool(name, samples, rng)
    return {"train": pool, "validation": pool, "test": pool}


def _draw(
    pools: Pools[T], n_train: int, group: Callable[[T], str | None], mix: Mapping[str, float]
) -> dict[SplitName, list[T]]:
    sizes: Sizes = {"train": n_train, "validation": VALIDATION, "test": TEST}
    return {split: pools[split].draw(n, group, mix) for split, n in sizes.items()}


def build(folder: Path) -> list[TaskPart]:
    """The whole federation. Raises PrepareError."""
    rng = random.Random(SEED)  # noqa: S311 - to share out, not to hide
    sources = Sources(folder, rng)
    cool, warm = ("blue", "gray", "green", "teal"), ("black", "brown", "red", "yellow")
    parts = [
        _shapes(sources, "c02", cool),  # before the questions: it needs drawings that are known
        _shapes(sources, "c04", warm),
        _questions(sources, "c01", {"colour": 0.8, "shape": 0.1, "yes": 0.05, "no": 0.05}),
        _questions(sources, "c02", {"colour": 0.1, "shape": 0.8, "yes": 0.05, "no": 0.05}),
        _questions(sources, "c03", {"colour": 0.1, "shape": 0.1, "yes": 0.4, "no": 0.4}),
        _digits(sources, "c05", DIGITS[:5]),
        _digits(sources, "c06", DIGITS[5:]),
        _pictures(sources, "c05", DIGITS[:5]),
        _pictures(sources, "c06", DIGITS[5:]),
        _topics(sources, "c07", BUSINESS),
        _topics(sources, "c08", MARKETS),
        _headlines(sources, "c09", {"quarter": 0.3, "results": 0.4, "dividend": 0.3}),
        _headlines(sources, "c10", {"quarter": 0.85, "results": 0.1, "dividend": 0.05}),
        _sentiment(sources, "c11", {"tweets": 0.7, "news": 0.35}),
        _sentiment(sources, "c12", {"films": 0.5, "products": 0.65}),
    ]
    check_disjoint(parts)
    return sorted(parts, key=lambda part: (part.client, part.task))


def _shapes(sources: Sources, client: str, colours: tuple[str, ...]) -> TaskPart:
    """Colour and shape of a drawing as easy-VQA's own questions tell them; mostly some colours."""

    def group(drawing: Drawing) -> str | None:
        known = drawing.colour and drawing.shape
        return f"{drawing.colour} {drawing.shape}" if known else None

    mix = {name: 0.85 if name.split()[0] in colours else 0.15 for name in SHAPE_CLASSES}
    drawn = _draw(sources.drawings, 120, group, mix)
    splits = {
        split: [Sample(d.origin, image=d.png, label=group(d)) for d in part]
        for split, part in drawn.items()
    }
    return TaskPart(client, "shapes", "image_classification", ("image",), splits, SHAPE_CLASSES)


def _questions(sources: Sources, client: str, mix: Mapping[str, float]) -> TaskPart:
    """One question about each drawing; mostly of one kind."""

    def question(drawing: Drawing) -> Question | None:
        kinds = sorted({q.kind for q in drawing.questions})
        if not kinds:
            return None
        choice = random.Random(f"{SEED} {drawing.origin}")  # noqa: S311 - to share out
        kind = choice.choice(kinds)
        return choice.choice([q for q in drawing.questions if q.kind == kind])

    def group(drawing: Drawing) -> str | None:
        asked = question(drawing)
        return asked.kind if asked else None

    drawn = _draw(sources.drawings, 160, group, mix)
    splits = {
        split: [
            Sample(d.origin, image=d.png, text=q.text, target=q.answer)
            for d in part
            if (q := question(d))
        ]
        for split, part in drawn.items()
    }
    return TaskPart(client, "shapes-vqa", "text_generation", ("image", "text"), splits)


def _drawn_digits(sources: Sources, often: tuple[str, ...]) -> Mapping[SplitName, Sequence[Digit]]:
    """Digits, some of them four times as often as the others."""
    mix = {digit: 0.8 if digit in often else 0.2 for digit in DIGITS}
    return _draw(sources.digits, 80, lambda digit: digit.value, mix)


def _pictures(sources: Sources, client: str, often: tuple[str, ...]) -> TaskPart:
    """Digits to be drawn again."""
    splits = {
        split: [Sample(d.origin, image=d.png) for d in part]
        for split, part in _drawn_digits(sources, often).items()
    }
    return TaskPart(client, "pictures", "image_generation", ("image",), splits)


def _digits(sources: Sources, client: str, often: tuple[str, ...]) -> TaskPart:
    """Digits to be named."""
    drawn = _drawn_digits(sources, often)
    splits = {
        split: [Sample(d.origin, image=d.png, label=d.value) for d in part]
        for split, part in drawn.items()
    }
    return TaskPart(client, "digits", "image_classification", ("image",), splits, DIGITS)


def _sentiment(sources: Sources, client: str, positive: Mapping[str, float]) -> TaskPart:
    """As many sentences of each domain; `positive` is the share of positive ones in it."""

    def group(opinion: Opinion) -> str:
        return f"{opinion.domain} {opinion.label}"

    mix = {
        f"{domain} {label}": share if label == "positive" else 1 - share
        for domain, share in positive.items()
        for label in SENTIMENTS
    }
    drawn = _draw(sources.opinions, 120, group, mix)
    splits = {
        split: [Sample(o.origin, text=o.text, label=o.label, domain=o.domain) for o in part]
        for split, part in drawn.items()
    }
    kind, domains = "text_classification", tuple(positive)
    return TaskPart(client, "sentiment", kind, ("text",), splits, SENTIMENTS, domains)


def _topics(sources: Sources, client: str, mix: Mapping[str, float]) -> TaskPart:
    """News topics; each client has mostly half of them."""

    def text(article: Article) -> str:
        return " ".join(article.words[:MAX_WORDS])

    drawn = _draw(sources.articles, 120, lambda article: article.topic, mix)
    splits = {
        split: [Sample(a.origin, text=text(a), label=a.topic) for a in part]
        for split, part in drawn.items()
    }
    return TaskPart(client, "topics", "text_classification", ("text",), splits, TOPICS)


def _headlines(sources: Sources, client: str, mix: Mapping[str, float]) -> TaskPart:
    """What a report's headline announces, from its table; reports of different things."""

    def about(report: Report) -> str:
        return report.about

    drawn = _draw(sources.reports, 120, about, mix)
    splits = {
        split: [Sample(r.origin, text=r.table, target=r.announces) for r in part]
        for split, part in drawn.items()
    }
    return TaskPart(client, "headlines", "text_generation", ("text",), splits)


def check_disjoint(parts: Sequence[TaskPart]) -> None:
    """No public sample, and no content, is anywhere twice. Raises PrepareError.

    The content is what makes it the same sample: the image where there is one (another question
    about it is no new sample), else the text.
    """
    where: dict[object, str] = {}
    for part in parts:
        for split, samples in part.splits.items():
            for sample in samples:
                place = f"{part.client} {part.task} {split}"
                content = sample.image or " ".join((sample.text or "").casefold().split())
                for key in (sample.origin, content):
                    if key in where:
                        raise PrepareError(
                            f"{sample.origin} is in {place} and its like in {where[key]}: "
                            "leave one of them out"
                        )
                    where[key] = place
