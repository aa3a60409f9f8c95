"""The tokenizer: ids of the right form, and texts that come back."""

import json
import shutil
from pathlib import Path

import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import BertTokenizer

from worker.data.tokenizer import SPECIAL, VOCABULARY, Tokenizer, TokenizerError, words

pytestmark = pytest.mark.unit

TOKENIZER = Tokenizer.from_vocabulary(VOCABULARY)
SMALL = [*SPECIAL, "red", "blue", "is", "the", "shape", "##s", "?"]


@pytest.fixture
def small(tmp_path: Path) -> Tokenizer:
    path = tmp_path / "vocab.txt"
    path.write_text("\n".join(SMALL) + "\n", encoding="utf-8")
    return Tokenizer.from_vocabulary(path)


def test_ids_are_line_numbers(small: Tokenizer) -> None:
    assert (small.pad_id, small.start_id, small.end_id) == (0, 2, 3)
    assert small.vocab_size == len(SMALL)
    assert small.vocabulary == tuple(SMALL)
    assert small.encode(["Is the SHAPES red?"], 9).tolist() == [[2, 7, 8, 9, 10, 5, 11, 3, 0]]


def test_unknown_words_are_marked(small: Tokenizer) -> None:
    assert small.encode(["green red"], 5).tolist() == [[2, 1, 5, 3, 0]]


def test_a_long_text_is_cut_and_still_ends(small: Tokenizer) -> None:
    assert small.encode(["red red red red", "blue"], 4).tolist() == [[2, 5, 5, 3], [2, 6, 3, 0]]
    assert small.encode_target(["red red red red"], 3).tolist() == [[2, 5, 3]]


def test_no_texts_and_empty_texts(small: Tokenizer) -> None:
    assert tuple(small.encode([], 4).shape) == (0, 4)
    assert small.encode([""], 4).tolist() == [[2, 3, 0, 0]]


def test_calls_do_not_change_each_other(small: Tokenizer) -> None:
    before = small.encode(["red"], 8)
    small.encode(["red red red"], 3)
    assert small.encode(["red"], 8).equal(before)


def test_a_length_without_room_is_refused(small: Tokenizer) -> None:
    with pytest.raises(ValueError, match="room"):
        small.encode(["red"], 1)


def test_decoding_stops_at_the_first_end(small: Tokenizer) -> None:
    assert small.decode([2, 9, 10, 5, 3, 6, 3]) == "shapes red"
    assert small.decode([3, 5]) == ""
    assert small.decode([]) == ""
    assert small.decode(small.encode_target(["red?"], 6)[0].tolist()) == "red?"


@settings(max_examples=200)
@given(st.text(), st.integers(2, 12))
def test_any_text_gives_one_start_one_end_then_padding(text: str, length: int) -> None:
    (ids,) = TOKENIZER.encode([text], length).tolist()
    assert len(ids) == length
    end = ids.index(TOKENIZER.end_id)
    assert ids[0] == TOKENIZER.start_id
    assert set(ids[end + 1 :]) <= {TOKENIZER.pad_id}
    assert all(0 <= token < TOKENIZER.vocab_size for token in ids)


@given(st.lists(st.sampled_from(TOKENIZER.vocabulary[2000:2200]), min_size=1, max_size=8))
def test_words_of_the_vocabulary_come_back(chosen: list[str]) -> None:
    text = " ".join(word for word in chosen if word.isalpha()) or "net"
    assert TOKENIZER.decode(TOKENIZER.encode([text], 40)[0].tolist()) == text


def test_the_shipped_vocabulary() -> None:
    assert TOKENIZER.vocab_size == 4096
    assert TOKENIZER.vocabulary[:5] == SPECIAL
    assert TOKENIZER.pad_id == 0
    printable = "".join(map(chr, range(33, 127)))
    assert 1 not in TOKENIZER.encode([printable, " ".join(printable)], 400)


def test_words_are_normalized_like_the_tokenizer_does() -> None:
    assert words("What's NEW, café?") == ["what", "'", "s", "new", ",", "cafe", "?"]


def test_hub_directory_with_tokenizer_json(small: Tokenizer, tmp_path: Path) -> None:
    small.backend.enable_padding(length=30)
    small.backend.enable_truncation(4)
    small.backend.save(str(tmp_path / "tokenizer.json"))
    again = Tokenizer.from_directory(tmp_path)
    assert again.encode(["is the shape red?"], 8).tolist() == [[2, 7, 8, 9, 5, 11, 3, 0]]
    assert again.vocabulary == small.vocabulary


def test_a_text_that_names_special_tokens_is_a_text(small: Tokenizer, tmp_path: Path) -> None:
    """Saved by a hub's library the tokens are special; in somebody's text they are words."""
    hub = tokenizers.Tokenizer.from_str(small.backend.to_str())
    hub.add_special_tokens(list(SPECIAL))
    hub.save(str(tmp_path / "tokenizer.json"))
    again = Tokenizer.from_directory(tmp_path)
    [line] = again.encode(["[SEP] red [PAD]"], 16).tolist()
    end = line.index(again.end_id)
    assert again.pad_id not in line[:end]
    assert set(line[end + 1 :]) == {again.pad_id}
    assert again.encode(["[SEP] red"], 16).tolist() == small.encode(["[SEP] red"], 16).tolist()


def test_hub_directory_with_vocabulary_only(tmp_path: Path) -> None:
    shutil.copy(VOCABULARY, tmp_path / "vocab.txt")
    assert Tokenizer.from_directory(tmp_path).vocabulary == TOKENIZER.vocabulary


@pytest.mark.parametrize(
    "said",
    [{}, {"do_lower_case": False}, {"do_lower_case": True, "strip_accents": False},
     {"do_lower_case": False, "strip_accents": True}, {"tokenize_chinese_chars": False},
     {"strip_accents": None, "model_max_length": 40}],
)  # fmt: skip
def test_a_vocabulary_is_read_as_the_hubs_library_reads_it(
    said: dict[str, object], tmp_path: Path
) -> None:
    entries = [*SPECIAL, "Red", "red", "Café", "Cafe", "café", "cafe", "中", "国", "中国"]
    (tmp_path / "vocab.txt").write_text("\n".join(entries) + "\n", encoding="utf-8")
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(said), encoding="utf-8")
    text = "Red Café 中国"
    wanted = BertTokenizer.from_pretrained(tmp_path).encode(text)
    assert Tokenizer.from_directory(tmp_path).encode([text], len(wanted)).tolist() == [wanted]


@pytest.mark.parametrize("said", ['{"do_lower_case": "false"}', "{", "[]"])
def test_a_configuration_that_cannot_be_read_is_told(said: str, tmp_path: Path) -> None:
    shutil.copy(VOCABULARY, tmp_path / "vocab.txt")
    (tmp_path / "tokenizer_config.json").write_text(said, encoding="utf-8")
    with pytest.raises(TokenizerError, match=r"(do_lower_case|the file) cannot be read"):
        Tokenizer.from_directory(tmp_path)


def test_bad_vocabularies_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(TokenizerError, match=r"neither tokenizer.json nor vocab.txt; add one"):
        Tokenizer.from_directory(tmp_path)
    path = tmp_path / "vocab.txt"
    with pytest.raises(TokenizerError, match="check the path"):
        Tokenizer.from_vocabulary(path)
    path.write_text("[PAD]\n[UNK]\nred\n", encoding="utf-8")
    with pytest.raises(TokenizerError, match=r"lacks \[CLS\], \[SEP\], \[MASK\]; add them"):
        Tokenizer.from_vocabulary(path)
    path.write_text("[PAD]\n[PAD]\n", encoding="utf-8")
    with pytest.raises(TokenizerError, match="stands twice"):
        Tokenizer.from_vocabulary(path)
    path.write_bytes(b"\xff\xfe\xff")
    with pytest.raises(TokenizerError, match="UTF-8"):
        Tokenizer.from_vocabulary(path)
    (tmp_path / "tokenizer.json").write_text(json.dumps({"model": 3}), encoding="utf-8")
    with pytest.raises(TokenizerError, match="restore the file"):
        Tokenizer.from_directory(tmp_path)
