"""Every metric against numbers that were worked out by hand."""

import math
from contextlib import closing
from pathlib import Path

import pytest
import torch

from shared.evaluation_spec import EvaluationSpec
from tests.support import wordnet
from worker.data.tokenizer import VOCABULARY, Tokenizer
from worker.metrics import references
from worker.metrics.errors import MetricError
from worker.metrics.images import image_values
from worker.metrics.kinds import Answered, of_classes, of_texts
from worker.metrics.measured import Measured
from worker.metrics.meteor import Meteor
from worker.metrics.statistics import MacroF1, Mean, Perplexity
from worker.metrics.texts import Said, rouge_l, token_f1
from worker.metrics.vqa import normal, vqa_accuracy
from worker.training import seeds

pytestmark = pytest.mark.unit

TOKENIZER = Tokenizer.from_vocabulary(VOCABULARY)


def said(text: str, *answers: str) -> Said:
    return Said(TOKENIZER.words(text), tuple(map(TOKENIZER.words, answers)))


def test_classification() -> None:
    outputs = torch.tensor([[0.5, 0.3, 0.2], [0.25, 0.7, 0.05]]).log()
    found = {name: each.value for name, each in of_classes(outputs, torch.tensor([0, 0])).items()}
    assert found == pytest.approx(
        {"accuracy": 0.5, "macro_f1": (2 / 3 + 0) / 2, "loss": (math.log(2) + math.log(4)) / 2}
    )


def test_macro_f1_is_of_the_classes_that_occur() -> None:
    labels, answers = torch.tensor([0, 0, 1, 1, 2]), torch.tensor([0, 1, 1, 1, 0])
    f1 = MacroF1(answers, labels, 4)
    # 0: 1 of 2 and 2; 1: 2 of 3 and 2; 2: never answered; 3: neither asked nor answered
    assert f1.value == pytest.approx((2 / 4 + 4 / 5 + 0) / 3)
    only_the_third = torch.tensor([[1.0, 1, 1, 1, 1], [0, 0, 5, 0, 0], [2, 0, 0, 0, 3]])
    # once all, once one sample of class 1, once twice a right 0 and three times a wrong one
    assert f1.resampled(only_the_third.double()).tolist() == pytest.approx(
        [(2 / 4 + 4 / 5 + 0) / 3, 1.0, (2 * 2 / 7 + 0) / 2]
    )


def test_perplexity_weighs_tokens_and_is_finite() -> None:
    perplexity = Perplexity(torch.tensor([1.0, 6.0]), torch.tensor([1, 3]))
    assert perplexity.value == pytest.approx(math.exp(7 / 4))
    counts = torch.tensor([[2.0, 0.0], [1.0, 1.0]], dtype=torch.float64)
    assert perplexity.resampled(counts).tolist() == pytest.approx([math.e, math.exp(7 / 4)])
    hopeless = Perplexity(torch.tensor([1e6, 1e6]), torch.tensor([1, 1]))
    assert math.isfinite(hopeless.value)
    assert hopeless.resampled(counts).isfinite().all()


def plain(value: float) -> torch.Tensor:
    return torch.full((3, 64, 64), value)


def test_images() -> None:
    given = torch.stack([plain(0.5), plain(0.25), plain(0.0)])
    wanted = torch.stack([plain(0.4), plain(0.25), plain(1.0)])
    found = image_values(given, wanted)
    assert found["mse"].tolist() == pytest.approx([0.01, 0, 1])
    assert found["psnr"].tolist() == pytest.approx([20, 100, 0], abs=1e-4)
    # without variance only the means count: (2ab + c) / (a^2 + b^2 + c), c = 0.01^2
    by_hand = [(0.4 + 1e-4) / (0.25 + 0.16 + 1e-4), 1, 1e-4 / (1 + 1e-4)]
    assert found["ssim"].tolist() == pytest.approx(by_hand, abs=1e-3)


def test_ssim_sees_structure_that_the_mean_error_does_not() -> None:
    stripes = torch.arange(64).div(4, rounding_mode="floor").remainder(2).float() * 0.2 + 0.4
    image = stripes.expand(3, 64, 64)
    found = image_values(torch.stack([image + 0.1, 1 - image]), torch.stack([image, image]))
    assert found["ssim"][0] > 0.9
    assert found["ssim"][1] < -0.5


def test_token_f1() -> None:
    assert token_f1(["a", "red", "circle"], ["a", "blue", "circle"]) == pytest.approx(2 / 3)
    assert (token_f1([], []), token_f1(["a"], [])) == (1.0, 0.0)
    assert token_f1(["no", "no"], ["no"]) == pytest.approx(2 * 1 / 3)
    assert said("red", "a red circle", "red").best(token_f1) == 1.0


def test_rouge_l() -> None:
    # "the cat on mat" of 5 words given and 6 wanted
    pair = ("the cat sat on mat.", "The cat lay on the mat")
    assert rouge_l(said(*pair)) == pytest.approx(2 * (4 / 5) * (4 / 6) / (4 / 5 + 4 / 6))
    assert rouge_l(said("mat cat", "cat mat")) == pytest.approx(0.5), "order counts"
    assert rouge_l(said(pair[0], "other", pair[0])) == 1.0, "the nearest answer"
    assert rouge_l(said("Красный круг", "красный круг")) == 1.0
    assert rouge_l(said("?", "?")) == rouge_l(said("", "a word")) == 0.0


def test_meteor_without_synonyms_says_so() -> None:
    meteor = Meteor(None)
    assert meteor.name == "meteor_exact_stem"
    # (1 - 0.5 (chunks / matches)^3) F, F = P R / (0.9 P + 0.1 R)
    whole = "the cat sat on the mat"
    assert meteor(said(whole, whole)) == pytest.approx(1 - 0.5 / 6**3)
    assert meteor(said("cats running", "cat runs")) == pytest.approx(1 - 0.5 / 2**3)
    assert meteor(said("a red car", "a blue car")) == pytest.approx(0.5 * 2 / 3)
    short = (1 * 0.5) / (0.9 * 1 + 0.1 * 0.5)
    assert meteor(said("red car", "the big red car")) == pytest.approx((1 - 0.5 / 2**3) * short)
    assert meteor(said("car", "auto")) == meteor(said("", "car")) == 0.0
    assert meteor(said("car", "auto", "car")) == pytest.approx(0.5), "the nearest answer"


def test_meteor_with_a_wordnet_knows_synonyms(tmp_path: Path) -> None:
    wordnet.write(tmp_path, ("car", "auto"))
    with closing(Meteor(str(tmp_path))) as meteor:
        assert meteor.name == "meteor"
        assert meteor(said("a car", "an auto")) == pytest.approx(0.25), "one word of two"
        assert meteor(said("a car", "a house")) == pytest.approx(0.25)
        assert meteor(said("a car", "a auto")) == pytest.approx(1 - 0.5 / 2**3)


def test_a_directory_without_a_wordnet(tmp_path: Path) -> None:
    with pytest.raises(MetricError, match=r"holds no corpora/wordnet that nltk reads \(there is "):
        Meteor(str(tmp_path))
    wordnet.write(tmp_path, ("car", "auto"))
    lexnames = tmp_path / "corpora" / "wordnet" / "lexnames"
    lexnames.chmod(0o666)
    with pytest.raises(MetricError, match="chmod go-w"):
        Meteor(str(tmp_path))
    lexnames.unlink()
    with pytest.raises(MetricError, match="put WordNet's files there with lexnames, or leave"):
        Meteor(str(tmp_path))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("The red one.", "red 1"),
        ("Don't", "dont"),
        ("two  dogs", "2 dogs"),
        ("1,000", "1000"),
        ("yes!", "YES"),
        ("x-ray", "x ray"),
        ("None", "0"),
        ("dog \u2019s", "dogs"),
    ],
)
def test_vqa_takes_writings_for_one_answer(one: str, other: str) -> None:
    assert normal(TOKENIZER.words(one)) == normal(TOKENIZER.words(other))
    assert vqa_accuracy(said(one, other)) == 1.0


def test_vqa_keeps_what_tells_answers_apart() -> None:
    assert normal(TOKENIZER.words("3.5")) == "3.5"
    assert vqa_accuracy(said("10:30", "1030")) == vqa_accuracy(said("another", "other")) == 0.0


def test_vqa_with_several_answers() -> None:
    ten = ["yes"] * 3 + ["no"] * 7
    # one of the three left out: 2 of 3 match; one of the seven: 3 of 3
    assert vqa_accuracy(said("Yes.", *ten)) == pytest.approx((3 * 2 / 3 + 7 * 1) / 10)
    assert vqa_accuracy(said("no", *ten)) == 1.0
    assert vqa_accuracy(said("one", "1", *ten[1:])) == pytest.approx(9 / 10 / 3)
    assert vqa_accuracy(said("no", "no", "no")) == pytest.approx(1 / 3), "made for ten answers"


@pytest.mark.parametrize("about_images", [False, True])
def test_generated_texts(about_images: bool) -> None:
    found = Answered(
        exact=[True, False],
        said=[said("red", "Red"), said("a circle", "a square", "circle")],
        nll=torch.tensor([1.0, 3.0]),
        tokens=torch.tensor([3, 1]),
    )
    figures, encoder = of_texts(found, EvaluationSpec(), torch.device("cpu"), about_images)
    expected = {
        "exact_match": 0.5,
        "token_f1": (1 + 2 / 3) / 2,
        "nll": 2.0,
        "perplexity": math.exp((3 * 1 + 1 * 3) / 4),
        "rouge_l": (1 + 2 / 3) / 2,
        # one word of one; one of two against one: P 1/2, R 1, F = 1/2 / (0.45 + 0.1)
        "meteor_exact_stem": (0.5 + 0.5 * (0.5 / 0.55)) / 2,
    }
    # an article does not count: circle is one of two answers, and nothing matches without it
    vqa = {"vqa_accuracy": (1 + (0 + 1 / 3) / 2) / 2} if about_images else {}
    assert {name: each.value for name, each in figures.items()} == pytest.approx(expected | vqa)
    assert encoder is None


def test_a_score_has_its_reference_and_all_figures() -> None:
    figures = {"mse": Mean(torch.tensor([0.01, 0.03])), "psnr": Mean(torch.tensor([20.0, 15.0]))}
    spec = EvaluationSpec().intervals
    score = Measured("mse", "mse", 0.08, 0.0, figures, "e").score(2, spec, seeds.generator("score"))
    assert (score.metric, score.n, score.encoder) == ("mse", 2, "e")
    assert score.skill == pytest.approx(0.75)
    assert score.metrics == pytest.approx({"mse": 0.02, "psnr": 17.5})
    assert score.intervals == {
        "mse": pytest.approx((0.01, 0.03)),
        "psnr": pytest.approx((15, 20)),
    }


def test_references() -> None:
    train, labels = torch.tensor([1, 1, 0]), torch.tensor([1, 0, 0, 0])
    assert references.majority(train, labels) == 0.25
    assert references.usual_answer(["no", "no", "yes"], ["yes", "no"]) == 0.5
    dark, light = (torch.full((1, 3, 8, 8), value, dtype=torch.uint8) for value in (0, 255))
    grey = torch.cat([dark, light])
    assert references.mean_image(grey, dark) == pytest.approx(0.25)
    assert references.mean_image(dark, grey) == pytest.approx(0.5)
