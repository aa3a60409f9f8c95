"""METEOR out of nltk: with WordNet's synonyms where there is one, else by words and stems alone."""

import warnings
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from worker.metrics.errors import MetricError
from worker.metrics.texts import Said, Words

_CORPUS = "corpora/wordnet"
_KEPT = 1 << 16  # words whose stems and synonyms are remembered


class _Stems:
    """nltk's Porter stemmer, each word once."""

    def __init__(self) -> None:
        from nltk.stem.porter import PorterStemmer  # noqa: PLC0415 - costs seconds

        self.stem = lru_cache(_KEPT)(PorterStemmer().stem)


class _Synonyms:
    """WordNet's sets of synonyms, each word once; none without a WordNet."""

    def __init__(self, reader: Any | None) -> None:
        self._reader = reader
        self.synsets = lru_cache(_KEPT)(self._synsets)

    def close(self) -> None:
        """Let go of WordNet's files."""
        if self._reader is not None:
            self._reader.close()

    def _synsets(self, word: str) -> Sequence[Any]:
        return () if self._reader is None else self._reader.synsets(word)


class Meteor:
    """METEOR with nltk's parameters (alpha 0.9, beta 3, gamma 0.5)."""

    def __init__(self, wordnet: str | None) -> None:
        """Raises MetricError where there is no WordNet in the directory."""
        self.name = "meteor_exact_stem" if wordnet is None else "meteor"
        self._synonyms = _Synonyms(None if wordnet is None else _reader(wordnet))
        self._stems = _Stems()
        self.close = self._synonyms.close

    def __call__(self, said: Said) -> float:
        """The score against the nearest answer."""
        return said.best(self._score)

    def _score(self, given: Words, wanted: Words) -> float:
        from nltk.translate.meteor_score import single_meteor_score  # noqa: PLC0415 - likewise

        return float(
            single_meteor_score(wanted, given, stemmer=self._stems, wordnet=self._synonyms)
        )


@lru_cache(maxsize=1)
def load_meteor(wordnet: str | None) -> Meteor:
    """Loaded once in a process. Raises MetricError."""
    return Meteor(wordnet)


def _reader(directory: str) -> Any:
    """WordNet below a directory. Raises MetricError."""
    import nltk  # noqa: PLC0415 - costs seconds
    from nltk.corpus.reader.wordnet import WordNetCorpusReader  # noqa: PLC0415 - likewise

    class English(WordNetCorpusReader):  # type: ignore[misc]  # nltk has no types
        """English alone: the mapping of other languages wants files that METEOR does not."""

        def map_wn(self, version: str = "wordnet") -> None:
            """None."""

        def close(self) -> None:
            """Close the files of synonyms, which stay open for the next word."""
            for file in self._data_file_map.values():
                file.close()

    place = Path(directory).resolve()
    try:
        _check_directory(place / _CORPUS)
        if str(place) not in nltk.data.path:
            nltk.data.path.append(str(place))  # nltk reads below these directories only
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that there are no other languages
            return English(nltk.data.FileSystemPathPointer(str(place / _CORPUS)), None)
    except Exception as error:  # of many kinds: nltk checks, asserts and parses
        said = str(error).strip().partition("\n")[0] or type(error).__name__
        raise MetricError(
            f"evaluation.wordnet {directory!r} holds no {_CORPUS} that nltk reads ({said}): put "
            "WordNet's files there with lexnames, or leave wordnet out of the job"
        ) from error


def _check_directory(path: Path) -> None:
    if not path.is_dir():  # nltk would name a file in it
        raise FileNotFoundError("there is no such directory")
