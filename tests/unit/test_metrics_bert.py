"""BERTScore with a tiny encoder, made here: by loops, and against torchmetrics pair by pair."""

from pathlib import Path

import pytest
import torch
from torch.nn import functional
from torchmetrics.functional.text import bert_score
from transformers import BertConfig, BertModel

from shared.evaluation_spec import EvaluationSpec
from tests.support import encoder as made
from worker.metrics.bert_score import Encoder, bert_scores, read_encoder
from worker.metrics.errors import MetricError
from worker.metrics.kinds import Answered, of_texts
from worker.metrics.texts import Said

pytestmark = pytest.mark.unit
TEXTS = ("a red circle", "the blue square is large", "what", "a red circle on a blue square")


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made.write(tmp_path_factory.mktemp("models") / "tiny-bert")


@pytest.fixture(scope="module")
def encoder(directory: Path) -> Encoder:
    return read_encoder(str(directory), 1)


def by_loops(encoder: Encoder, given: str, wanted: str) -> float:
    """Each word with its nearest, one text at a time."""
    sides = []
    for text in (given, wanted):
        ids = torch.tensor([encoder.tokenizer(text)["input_ids"]])
        with torch.no_grad():
            hidden = encoder.model(ids, output_hidden_states=True).hidden_states[encoder.layer]
        sides.append(hidden[0, 1:-1])  # without [CLS] and [SEP]
    cosine = [[float(functional.cosine_similarity(a, b, 0)) for b in sides[1]] for a in sides[0]]
    precision: float = sum(map(max, cosine)) / len(cosine)
    recall: float = sum(map(max, zip(*cosine, strict=True))) / len(cosine[0])
    return 2 * precision * recall / (precision + recall)


def test_pairs_of_any_lengths(encoder: Encoder) -> None:
    pairs = [(a, b) for a in TEXTS for b in TEXTS]
    found = encoder.f1([a for a, _ in pairs], [b for _, b in pairs])
    assert found.tolist() == pytest.approx([by_loops(encoder, *pair) for pair in pairs], abs=1e-5)
    assert found[0] == pytest.approx(1, abs=1e-5)


def test_it_is_the_librarys_for_each_pair(encoder: Encoder, directory: Path) -> None:
    for given, wanted in zip(TEXTS, reversed(TEXTS), strict=True):
        (expected,) = torch.atleast_1d(
            torch.as_tensor(
                bert_score(
                    [given], [wanted], str(directory), num_layers=1, max_length=20, truncation=True
                )["f1"]
            )
        )
        assert float(encoder.f1([given], [wanted])) == pytest.approx(float(expected), abs=1e-5)


def test_the_nearest_answer_counts_and_nothing_said_is_nothing(encoder: Encoder) -> None:
    said = [
        Said(TEXTS[0].split(), (TEXTS[1].split(), TEXTS[0].split())),
        Said((), (["red"],)),
        Said(TEXTS[2].split(), (TEXTS[1].split(),)),
    ]
    expected = [1, 0, by_loops(encoder, TEXTS[2], TEXTS[1])]
    assert bert_scores(encoder, said).tolist() == pytest.approx(expected, abs=1e-5)


def test_a_score_says_whose_it_is(directory: Path) -> None:
    found = Answered([True], [Said(["red"], (["red"],))], torch.ones(1), torch.ones(1))
    wanted = EvaluationSpec(bert_score=str(directory))
    figures, name = of_texts(found, wanted, torch.device("cpu"), about_images=False)
    assert name == "tiny-bert, layer 2"
    assert figures["bert_score_f1"].value == pytest.approx(1, abs=1e-5)


def test_long_texts_are_cut_to_what_the_encoder_reads(encoder: Encoder) -> None:
    long, longer = " ".join(["red"] * 100), " ".join(["red"] * 200)
    assert float(encoder.f1([long], [longer])) == pytest.approx(1, abs=1e-5)


def test_what_is_no_encoder_is_refused_with_the_remedy(directory: Path, tmp_path: Path) -> None:
    remedy = "or leave bert_score out of the job"
    for place in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(MetricError, match=remedy):
            read_encoder(str(place), None)
    with pytest.raises(MetricError, match=r"layers is 3, but the encoder .* has 2 layers; lower"):
        read_encoder(str(directory), 3)
    whole = BertModel(BertConfig.from_pretrained(directory))
    state = {k: v for k, v in whole.state_dict().items() if "layer.1.attention" not in k}
    lacking = made.write(tmp_path / "lacking")
    whole.save_pretrained(lacking, state_dict=state)
    with pytest.raises(MetricError, match=r"it lacks \d+ tensors, encoder.layer.1.attention"):
        read_encoder(str(lacking), None)
