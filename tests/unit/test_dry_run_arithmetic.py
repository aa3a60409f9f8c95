"""What a dry run counts and foresees, on numbers worked out by hand."""

from math import inf
from typing import Any

import pytest

from server.dry_runs.coverage import contributors, coverage, made_by
from server.dry_runs.described import Described, state_bytes
from server.dry_runs.durations import Measured, alike, client_time, job_time, round_time
from server.dry_runs.traffic import client_traffic, per_job, per_round
from server.rounds.sampling import sample
from shared.dry_run import ClientTime, ClientTraffic, DryRunDescription, Span
from shared.job_spec import JobSpec
from shared.messages import AssignmentKind, Catalogue, ClientOffer, ComponentSpec, TensorSpec
from shared.readiness import PublishedCard
from shared.results import Pace
from tests.support.scripted import job_spec

pytestmark = pytest.mark.unit

# Files: 3 values in 12 bytes and 5 in 20, each behind a header of 8 + 56 bytes.
THREE = ComponentSpec(tensors={"w": TensorSpec(shape=(3,))}, frozen_bytes=100)
FIVE = ComponentSpec(tensors={"w": TensorSpec(shape=(5,))}, frozen_bytes=7)
PAIR = ComponentSpec(
    tensors={"q.a": TensorSpec(shape=(1, 2)), "q.b": TensorSpec(shape=(2, 1))}, frozen_bytes=0
)
FILES = {"x": THREE, "y": THREE, "z": FIVE, "pair": PAIR}
ALONE = {"x": {"c1": 10, "c2": 30}, "y": {"c1": 10}, "z": {"c1": 10, "c2": 30}}


def described(same: bool = True) -> Described:
    """x and y begin as the same bytes, unless told; z and pair differ."""
    version = {"x": "a" * 64, "y": ("a" if same else "b") * 64, "z": "c" * 64, "pair": "d" * 64}
    catalogue = Catalogue(base_digest="e" * 64, components=FILES)
    return Described.of(DryRunDescription(catalogue=catalogue, version=version))


def spec(clients: int = 2, **changes: Any) -> JobSpec:
    named = [f"c{n}" for n in range(1, clients + 1)]
    return JobSpec.model_validate(job_spec(named, **changes))


def test_sizes_are_of_values_of_files_and_of_what_is_frozen() -> None:
    whole = described().whole(["x", "z"])
    assert (whole.n_values, whole.frozen_bytes) == (3 + 5, 107)
    assert whole.n_bytes == (64 + 12) + (64 + 20)
    assert state_bytes(whole) == 4 * 8 + 107


def test_a_client_pulls_the_same_bytes_once_and_later_what_others_change() -> None:
    moved = client_traffic(spec(), "c1", ["x", "y", "z"], ALONE, described())
    assert moved == ClientTraffic(
        first_down=76 + 84,  # x and y are one artifact
        later_down=76 + 84,  # y is its own work
        up=76 + 76 + 84,
        full_exchange=2 * (4 * 11 + 207),
    )
    distinct = client_traffic(spec(), "c1", ["x", "y", "z"], ALONE, described(same=False))
    assert distinct.first_down == 76 + 76 + 84


def test_who_comes_later_may_find_that_all_has_grown_apart() -> None:
    sometimes = spec(rounds={"count": 2, "clients_per_round": 1})
    moved = client_traffic(sometimes, "c1", ["x", "y", "z"], ALONE, described())
    assert moved.first_down == 76 + 76 + 84


def test_what_stays_with_clients_travels_once() -> None:
    job = spec(algorithm={"name": "local"})
    makers: dict[str, dict[str, int]] = {"x": {}, "z": {}}
    moved = client_traffic(job, "c1", ["x", "z"], makers, described())
    assert (moved.first_down, moved.later_down, moved.up) == (76 + 84, 0, 0)


@pytest.mark.parametrize(("low_rank", "later"), [("factors", False), ("svd", True)])
def test_some_averages_change_a_single_client_s_pairs(low_rank: str, later: bool) -> None:
    job = spec(aggregation={"low_rank": low_rank})
    makers = {"pair": {"c1": 10}, "y": {"c1": 10}}
    moved = client_traffic(job, "c1", ["pair", "y"], makers, described())
    assert moved.later_down == (described().sizes["pair"].n_bytes if later else 0)


def test_rounds_are_means_over_who_is_asked_and_the_end_is_for_all() -> None:
    half = spec(4, rounds={"count": 10, "clients_per_round": 2})
    assert per_round(half, [10, 20, 30, 40]) == 50  # half of 100
    assert per_job(half, 10, [1, 2, 3, 4], [10, 20, 30, 40]) == 10 + 10 * 50
    more = spec(4, rounds={"count": 10, "clients_per_round": 2, "over_selection": 1.5})
    assert per_round(more, [10, 20, 30, 40]) == 75  # three of four are asked
    every = spec(2, rounds={"count": 3})
    assert per_job(every, 3, [100, 200], [10, 20]) == 300 + 3 * 30


def offered(**changes: Any) -> ClientOffer:
    task = {
        "kind": "text_generation",
        "modalities": ["image", "text"],
        "train": {"general": 10},
        "validation": 5,
        "test": 6,
        **changes,
    }
    return ClientOffer.model_validate({"tasks": {"vqa": task}})


VQA = {"vqa": {"kind": "text_generation", "modalities": ["image", "text"]}}


def test_coverage_says_who_has_how_much_and_what_each_lacks() -> None:
    job = spec(2, tasks=VQA)
    found = coverage(job, {"c1": offered(), "c2": offered(modalities=["text"])}, {})
    task = found["vqa"]
    assert task.train == 20
    assert task.clients["c1"].modalities == ("image", "text")
    assert (task.clients["c2"].modalities, task.clients["c2"].lacking) == (("text",), ("image",))
    assert (task.clients["c2"].validation, task.clients["c2"].test) == (5, 6)


def test_label_counts_come_from_the_card_where_there_is_one() -> None:
    split = {"samples": 10, "per_class": [7, 3]}
    task = {"kind": "image_classification", "skipped": 0}
    card = PublishedCard.model_validate(
        {
            "tasks": {"digits": {**task, "train": split, "validation": split, "test": split}},
            "errors": 0,
            "warnings": 0,
        }
    )
    has = ClientOffer.model_validate(
        {
            "tasks": {
                "digits": {
                    "kind": "image_classification",
                    "modalities": ["image"],
                    "n_classes": 2,
                    "train": {"general": 10},
                    "validation": 1,
                    "test": 1,
                }
            }
        }
    )
    shares = coverage(spec(), {"c1": has, "c2": has}, {"c1": card})["digits"].clients
    assert (shares["c1"].per_class, shares["c2"].per_class) == ((7, 3), None)


def test_each_component_has_the_samples_of_those_who_train_it() -> None:
    job = spec(2, tasks=VQA)
    made = made_by(job, {"c1": offered(), "c2": offered(modalities=["text"])})
    makers = contributors(job, made)
    assert makers["proj"] == {"c1": 10, "c2": 10}
    assert makers["encoder.image"] == {"c1": 10}
    assert "encoder.image" not in made["c2"]
    kept = spec(2, tasks=VQA, algorithm={"name": "fedper"})
    assert contributors(kept, made)["head.vqa"] == {}, "heads stay with clients"


def trained(seconds: float, steps: int = 10, times: int = 2, each: float = 0.5) -> Measured:
    """A round of so many steps for each of `times` models."""
    pace = Pace(steps=times * steps, step_seconds=each)
    return Measured(AssignmentKind.TRAIN, steps, seconds, pace)


def test_a_round_is_foreseen_by_its_steps_and_by_the_rest() -> None:
    """Two models of 10 steps at 0.5 s are 10 s, 1 s for each step asked for; 2 s are the rest."""
    job = spec(training={"local_steps": 40})
    assert client_time(job, [trained(12.0)]).round_s == pytest.approx(40 * 1.0 + 2.0)


def test_estimates_are_medians() -> None:
    """Per step 1, 2 and 9 s; the rest 2, 0 and 5 s: 10 x 2 + 2."""
    rounds = [trained(12.0), trained(20.0, each=1.0), trained(95.0, each=4.5)]
    found = client_time(spec(training={"local_steps": 10}), rounds)
    assert found.round_s == pytest.approx(22.0)
    assert found.stands_on == "medians of 3 training rounds with a model of this size"


def test_stage_two_and_evaluation_are_foreseen_too() -> None:
    stage_two = Measured(AssignmentKind.PERSONALIZE, 5, 11.0, Pace(steps=10, step_seconds=1.0))
    evaluations = [Measured(AssignmentKind.EVALUATE, 5, s) for s in (3.0, 4.0)]
    found = client_time(spec(post={"steps": 10}), [trained(12.0), stage_two, *evaluations])
    assert found.stage_two_s == pytest.approx(10 * 2.0 + 1.0)
    assert found.evaluation_s == pytest.approx(3.5)


def test_a_pace_of_any_size_is_a_number_of_seconds() -> None:
    endless = Measured(AssignmentKind.TRAIN, 10, 12.0, Pace(steps=10**400, step_seconds=1e308))
    found = client_time(spec(), [endless])
    assert found.round_s is not None
    assert 0 <= found.round_s < inf


def test_what_was_never_measured_is_no_number() -> None:
    unsaid = Measured(AssignmentKind.TRAIN, 10, 12.0, None)  # of a worker that does not say
    found = client_time(spec(), [unsaid])
    assert (found.round_s, found.stage_two_s, found.evaluation_s) == (None, None, None)
    assert found.stands_on.startswith("unknown: it has trained no model of this size yet")


def test_other_batches_or_another_algorithm_tell_nothing() -> None:
    job = spec()
    assert alike(job, spec(rounds={"count": 9}, training={"local_steps": 3}, seed=5))
    assert not alike(job, spec(training={"batch_size": 8}))
    assert not alike(job, spec(algorithm={"name": "fedavg"}))
    assert not alike(job, spec(model={"max_text_tokens": 80}))


def time_of(round_s: float | None, stage_two_s: float = 1.0) -> ClientTime:
    return ClientTime(
        round_s=round_s, stage_two_s=stage_two_s, evaluation_s=2.0, stands_on="a test"
    )


def test_a_round_lasts_between_the_slowest_and_all_of_its_clients() -> None:
    job, times = spec(2, rounds={"count": 3}), {"c1": time_of(10.0), "c2": time_of(4.0)}
    a_round = round_time(job, times, range(1, 4))
    assert a_round == Span(least_s=10.0, most_s=14.0)
    assert job_time(job, a_round, times, 3) == Span(least_s=30 + 1 + 2, most_s=42 + 2 + 4)
    assert job_time(job, a_round, times, 1) == Span(least_s=10 + 1 + 2, most_s=14 + 2 + 4)


def test_without_a_round_to_come_stage_two_and_evaluation_are_what_is_left() -> None:
    job, times = spec(2), {"c1": time_of(None), "c2": time_of(4.0)}
    assert round_time(job, {"c1": time_of(1.0), "c2": time_of(4.0)}, range(4, 4)) is None
    assert job_time(job, None, times, 0) == Span(least_s=1 + 2, most_s=2 + 4)


def test_with_some_clients_it_is_the_mean_over_those_rounds() -> None:
    job = spec(3, rounds={"count": 4, "clients_per_round": 1})
    seconds = {"c1": 1.0, "c2": 10.0, "c3": 100.0}
    times = {client: time_of(s) for client, s in seconds.items()}
    asked = {n: seconds[sample(job.seed, n, job.clients, 1)[0]] for n in (1, 2, 3, 4)}
    for numbers in (range(1, 5), range(3, 5)):
        found = round_time(job, times, numbers)
        mean = sum(asked[n] for n in numbers) / len(numbers)
        assert found is not None
        assert found.least_s == found.most_s == pytest.approx(mean)


def test_one_unknown_client_makes_the_whole_unknown() -> None:
    job, times = spec(2), {"c1": time_of(10.0), "c2": time_of(None)}
    assert round_time(job, times, range(1, 2)) is None
    assert job_time(job, None, times, 1) is None


def test_an_algorithm_without_stage_two_does_not_wait_for_it() -> None:
    job = spec(2, algorithm={"name": "fedavg", "post_training": False}, rounds={"count": 1})
    found = {c: ClientTime(round_s=5.0, evaluation_s=1.0, stands_on="-") for c in ("c1", "c2")}
    assert job_time(job, round_time(job, found, range(1, 2)), found, 1) == Span(
        least_s=6.0, most_s=12.0
    )
