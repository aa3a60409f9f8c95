from collections.abc import Iterator
from itertools import pairwise

import pytest

from shared.job_spec import JobSpec, LearningRate
from shared.rounds_spec import RoundsSpec
from shared.spec_files import SpecError, parse

pytestmark = pytest.mark.unit

GOOD = """
name: first
algorithm: {name: tap}
rounds: {count: 2, deadline: PT5M}
tasks:
  digits: {kind: image_classification, modalities: [image], classes: [zero, one]}
clients: [c01, c02]
"""


def problems(text: str) -> str:
    with pytest.raises(SpecError) as caught:
        parse(JobSpec, text, "job.yaml")
    assert "job.yaml" in str(caught.value)
    return "; ".join(caught.value.problems)


def test_a_spec_is_read_and_complete() -> None:
    spec = parse(JobSpec, GOOD)
    assert (spec.clients_per_round, spec.quorum, spec.training.batch_size) == (2, 2, 32)
    assert parse(JobSpec, spec.model_dump_json()) == spec


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("algorithm:", "algoritm:", "algoritm: is not a known field; did you mean algorithm?"),
        ("name: first\n", "", "name: is missing; add it"),
        ("count: 2", "count: 0", "rounds.count: must be at least 1"),
        ("{name: tap}", "{name: top}", "algorithm: "),
        ("[image]", "[text]", "image_classification reads image: add it to modalities"),
        ("[zero, one]", "[zero]", "needs at least two classes"),
        ("[zero, one]", "[zero, zero]", "names something twice"),
        ("[c01, c02]", "[c01, c01]", "clients names a client twice"),
        ("count: 2", "count: 2, quorum: 3", "rounds.quorum is 3 but the job names 2 clients"),
        ("name: first", "name: first\npriority: 101", "priority: must be at most 100; lower it"),
        (
            "name: first",
            "name: first\nevaluation: {bert_score_layers: 5}",
            "bert_score_layers needs bert_score: name an encoder, or leave it out",
        ),
        (
            "name: first",
            "name: first\nevaluation: {intervals: {confidence: 1}}",
            "evaluation.intervals.confidence: must be less than 1",
        ),
        (
            "name: first",
            "name: first\nevaluation: {wordnets: here}",
            "evaluation.wordnets: is not a known field; did you mean wordnet?",
        ),
        (
            "{name: tap}",
            "{name: fedavg, temperature: 2}",
            "algorithm.fedavg.temperature: is not an option of fedavg but of tap, tap-plus; choose",
        ),
        (
            "{name: tap}",
            "{name: tap, strength: 2}",
            "algorithm.tap.strength: is not an option of tap but of disentafl, ditto, pfedme; ",
        ),
        (
            "{name: tap}",
            "{name: tap, temprature: 2}",
            "algorithm.tap.temprature: is not an option of tap; did you mean temperature?",
        ),
        (
            "{name: tap}",
            "{name: fedper, colour: red}",
            "algorithm.fedper.colour: is not an option of fedper, which has keeps; remove it",
        ),
        (
            "{name: tap}",
            "{name: local, colour: red}",
            "algorithm.local.colour: is not an option of local, which has equal_compute; remove it",
        ),
        (
            "tasks:",
            "tasks:\n  digts: {margin: 0.1}",
            "tasks: digts has margin but neither kind nor modalities: choose a task that",
        ),
        (
            "name: first",
            "name: first\nmargins: {digits: 0.1}",
            "margins: is not a known field; did you mean algorithm.margin or tasks.NAME.margin?",
        ),
        (
            "name: first",
            "name: first\nstrength: 2",
            "strength: is not a known field; did you mean algorithm.strength?",
        ),
        ("{kind:", "{distillation_weight: .inf, kind:", "must be a finite number; correct it"),
        ("digits:", "../etc:", "tasks.../etc"),
        ("name: first", "name: first\nseed: .nan", "seed"),
        (
            "name: first",
            "name: first\ntraining: {clip_norm: .inf}",
            "training.clip_norm: must be a finite number; correct it (given: inf)",
        ),
        ("first", '"a\\0b"', "name: must have no NUL character; remove it"),
        ("first", "2026-01-31", "name: must be text; correct it, and put it between quotes"),
        ("{name: tap}", "{name: TAP}", "algorithm: must have as 'name' one of 'disentafl', "),
        ("{name: tap}", "{}", "algorithm: must have a field 'name'; add it"),
        ("name: first", f"name: first\npriority: 0x{'f' * 5000}", "lower it (given: a number of"),
        ("[c01, c02]", "[]", "clients: must have at least 1 items; add some"),
        ("[c01, c02]", "c01", "clients: must be a list; correct it (given: 'c01')"),
        ("[c01, c02]", "[c01, c02", "is not valid YAML or JSON at line"),
        ("name: first", "name: first\nname: second", "has 'name' twice at line 3: remove one"),
    ],
)
def test_what_is_wrong_is_named_with_the_remedy(old: str, new: str, said: str) -> None:
    assert said in problems(GOOD.replace(old, new))


def test_what_is_given_may_be_without_an_end() -> None:
    levels = [f"{name}: &{name} [*{before}, *{before}]" for before, name in pairwise("abcdefghi")]
    bomb = "\n".join(["a: &a [x]", *levels, "name: &n [*i, *i, *n]"])
    assert "name: must be text; correct it, and put it between quotes (given: [[[[" in problems(
        f"{GOOD.replace('name: first', '')}\n{bomb}"
    )


def test_a_hundred_sentences_are_told_and_no_more() -> None:
    with pytest.raises(SpecError) as caught:
        parse(JobSpec, GOOD + "\n".join(f"other{number}: 1" for number in range(101)))
    assert len(caught.value.problems) == 100


def test_what_a_mapping_is_merged_from_may_name_its_fields_too() -> None:
    merged = "base: &base {count: 1, quorum: 1}\nrounds: {<<: *base, <<: *base, count: 2}"
    said = problems(GOOD.replace("rounds: {count: 2, deadline: PT5M}", merged))
    assert said == "base: is not a known field; remove it"


RANGES = [
    ("count", "0", "must be at least 1; raise it (given: 0)"),
    ("count", "100001", "must be at most 100000; lower it (given: 100001)"),
    ("count", "1.5", "must be a whole number; correct it (given: 1.5)"),
    ("count", "many", "must be a whole number; correct it (given: 'many')"),
    ("count", "", "must be a whole number; correct it (given: None)"),
    ("clients_per_round", "0", "must be at least 1; raise it (given: 0)"),
    ("over_selection", "0.9", "must be at least 1.0; raise it (given: 0.9)"),
    ("over_selection", ".inf", "must be a finite number; correct it (given: inf)"),
    ("over_selection", "twice", "must be a number; correct it (given: 'twice')"),
    ("quorum", "0", "must be at least 1; raise it (given: 0)"),
    ("quorum", "2", "must be at most clients_per_round, which is 1; lower it (given: 2)"),
    ("deadline", "PT0.5S", "must be at least 1 second; raise it (given: 'PT0.5S')"),
    ("deadline", "P366D", "must be at most 365 days; lower it (given: 'P1Y1D')"),
    ("deadline", "soon", "must be a duration such as PT5M; correct it (given: 'soon')"),
    ("grace", "-PT1S", "must be at least 0 seconds; raise it (given: '-PT1S')"),
    ("grace", "PT6M", "must be at most the deadline; lower it or leave it out (given: 'PT6M')"),
    ("extensions", "-1", "must be at least 0; raise it (given: -1)"),
    ("extensions", "11", "must be at most 10; lower it (given: 11)"),
    ("max_attempts", "0", "must be at least 1; raise it (given: 0)"),
    ("max_attempts", "101", "must be at most 100; lower it (given: 101)"),
    ("failure_budget", "-1", "must be at least 0; raise it (given: -1)"),
]


@pytest.mark.parametrize(("field", "value", "said"), RANGES)
def test_every_field_of_the_rounds_says_its_range(field: str, value: str, said: str) -> None:
    rounds = {"count": "2", "clients_per_round": "1", "deadline": "PT5M", field: value}
    given = ", ".join(f"{name}: {each}" for name, each in rounds.items())
    text = GOOD.replace("count: 2, deadline: PT5M", given)
    assert problems(text) == f"rounds.{field}: {said}"


def test_every_field_of_the_rounds_has_its_sentence() -> None:
    assert {field for field, _, _ in RANGES} == set(RoundsSpec.model_fields)


def test_every_whole_number_of_a_spec_has_an_upper_bound() -> None:
    """What no machine can do is told before a worker is asked for it."""

    def unbounded(schema: object, place: str) -> Iterator[str]:
        match schema:
            case {"type": "integer", **rest} if "maximum" not in rest:
                yield place
            case dict():
                for name, each in schema.items():
                    yield from unbounded(each, f"{place}.{name}")
            case list():
                for each in schema:
                    yield from unbounded(each, place)

    assert list(unbounded(JobSpec.model_json_schema(), "spec")) == []
    assert "must be at most 1000000" in problems(GOOD + "training: {local_steps: 10000000000}\n")


def test_a_spec_is_a_mapping() -> None:
    assert "must be a mapping" in problems("- 1")


def test_the_learning_rate_warms_up_then_decays() -> None:
    rate = LearningRate(peak=3e-4, warmup_from=1e-4, warmup_rounds=20)
    assert rate.at(1, 200) == pytest.approx(1.1e-4)
    assert [rate.at(20, 200), rate.at(200, 200)] == pytest.approx([3e-4, 3e-4])
    falling = LearningRate(peak=1.0, warmup_from=0.1, warmup_rounds=0, final=0.5)
    assert [falling.at(n, 4) for n in range(1, 5)] == pytest.approx([0.875, 0.75, 0.625, 0.5])
