"""The public data shared out by a division.

Every public sample goes to one client, task and split at most. Training and validation samples come
from the public training part, tests from the test part, where the data have one. A task's `whole`
is a test set of its own, in the public proportions, for all of the task's clients.
"""

import io
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
from division import SUBJECTS, TASKS, WHOLE, WHOLE_SIZES, Division, Sizes
from fashion import CLASSES, read
from federation import Sample, SplitName, TaskPart, check_disjoint
from headlines import reports
from packages import PrepareError
from PIL import Image
from sources import MAX_WORDS, Article, Drawing, Opinion, articles, digits, drawings, opinions
from torch import Tensor

_FASHION: Mapping[str, int] = {"train": 6000, "t10k": 3000}  # of both tasks


@dataclass(frozen=True)
class Kept:
    """A public sample, and what of its kind a client may have much or little of."""

    sample: Sample
    group: str


@dataclass
class Supply:
    """A task's public samples that nobody has yet, in random order; the last ones go first."""

    train: list[Kept]
    test: list[Kept]  # the same list where the data have no test part
    groups: list[str] = field(init=False)

    def __post_init__(self) -> None:
        self.groups = sorted({kept.group for kept in (*self.train, *self.test)})

    def of(self, split: SplitName) -> list[Kept]:
        """Where a split's samples come from."""
        return self.test if split == "test" else self.train


def build(packages: Path, fashion: Path, division: Division) -> list[TaskPart]:
    """Everyone's shares. Raises PrepareError."""
    supplies = _supplies(packages, fashion, random.Random(division.seed))  # noqa: S311 - to share out
    draw = np.random.default_rng(division.seed)
    parts = []
    for client, tasks in division.clients.items():
        sizes, alpha = division.sizes, division.alpha
        if client == WHOLE:
            sizes, alpha = WHOLE_SIZES, None
        parts += [_part(client, task, supplies[task], alpha, draw, sizes) for task in tasks]
    check_disjoint(parts)
    return parts


def _part(
    client: str,
    name: str,
    supply: Supply,
    alpha: float | None,
    draw: np.random.Generator,
    sizes: Sizes,
) -> TaskPart:
    """A client's share of a task; as much of each domain, and the same shares in all splits.

    As far as there are samples: a group that has run out goes to the others by their shares.
    """
    task = TASKS[name]
    shares = None if alpha is None else draw.dirichlet([alpha] * len(supply.groups))
    splits: dict[SplitName, list[Sample]] = {}
    for split, n in sizes.items():
        splits[split] = []
        for place, domain in enumerate(task.domains):
            count = (n + place) // len(task.domains)
            pool = supply.of(split)
            for _ in range(count):
                wanted = None if shares is None else dict(zip(supply.groups, shares, strict=True))
                splits[split].append(_drawn(pool, domain, wanted, draw).sample)
    return TaskPart(client, name, task.kind, task.modalities, splits, task.classes, task.domains)


def _drawn(
    pool: list[Kept],
    domain: str,
    shares: Mapping[str, float] | None,
    draw: np.random.Generator,
) -> Kept:
    """The next sample of the domain, of a group drawn by the shares among those that are left."""
    fits = [k for k in pool if (k.sample.domain or "general") == domain]
    if not fits:
        raise PrepareError(f"there are too few samples of domain {domain}: lower the sizes")
    if shares is not None:
        left = sorted({kept.group for kept in fits})
        weights = np.array([max(shares[group], 1e-9) for group in left])
        group = left[int(draw.choice(len(left), p=weights / weights.sum()))]
        fits = [kept for kept in fits if kept.group == group]
    pool.remove(fits[-1])
    return fits[-1]


def _supplies(packages: Path, fashion: Path, rng: random.Random) -> Mapping[str, Supply]:
    """All public samples by task."""
    supplies = {
        **_of_fashion(fashion),
        **_of_drawings(packages, rng),
        **_of_articles(packages),
        "digits": _one(
            Kept(Sample(d.origin, image=d.png, label=d.value), d.value) for d in digits()
        ),
        "opinions": _one(map(_opinion, (o for o in opinions(packages) if o.domain in SUBJECTS))),
    }
    for supply in supplies.values():
        rng.shuffle(supply.train)
        if supply.test is not supply.train:
            rng.shuffle(supply.test)
    return supplies


def _one(samples: Iterable[Kept]) -> Supply:
    """Of data without a test part of the same kind."""
    every = list(samples)
    return Supply(every, every)


def _of_fashion(files: Path) -> dict[str, Supply]:
    """Every other image of each part for each of the two tasks, and each content once."""
    parts = [list(_clothes(files, "train")), list(_clothes(files, "t10k"))]
    drawn = [[replace(k, sample=replace(k.sample, label=None)) for k in part] for part in parts]
    return {
        "clothes": Supply(*(part[::2] for part in parts)),
        "fashion": Supply(*(part[1::2] for part in drawn)),
    }


def _clothes(files: Path, part: Literal["train", "t10k"]) -> Iterable[Kept]:
    pixels, labels = read(files, part)
    seen: set[bytes] = set()
    for number in range(_FASHION[part]):
        png, name = _png(pixels[number]), CLASSES[int(labels[number])]
        if png not in seen:
            yield Kept(Sample(f"fashion-{part}-{number}", image=png, label=name), name)
        seen.add(png)


def _png(pixels: Tensor) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels.numpy()).save(file, "PNG")
    return file.getvalue()


def _of_drawings(packages: Path, rng: random.Random) -> dict[str, Supply]:
    """Every other drawing is asked about, the others are drawn again."""
    parts = [drawings(packages, "train"), drawings(packages, "test")]
    for part in parts:
        rng.shuffle(part)
    return {
        "drawings": Supply(*([_drawing(d) for d in part[::2]] for part in parts)),
        "vqa": Supply(*([k for d in part[1::2] if (k := _asked(d, rng))] for part in parts)),
    }


def _drawing(drawing: Drawing) -> Kept:
    return Kept(Sample(drawing.origin, image=drawing.png), drawing.colour or "unknown")


def _asked(drawing: Drawing, rng: random.Random) -> Kept | None:
    """One question about a drawing: kinds alike often, where it has questions of several."""
    kinds = sorted({question.kind for question in drawing.questions})
    if not kinds:
        return None
    kind = rng.choice(kinds)
    asked = rng.choice([q for q in drawing.questions if q.kind == kind])
    sample = Sample(drawing.origin, image=drawing.png, text=asked.text, target=asked.answer)
    return Kept(sample, kind)


def _of_articles(packages: Path) -> dict[str, Supply]:
    """Reports of which the headline can be told from the table, and all other articles."""
    parts = articles(packages)
    told = reports([article for part in parts for article in part])
    used = {report.origin for report in told}
    return {
        "headlines": _one(
            Kept(Sample(r.origin, text=r.table, target=r.announces), r.about) for r in told
        ),
        "topics": Supply(*([_topic(a) for a in part if a.origin not in used] for part in parts)),
    }


def _topic(article: Article) -> Kept:
    text = " ".join(article.words[:MAX_WORDS])
    return Kept(Sample(article.origin, text=text, label=article.topic), article.topic)


def _opinion(opinion: Opinion) -> Kept:
    sample = Sample(opinion.origin, text=opinion.text, target=opinion.label, domain=opinion.domain)
    return Kept(sample, opinion.label)
