"""Makes worker/data/vocabulary.txt: `make_vocabulary.py --cache DIR [--out FILE]`.

A lower-case WordPiece vocabulary of the demo's public texts, without any text that a client
validates or tests on. Counting and sorting only, so the same bytes come out every time.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from federation import build
from headlines import reports
from packages import PrepareError, obtain
from sources import articles, drawings, opinions

from worker.data.tokenizer import SPECIAL, VOCABULARY, words

SIZE = 4096
_WHOLE_WORDS = 3200
_LONGEST_PIECE = 6  # characters
_ASCII = tuple(chr(code) for code in range(33, 127) if not chr(code).isupper())


def training_texts(folder: Path) -> Iterator[str]:
    """The public training texts, the ends of long ones too, without what clients are tested on."""
    held_out = {
        sample.origin
        for part in build(folder)
        for split, samples in part.splits.items()
        for sample in samples
        if split != "train"
    }
    old, new = articles(folder)
    newer = {report.origin for report in reports(new)}
    for article in (*old, *(a for a in new if a.origin in newer)):
        if article.origin not in held_out:
            yield " ".join(article.words)
    for opinion in opinions(folder):
        if opinion.origin not in held_out:
            yield opinion.text
    for drawing in drawings(folder, "train"):
        if drawing.origin not in held_out:
            yield from (f"{question.text} {question.answer}" for question in drawing.questions)


def vocabulary(texts: Iterable[str]) -> list[str]:
    """Special tokens, characters alone and inside words, frequent words, frequent pieces."""
    counts = Counter(word for text in texts for word in words(text))
    entries = [*SPECIAL, *_ASCII, *(f"##{character}" for character in _ASCII)]
    entries += _most_frequent(counts, entries, _WHOLE_WORDS)
    rare = {word: count for word, count in counts.items() if word not in set(entries)}
    entries += _most_frequent(_pieces(rare), entries, SIZE - len(entries))
    return entries


def _pieces(counts: Mapping[str, int]) -> Counter[str]:
    """How many characters each beginning and each ending of the words would stand for."""
    pieces: Counter[str] = Counter()
    for word, count in counts.items():
        if word.isascii():
            for length in range(2, min(_LONGEST_PIECE, len(word) - 1) + 1):
                pieces[word[:length]] += count * (length - 1)
                pieces[f"##{word[-length:]}"] += count * (length - 1)
    return pieces


def _most_frequent(counts: Mapping[str, int], known: Iterable[str], n: int) -> list[str]:
    """The `n` most frequent that are not known, in alphabetical order."""
    seen = set(known)
    new = sorted((-count, entry) for entry, count in counts.items() if entry not in seen)
    return sorted(entry for _, entry in new[:n])


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, required=True, help="where downloads are kept")
    parser.add_argument("--out", type=Path, default=VOCABULARY, help="the vocabulary file")
    options = parser.parse_args()
    packages = options.cache / "packages"
    try:
        obtain(packages)
        entries = vocabulary(training_texts(packages))
    except PrepareError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    options.out.write_text("".join(f"{e}\n" for e in entries), encoding="utf-8", newline="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
