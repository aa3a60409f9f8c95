"""Draws the data of the two example clients: parts of machines, and what people write about them.

`python examples/clients/draw.py DIR` writes them below DIR; those beside this file were made so.
Everything comes from seeds: the same pixels and texts each time.
"""

import csv
import json
import math
import random
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from PIL import Image, ImageDraw

SIZE = 48  # pixels
SPECKS = 24
COLOURS = {
    "blue": (40, 70, 190),
    "brown": (130, 80, 40),
    "green": (40, 140, 60),
    "red": (200, 40, 40),
}
MESSAGES = {
    "order": (
        ("New order", "Order for {day}", "We need parts"),
        ("please send {n} {parts} by {day}", "we would like {n} more {parts}, {colour} ones"),
    ),
    "complaint": (
        ("Broken parts", "Wrong delivery", "Late again"),
        (
            "{n} of the {parts} came broken on {day}",
            "you sent {colour} {parts}, we do not want {n}",
        ),
    ),
    "question": (
        ("A question", "Do you have this?", "What is the price"),
        ("what do {n} {colour} {parts} cost", "can you deliver {n} {parts} until {day}"),
    ),
}
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday")

Point = tuple[float, float]
Colour = tuple[int, int, int]
Shape = Callable[[ImageDraw.ImageDraw, Point, float, float, Colour], None]
_HOLE = (245, 245, 240)


def _ring(centre: Point, radius: float, corners: int, turn: float) -> list[Point]:
    """The corners of a regular polygon."""
    x, y = centre
    angles = [turn + 2 * math.pi * i / corners for i in range(corners)]
    return [(x + radius * math.cos(a), y + radius * math.sin(a)) for a in angles]


def _round(draw: ImageDraw.ImageDraw, centre: Point, radius: float, colour: Colour) -> None:
    x, y = centre
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)


def _bolt(
    draw: ImageDraw.ImageDraw, centre: Point, radius: float, turn: float, colour: Colour
) -> None:
    x, y = centre
    end = (x + 1.5 * radius * math.cos(turn), y + 1.5 * radius * math.sin(turn))
    draw.line([centre, end], fill=colour, width=max(2, int(radius / 2)))
    draw.polygon(_ring(centre, 0.7 * radius, 6, turn), fill=colour)


def _gear(
    draw: ImageDraw.ImageDraw, centre: Point, radius: float, turn: float, colour: Colour
) -> None:
    for tooth in _ring(centre, radius, 8, turn):
        draw.line([centre, tooth], fill=colour, width=max(2, int(radius / 3)))
    _round(draw, centre, 0.75 * radius, colour)
    _round(draw, centre, 0.25 * radius, _HOLE)


def _nut(
    draw: ImageDraw.ImageDraw, centre: Point, radius: float, turn: float, colour: Colour
) -> None:
    draw.polygon(_ring(centre, radius, 6, turn), fill=colour)
    _round(draw, centre, 0.45 * radius, _HOLE)


def _spring(
    draw: ImageDraw.ImageDraw, centre: Point, radius: float, turn: float, colour: Colour
) -> None:
    x, y = centre
    ahead, aside = (math.cos(turn), math.sin(turn)), (-math.sin(turn), math.cos(turn))
    turns = [(radius * (i - 3) / 3, radius * (0.5 if i % 2 else -0.5)) for i in range(7)]
    path = [(x + a * ahead[0] + b * aside[0], y + a * ahead[1] + b * aside[1]) for a, b in turns]
    draw.line(path, fill=colour, width=2)


PARTS: dict[str, Shape] = {"bolt": _bolt, "gear": _gear, "nut": _nut, "spring": _spring}


def picture(dice: random.Random, part: str, colour: str) -> Image.Image:
    """A part, somewhere, on paper that is nearly white and not clean, (SIZE, SIZE) RGB."""
    paper = tuple(dice.randint(225, 250) for _ in range(3))
    image = Image.new("RGB", (SIZE, SIZE), paper)
    for _ in range(SPECKS):
        spot = (dice.randrange(SIZE), dice.randrange(SIZE))
        _round(ImageDraw.Draw(image), spot, dice.uniform(0.5, 2), (dice.randint(200, 255),) * 3)
    centre = (dice.uniform(17, SIZE - 17), dice.uniform(17, SIZE - 17))
    radius, turn = dice.uniform(9, 16), dice.uniform(0, 2 * math.pi)
    PARTS[part](ImageDraw.Draw(image), centre, radius, turn, COLOURS[colour])
    return image


def message(dice: random.Random, topic: str) -> tuple[str, str]:
    """The subject and the body of a message."""
    subjects, bodies = MESSAGES[topic]
    words = {
        "n": dice.randint(2, 99),
        "parts": f"{dice.choice(list(PARTS))}s",
        "colour": dice.choice(list(COLOURS)),
        "day": dice.choice(DAYS),
    }
    return dice.choice(subjects).format(**words), dice.choice(bodies).format(**words)


def messages(dice: random.Random, n: int) -> Iterator[tuple[str, str, str]]:
    """Different messages: subject, body, topic."""
    seen: set[str] = set()
    while len(seen) < n:
        topic = list(MESSAGES)[len(seen) % len(MESSAGES)]
        subject, body = message(dice, topic)
        if body not in seen:
            seen.add(body)
            yield subject, body, topic


def write_shop(root: Path) -> None:
    """A folder of images for each class; a .csv whose topics are codes, and one row is empty."""
    dice = random.Random("shop")  # noqa: S311  # pictures are no secret
    for part in PARTS:
        (root / "parts" / part).mkdir(parents=True)
        for number in range(16):
            image = picture(dice, part, dice.choice(["blue", "green"]))
            image.save(root / "parts" / part / f"{number:02}.png", optimize=True)
    codes = {topic: f"T{number}" for number, topic in enumerate(MESSAGES, 1)}
    rows = [(s, b, codes[t]) for s, b, t in messages(dice, 60)]
    rows.insert(41, ("Forwarded", "", "T1"))
    _table(root / "mail.csv", ("subject", "body", "topic"), rows, ",")


def write_lab(root: Path) -> None:
    """A .tsv that names images, one of messages, and questions about pictures as .jsonl."""
    dice = random.Random("lab")  # noqa: S311  # pictures are no secret
    (root / "pictures").mkdir(parents=True)
    shown = []
    for number in range(60):
        part, colour = list(PARTS)[number % len(PARTS)], dice.choice(list(COLOURS))
        name = f"{number:02}.png"
        picture(dice, part, colour).save(root / "pictures" / name, optimize=True)
        shown.append((name, part, colour))
    rows = [(name, part.upper()) for name, part, _ in shown]
    _table(root / "parts.tsv", ("file", "what"), rows, "\t")
    written = [(f"{s}: {b}", topic) for s, b, topic in messages(dice, 45)]
    _table(root / "notes.tsv", ("text", "label"), written, "\t")
    lines = [json.dumps(asked) + "\n" for each in shown for asked in _questions(dice, *each)]
    (root / "questions.jsonl").write_text("".join(lines), encoding="utf-8")


def _questions(
    dice: random.Random, name: str, part: str, colour: str
) -> Iterator[dict[str, object]]:
    yield {"picture": name, "question": "which part is this?", "answer": part}
    asked = dice.choice(list(COLOURS))
    answer = "yes" if asked == colour else "no"
    yield {"picture": name, "question": f"is the {part} {asked}?", "answer": answer}


def _table(path: Path, header: Sequence[str], rows: Sequence[Sequence[str]], comma: str) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter=comma, lineterminator="\n").writerows([header, *rows])


def main(root: Path) -> None:
    """Write the data of both clients below a directory."""
    write_shop(root / "shop")
    write_lab(root / "lab")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
