"""Text to token ids and back, with the WordPiece of BERT that FLAVA and ViLT use.

On the `tokenizers` library directly: no state to set, no padding or truncation remembered between
calls, and no way to load a vocabulary that is then silently ignored.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import tokenizers
from pydantic import BaseModel, ConfigDict, ValidationError
from tokenizers import decoders, models, normalizers, pre_tokenizers

if TYPE_CHECKING:
    from torch import LongTensor

PAD, UNKNOWN, START, END, MASK = "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"
VOCABULARY = Path(__file__).with_name("vocabulary.txt")  # the one that comes with Tapestry
SPECIAL = (PAD, UNKNOWN, START, END, MASK)


class TokenizerError(Exception):
    """A vocabulary that cannot be used."""


class Normalization(BaseModel):
    """How BERT's tokenizers read a text, as far as `tokenizer_config.json` says it."""

    model_config = ConfigDict(strict=True, frozen=True)

    do_lower_case: bool = True
    strip_accents: bool | None = None  # where nothing is said, if all is lower case
    tokenize_chinese_chars: bool = True

    @property
    def normalizer(self) -> normalizers.Normalizer:
        """The same for the library."""
        return normalizers.BertNormalizer(
            lowercase=self.do_lower_case,
            strip_accents=self.strip_accents,
            handle_chinese_chars=self.tokenize_chinese_chars,
        )


AS_USUAL = Normalization()


@dataclass(frozen=True)
class Tokenizer:
    """A vocabulary at work. Texts are padded and cut by the caller's length, never by state."""

    backend: tokenizers.Tokenizer
    pad_id: int
    start_id: int
    end_id: int

    @classmethod
    def from_vocabulary(cls, path: Path, normalization: Normalization = AS_USUAL) -> "Tokenizer":
        """From a WordPiece vocabulary, one entry a line. Raises TokenizerError."""
        try:
            entries = path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
        except (OSError, UnicodeDecodeError) as error:
            raise TokenizerError(
                f"{path}: the vocabulary cannot be read as UTF-8 text; check the path"
            ) from error
        if len(set(entries)) != len(entries):
            raise TokenizerError(f"{path}: an entry stands twice; remove the repetition")
        return cls._made(_word_piece(entries, normalization), path)

    @classmethod
    def from_directory(cls, directory: Path) -> "Tokenizer":
        """From a directory in the hub's format. Raises TokenizerError."""
        whole, words = directory / "tokenizer.json", directory / "vocab.txt"
        if whole.is_file():
            return cls._made(_from_json(whole), whole)
        if words.is_file():
            return cls.from_vocabulary(words, _said(directory / "tokenizer_config.json"))
        raise TokenizerError(f"{directory}: has neither tokenizer.json nor vocab.txt; add one")

    @classmethod
    def _made(cls, backend: tokenizers.Tokenizer, path: Path) -> "Tokenizer":
        ids = backend.get_vocab(with_added_tokens=True)
        lacking = [token for token in SPECIAL if token not in ids]
        if lacking:
            raise TokenizerError(f"{path}: lacks {', '.join(lacking)}; add them")
        return cls(backend, ids[PAD], ids[START], ids[END])

    @property
    def vocab_size(self) -> int:
        """Number of entries; ids are below it."""
        return len(self.vocabulary)

    @cached_property
    def vocabulary(self) -> tuple[str, ...]:
        """All entries, by id."""
        ids: Mapping[str, int] = self.backend.get_vocab(with_added_tokens=True)
        return tuple(sorted(ids, key=ids.__getitem__))

    def encode(self, texts: Sequence[str], length: int) -> "LongTensor":
        """[CLS], tokens, [SEP], then padding; longer texts lose their end, never the [SEP].

        Returns (N, length). Raises ValueError for a length below 2.
        """
        if length < 2:
            raise ValueError("length must leave room for the start and the end token")
        import torch  # noqa: PLC0415 - takes seconds, and the doctor only counts

        ids = torch.full((len(texts), length), self.pad_id, dtype=torch.int64)
        for row, text in enumerate(texts):
            tokens = self.backend.encode(text, add_special_tokens=False).ids[: length - 2]
            line = [self.start_id, *tokens, self.end_id]
            ids[row, : len(line)] = torch.tensor(line)
        return ids  # type: ignore[return-value]  # torch.full of int64 is a LongTensor

    def count(self, text: str) -> int:
        """Tokens of a whole text, start and end included."""
        return len(self.backend.encode(text, add_special_tokens=False).ids) + 2

    def encode_target(self, texts: Sequence[str], length: int) -> "LongTensor":
        """What a decoder learns to say: the start token, the text, the end token, then padding.

        Returns (N, length). The end token is always there, so that a cut text still ends.
        """
        return self.encode(texts, length)

    def decode(self, ids: Iterable[int]) -> str:
        """The text up to the first end token; start and padding tokens say nothing."""
        said = []
        for token in ids:
            if token == self.end_id:
                break
            if token not in {self.start_id, self.pad_id}:
                said.append(int(token))
        text: str = self.backend.decode(said, skip_special_tokens=False)
        return text

    def words(self, text: str) -> list[str]:
        """The words that its pieces are made of: case, accents and spaces as it knows them."""
        normalizer, splitter = self.backend.normalizer, self.backend.pre_tokenizer
        plain = text if normalizer is None else normalizer.normalize_str(text)
        if splitter is None:
            return plain.split()
        return [word for word, _ in splitter.pre_tokenize_str(plain)]


def words(text: str) -> list[str]:
    """The words into which a lower-case vocabulary's normalization splits a text."""
    plain = AS_USUAL.normalizer.normalize_str(text)
    return [word for word, _ in pre_tokenizers.BertPreTokenizer().pre_tokenize_str(plain)]


def _word_piece(entries: Sequence[str], normalization: Normalization) -> tokenizers.Tokenizer:
    vocabulary = {entry: number for number, entry in enumerate(entries)}
    model = models.WordPiece(vocabulary, unk_token=UNKNOWN, max_input_chars_per_word=100)
    backend = tokenizers.Tokenizer(model)
    backend.normalizer = normalization.normalizer
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.decoder = decoders.WordPiece(prefix="##", cleanup=True)
    return backend


def _said(path: Path) -> Normalization:
    """What the file says, if it is there. Raises TokenizerError."""
    try:
        return Normalization.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return AS_USUAL
    except ValidationError as error:
        wrong = ", ".join(sorted({str(each["loc"][0]) for each in error.errors() if each["loc"]}))
        raise TokenizerError(
            f"{path}: {wrong or 'the file'} cannot be read; restore the file, or set "
            f"{', '.join(Normalization.model_fields)} to true or false there"
        ) from error


def _from_json(path: Path) -> tokenizers.Tokenizer:
    try:
        backend = tokenizers.Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises bare Exception
        raise TokenizerError(
            f"{path}: is not a tokenizer of the tokenizers library ({error}); restore the file"
        ) from error
    backend.no_padding()  # saved settings would fight with `encode`
    backend.no_truncation()
    backend.encode_special_tokens = True  # a text that says "[SEP]" is a text
    return backend
