"""How near generated texts are to the right answers, by their words."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

Words = Sequence[str]


@dataclass(frozen=True)
class Said:
    """One generated text, and the right answers to it, the target first; all as words."""

    words: Words
    answers: tuple[Words, ...]

    def best(self, score: Callable[[Words, Words], float]) -> float:
        """The score against the nearest answer."""
        return max(score(self.words, answer) for answer in set(map(tuple, self.answers)))


def token_f1(given: Words, wanted: Words) -> float:
    """Harmonic mean of precision and recall of words; with all words, those SQuAD drops too."""
    a, b = Counter(given), Counter(wanted)
    common = (a & b).total()
    return 2 * common / (a.total() + b.total()) if common else float(not a and not b)


def rouge_l(said: Said) -> float:
    """F-measure of the longest common subsequence, against the nearest answer.

    Words without a letter or digit do not count, as in the usual ROUGE; letters of all scripts are
    letters. 0 where a side has no words.
    """
    from torchmetrics.functional.text import rouge_score  # noqa: PLC0415 - costs seconds

    found = rouge_score(
        [" ".join(said.words)],
        [[" ".join(answer) for answer in said.answers]],
        accumulate="best",
        rouge_keys="rougeL",
        normalizer=str,
        tokenizer=_spoken,
    )
    return float(found["rougeL_fmeasure"])


def _spoken(text: str) -> list[str]:
    return [word for word in text.split() if any(map(str.isalnum, word))]


def mean(values: Iterable[float]) -> float:
    """The mean of at least one value."""
    found = list(values)
    return sum(found) / len(found)
