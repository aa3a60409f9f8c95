import pytest

from shared.job_spec import JobSpec, LearningRate
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
        ("count: 2", "count: 0", "rounds.count: Input should be greater than or equal to 1"),
        ("{name: tap}", "{name: top}", "algorithm: "),
        ("[image]", "[text]", "image_classification reads image: add it to modalities"),
        ("[zero, one]", "[zero]", "needs at least two classes"),
        ("[zero, one]", "[zero, zero]", "names something twice"),
        ("[c01, c02]", "[c01, c01]", "clients names a client twice"),
        ("count: 2", "count: 2, quorum: 3", "rounds.quorum is 3 but the job names 2 clients"),
        ("PT5M", "PT0S", "deadline must be at least one second"),
        ("PT5M", "PT5M, grace: PT6M", "grace must lie between zero and deadline: correct it"),
        ("count: 2", "count: 2, over_selection: 0.9", "rounds.over_selection: Input should be "),
        ("count: 2", "count: 2, extensions: 11", "rounds.extensions: Input should be less than"),
        ("count: 2", "count: 2, failure_budget: -1", "rounds.failure_budget: Input should be "),
        ("name: first", "name: first\npriority: 101", "priority: Input should be less than or eq"),
        ("digits:", "../etc:", "tasks.../etc"),
        ("name: first", "name: first\nseed: .nan", "seed"),
        ("[c01, c02]", "[c01, c02", "is not valid YAML or JSON at line"),
    ],
)
def test_what_is_wrong_is_named_with_the_remedy(old: str, new: str, said: str) -> None:
    assert said in problems(GOOD.replace(old, new))


def test_a_spec_is_a_mapping() -> None:
    assert "must be a mapping" in problems("- 1")


def test_the_learning_rate_warms_up_then_decays() -> None:
    rate = LearningRate(peak=3e-4, warmup_from=1e-4, warmup_rounds=20)
    assert rate.at(1, 200) == pytest.approx(1.1e-4)
    assert [rate.at(20, 200), rate.at(200, 200)] == pytest.approx([3e-4, 3e-4])
    falling = LearningRate(peak=1.0, warmup_from=0.1, warmup_rounds=0, final=0.5)
    assert [falling.at(n, 4) for n in range(1, 5)] == pytest.approx([0.875, 0.75, 0.625, 0.5])
