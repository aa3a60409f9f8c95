"""The server's decisions, without the database."""

from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.assignments.decide import Row, pause_after_failure
from server.jobs.admission import refusals
from server.reports.service import optimizer_steps
from server.rounds.collecting import Terms, Verdict, decide, missing
from server.rounds.sampling import draw, sample
from shared.algorithms import NAMES
from shared.job_spec import JobSpec
from shared.messages import ClientOffer
from shared.states import ASSIGNMENT_TERMINAL, AssignmentState
from tests.support.scripted import job_spec, offer

pytestmark = pytest.mark.unit

CLIENTS = [f"c{n:02}" for n in range(30)]
A = AssignmentState


def test_sampling_is_a_pure_function_of_seed_and_round() -> None:
    chosen = sample(41, 1, CLIENTS, 3)
    assert chosen == sample(41, 1, CLIENTS[::-1], 3) == ("c08", "c11", "c18")
    assert chosen != sample(41, 2, CLIENTS, 3)
    assert chosen != sample(42, 1, CLIENTS, 3)


def test_all_clients_are_chosen_when_all_are_asked() -> None:
    assert sample(1, 7, CLIENTS, 30) == tuple(CLIENTS)


def test_sampling_is_fair() -> None:
    counts = dict.fromkeys(CLIENTS, 0)
    for number in range(1000):
        for client in sample(41, number, CLIENTS, 3):
            counts[client] += 1
    assert min(counts.values()) > 60  # 100 expected
    assert max(counts.values()) < 140


def test_pauses_after_failures_double_up_to_a_minute() -> None:
    def pause(attempt: int) -> timedelta:
        row = SimpleNamespace(attempt=attempt, released=0)
        return pause_after_failure(cast("Row", row), timedelta(seconds=5))

    assert [pause(n).total_seconds() for n in (1, 2, 3, 5)] == [5, 10, 20, 60]
    assert pause(100) == timedelta(minutes=1)


@pytest.mark.parametrize("n", [0, 31])
def test_sampling_refuses_impossible_numbers(n: int) -> None:
    with pytest.raises(ValueError, match="cannot choose"):
        sample(1, 1, CLIENTS, n)


def test_replacements_are_the_next_of_the_draw() -> None:
    order = draw(41, 1, CLIENTS)
    assert sorted(order) == CLIENTS
    for n in (1, 3, 30):
        assert sample(41, 1, CLIENTS, n) == tuple(sorted(order[:n]))


@pytest.mark.parametrize(
    ("over", "wanted", "asked"), [(1.0, 10, 10), (1.1, 10, 11), (1.3, 3, 4), (1e9, 3, 30)]
)
def test_more_clients_are_asked_than_are_wanted(over: float, wanted: int, asked: int) -> None:
    rounds = {"count": 1, "over_selection": over}
    assert JobSpec.model_validate(job_spec(CLIENTS, rounds=rounds)).asked_for(wanted) == asked


@pytest.mark.parametrize(
    ("states", "quorum", "late", "verdict"),
    [
        ([A.ACCEPTED, A.ACCEPTED], 2, False, Verdict.CLOSE),
        ([A.ACCEPTED, A.LEASED], 1, False, Verdict.WAIT),
        ([A.ACCEPTED, A.LEASED], 1, True, Verdict.CLOSE),
        ([A.ACCEPTED, A.SUSPECT], 2, False, Verdict.WAIT),
        ([A.ACCEPTED, A.SUSPECT], 2, True, Verdict.FAIL),
        ([A.ACCEPTED, A.FAILED], 1, False, Verdict.CLOSE),
        ([A.QUEUED, A.FAILED], 2, False, Verdict.FAIL),
        ([A.FAILED], 1, False, Verdict.FAIL),
    ],
)
def test_rounds_without_extensions_close(
    states: list[AssignmentState], quorum: int, late: bool, verdict: Verdict
) -> None:
    assert decide(states, Terms(quorum, len(states)), late=late) is verdict


@pytest.mark.parametrize(
    ("states", "terms", "late", "grace_over", "verdict"),
    [
        ([A.ACCEPTED, A.LEASED], Terms(1, 1), False, False, Verdict.CLOSE),
        ([A.ACCEPTED, A.LEASED, A.LEASED], Terms(1, 2), False, False, Verdict.WAIT),
        ([A.ACCEPTED, A.LEASED, A.LEASED], Terms(1, 2), False, True, Verdict.CLOSE),
        ([A.LEASED, A.LEASED], Terms(1, 2), False, True, Verdict.WAIT),
        ([A.LEASED, A.QUEUED], Terms(1, 2, extensions_left=1), True, True, Verdict.EXTEND),
        ([A.LEASED, A.FAILED], Terms(2, 2, 1, 1), False, False, Verdict.EXTEND),
        ([A.LEASED, A.FAILED], Terms(2, 2, 1, 0), False, False, Verdict.FAIL),
        ([A.LEASED, A.FAILED], Terms(2, 2, 0, 1), False, False, Verdict.FAIL),
        ([A.FAILED, A.FAILED], Terms(1, 2, 0, 9), True, False, Verdict.FAIL),
    ],
)
def test_rounds_with_policies(
    states: list[AssignmentState], terms: Terms, late: bool, grace_over: bool, verdict: Verdict
) -> None:
    assert decide(states, terms, late=late, grace_over=grace_over) is verdict


@st.composite
def stands(draw: st.DrawFn) -> tuple[list[AssignmentState], Terms]:
    states = draw(st.lists(st.sampled_from(AssignmentState), min_size=1, max_size=8))
    target = draw(st.integers(1, 8))
    quorum = draw(st.integers(1, target))
    return states, Terms(quorum, target, draw(st.integers(0, 3)), draw(st.integers(0, 3)))


@given(stands(), st.booleans(), st.booleans())
def test_what_every_decision_keeps(
    stand: tuple[list[AssignmentState], Terms], late: bool, grace_over: bool
) -> None:
    states, terms = stand
    verdict = decide(states, terms, late=late, grace_over=grace_over)
    accepted = states.count(A.ACCEPTED)
    active = sum(state not in ASSIGNMENT_TERMINAL for state in states)
    if accepted >= terms.target:
        assert verdict is Verdict.CLOSE
    if accepted >= terms.quorum:
        assert verdict in {Verdict.CLOSE, Verdict.WAIT}, "with its quorum no round fails"
    else:
        assert verdict is not Verdict.CLOSE, "without its quorum no round closes"
    if late or active == 0:
        assert verdict is not Verdict.WAIT, "no round waits for nobody, or behind its deadline"
    if not terms.extensions_left:
        assert verdict is not Verdict.EXTEND, "so the last deadline is the last"
    if verdict is Verdict.EXTEND:
        assert accepted + active + terms.spare >= terms.quorum, "only where it can help"
        n = missing(states, terms.quorum, late=late)
        assert n > 0
        assert late or accepted + active + n == terms.quorum


def codes(spec: dict[str, Any], offers: dict[str, Any]) -> list[str]:
    known = {c: ClientOffer.model_validate(o) if o else None for c, o in offers.items()}
    return [reason.code for reason in refusals(JobSpec.model_validate(spec), known)]


def test_a_possible_job_is_admitted() -> None:
    assert codes(job_spec(["c1"]), {"c1": offer()}) == []


def test_every_reason_is_named() -> None:
    spec = job_spec(["c1", "c2", "c3"])
    spec["tasks"]["drawing"] = {"kind": "image_generation", "modalities": ["image"]}
    reasons = codes(spec, {"c1": offer(), "c2": None})
    assert reasons == [
        "client_without_offer",
        "unknown_client",
        "task_without_client",
        "quorum_unreachable",
    ]


def test_a_teacher_that_is_switched_off_is_told_nothing() -> None:
    spec = job_spec(["c1"], algorithm={"name": "tap", "distillation": False, "temperature": 2})
    spec["tasks"]["digits"]["distillation_weight"] = 0.5
    known = {"c1": ClientOffer.model_validate(offer())}
    reasons = refusals(JobSpec.model_validate(spec), known)
    assert [reason.code for reason in reasons] == ["no_teacher"] * 2
    assert [reason.sentence.partition(": ")[0] for reason in reasons] == [
        "tasks.digits.distillation_weight",
        "algorithm.temperature",
    ]
    assert reasons[0].sentence.endswith("switches off; leave one of both out")


@pytest.mark.parametrize("name", sorted({*NAMES} - {"tap", "tap-plus"}))
def test_who_has_no_teacher_is_told_nothing(name: str) -> None:
    spec = job_spec(["c1"], algorithm={"name": name})
    spec["tasks"]["digits"] |= {"distillation_weight": 0.5, "margin": 0.1}
    (reason,) = refusals(JobSpec.model_validate(spec), {"c1": ClientOffer.model_validate(offer())})
    assert reason.sentence == (
        "tasks.digits.distillation_weight: is of distillation, which algorithm "
        f"{name} does not have; leave one of both out"
    )


@pytest.mark.parametrize("name", ["tap", "tap-plus"])
def test_a_teacher_is_told_what_a_task_weighs(name: str) -> None:
    spec = job_spec(["c1"], algorithm={"name": name})
    spec["tasks"]["digits"] |= {"distillation_weight": 0.5, "margin": 0.1}
    assert codes(spec, {"c1": offer()}) == []


@pytest.mark.parametrize("weight", [0, 1])
@pytest.mark.parametrize("algorithm", [{"name": "tap", "distillation": False}, {"name": "fedavg"}])
def test_no_weight_and_the_weight_that_nobody_chose_do_without_a_teacher(
    algorithm: dict[str, Any], weight: float
) -> None:
    spec = job_spec(["c1"], algorithm=algorithm)
    spec["tasks"]["digits"]["distillation_weight"] = weight
    assert codes(spec, {"c1": offer()}) == []


def test_a_client_of_other_tasks_is_refused() -> None:
    spec = job_spec(["c1", "c2"], rounds={"count": 1, "quorum": 1})
    other = {"tasks": {"birds": offer()["tasks"]["digits"]}}
    assert codes(spec, {"c1": offer(), "c2": other}) == ["client_without_task"]


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "image_generation"},
        {"modalities": ["image", "text"]},
        {"n_classes": 3},
        {"train": {"elsewhere": 3}},
    ],
)
def test_an_offer_that_differs_is_refused(change: dict[str, Any]) -> None:
    offered = offer()
    offered["tasks"]["digits"] |= change
    assert codes(job_spec(["c1"]), {"c1": offered}) == ["offer_mismatch"]


@pytest.mark.parametrize(
    ("modalities", "codes_of_it"),
    [
        (["image", "text"], []),
        (["image"], []),
        (["text"], ["offer_mismatch"]),
        ([], ["offer_mismatch"]),
    ],
)
def test_an_offer_may_lack_what_the_kind_can_spare(
    modalities: list[str], codes_of_it: list[str]
) -> None:
    spec = job_spec(["c1", "c2"])
    spec["tasks"]["digits"]["modalities"] = ["image", "text"]
    whole, narrow = offer(), offer()
    whole["tasks"]["digits"]["modalities"] = ["image", "text"]
    narrow["tasks"]["digits"]["modalities"] = modalities
    assert codes(spec, {"c1": whole, "c2": narrow}) == codes_of_it


def test_a_modality_that_no_client_reads_has_no_components() -> None:
    spec = job_spec(["c1"])
    spec["tasks"]["digits"]["modalities"] = ["image", "text"]
    assert codes(spec, {"c1": offer()}) == ["modality_without_client"]


def test_budgets_count_both_stages() -> None:
    spec = JobSpec.model_validate(job_spec(["c1"]))
    assert optimizer_steps(spec) == {"rounds": 40, "post_training": 13, "total": 53}
    plain = JobSpec.model_validate(
        job_spec(["c1"], algorithm={"name": "fedavg", "post_training": False})
    )
    assert not plain.algorithm.personalizes
    assert optimizer_steps(plain)["total"] == 40
    twice = JobSpec.model_validate(
        job_spec(["c1"], algorithm={"name": "fedavg", "equal_compute": True})
    )
    assert optimizer_steps(twice) == {"rounds": 80, "post_training": 26, "total": 106}
