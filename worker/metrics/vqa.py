"""The accuracy of VQA v2, over words as the base's tokenizer splits them."""

import re
from collections.abc import Sequence

from worker.metrics.texts import Said, Words, mean

_ARTICLES = frozenset({"a", "an", "the"})
_COUNTED = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_NUMBERS = {"none": "0"} | {word: str(number) for number, word in enumerate(_COUNTED)}
_APOSTROPHE = re.compile(r" ?['\u2019] ?")  # contractions are right without one
_THOUSANDS = re.compile(r"(?<=\d) , (?=\d)")
_DECIMAL = re.compile(r"(?<=\d) \. (?=\d)")
_PUNCTUATION = re.compile(r'[;/\[\]"{}()=+\\_\-<>@`,?!]|\.(?!\d)|(?<!\d)\.')


def vqa_accuracy(said: Said) -> float:
    """min(1, matches / 3), averaged over the answers with one left out; with one answer, a match.

    The formula is made for ten answers: with two, three or four the most is 1/3, 2/3 or 1.
    """
    given = normal(said.words)
    return _accuracy([normal(answer) == given for answer in said.answers])


def _accuracy(matches: Sequence[bool]) -> float:
    if len(matches) == 1:
        return float(matches[0])
    others = (sum(matches) - match for match in matches)
    return mean(min(1.0, n / 3) for n in others)


def normal(words: Words) -> str:
    """Lower case, without articles and punctuation, numbers up to ten as digits."""
    text = _APOSTROPHE.sub("", " ".join(words).lower())
    text = _DECIMAL.sub(".", _THOUSANDS.sub("", text))
    kept = (word for word in _PUNCTUATION.sub(" ", text).split() if word not in _ARTICLES)
    return " ".join(_NUMBERS.get(word, word) for word in kept)
