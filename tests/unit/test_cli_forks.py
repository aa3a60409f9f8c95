"""Distilling again and onboarding: the specs of their forks, and what their reports say."""

from typing import Any
from uuid import UUID

import pytest

from cli.exits import UsageError
from cli.forks import StageTwo, distilled_again, onboarding, version_of, weights_of
from cli.listing import origin, verdicts
from server import examples
from shared.messages import ClientOffer
from shared.reports import ReportView
from shared.spec_files import SpecError
from shared.views import ForkOrigin, JobDetail, VersionSummary
from tests.support.scripted import offer

pytestmark = pytest.mark.unit

READS = {"kind": "text_classification", "modalities": ["text"], "classes": ["bad", "good"]}
DIGITS = ClientOffer.model_validate(offer())
OTHERS = ClientOffer(tasks={"birds": DIGITS.tasks["digits"]})
WITHOUT = "--temperature and --weight are of distillation, which the job's {} is without: "


def parent(**changes: Any) -> JobDetail:
    tasks = {**examples.JOB_SPEC["tasks"], "reviews": READS}
    rounds = {"count": 4, "clients_per_round": 3, "quorum": 2, "deadline": "PT10M"}
    spec = {**examples.JOB_SPEC, "tasks": tasks, "rounds": rounds, **changes}
    return JobDetail.model_validate({**examples.JOB_DETAIL, "spec": spec})


def versions(*numbers: int) -> list[VersionSummary]:
    [one] = examples.VERSIONS["items"]
    return [VersionSummary.model_validate({**one, "number": n}) for n in numbers]


def test_without_wishes_stage_two_is_the_parents() -> None:
    job = parent()
    spec = distilled_again(job, 4, StageTwo(name=job.name))
    assert spec == job.spec


def test_what_is_wished_is_changed_and_nothing_else() -> None:
    job = parent()
    wish = StageTwo(7, 0.5, 2.0, {"reviews": 0.25})
    spec = distilled_again(job, 3, wish)
    assert (spec.post.steps, spec.post.learning_rate, spec.rounds.count) == (7, 0.5, 3)
    assert spec.model_dump()["algorithm"]["temperature"] == 2.0
    assert spec.tasks["reviews"].distillation_weight == 0.25
    assert spec.tasks["digits"] == job.spec.tasks["digits"]
    assert spec.name == f"{job.name}: distilled again"
    assert spec.clients == job.spec.clients


def test_a_long_name_still_makes_one() -> None:
    job = parent().model_copy(update={"name": "n" * 200})
    assert len(distilled_again(job, 1, StageTwo()).name) == 200


@pytest.mark.parametrize(
    ("algorithm", "wish", "sentence"),
    [
        (
            {"name": "fedavg"},
            StageTwo(temperature=2.0),
            WITHOUT.format("fedavg") + "leave them out",
        ),
        (
            {"name": "tap", "distillation": False},
            StageTwo(weights={"digits": 1.0}),
            WITHOUT.format("tap") + "leave them out",
        ),
        (
            {"name": "fedavg", "post_training": False},
            StageTwo(),
            "the job's fedavg has no stage two: fork it by tapestry fork JOB --round N --spec FILE",
        ),
        (
            {"name": "tap"},
            StageTwo(weights={"digts": 1.0}),
            "--weight names digts, which is no task of the job: choose one of digits, reviews",
        ),
    ],
)
def test_what_a_job_has_not_cannot_be_told(
    algorithm: dict[str, Any], wish: StageTwo, sentence: str
) -> None:
    with pytest.raises(UsageError) as caught:
        distilled_again(parent(algorithm=algorithm), 4, wish)
    assert str(caught.value).startswith(sentence)


def test_fedavg_is_trained_locally_again() -> None:
    spec = distilled_again(parent(algorithm={"name": "fedavg"}), 4, StageTwo(steps=5))
    assert spec.post.steps == 5


@pytest.mark.parametrize(
    ("wish", "sentence"),
    [
        (StageTwo(learning_rate=0.0), "post.learning_rate: must be more than 0"),
        (StageTwo(temperature=-1.0), "algorithm.tap.temperature: must be more than 0"),
        (StageTwo(temperature=float("inf")), "algorithm.tap.temperature: must be a finite number"),
        (
            StageTwo(weights={"digits": -0.5}),
            "tasks.digits.distillation_weight: must be at least 0.0; raise it (given: -0.5)",
        ),
        (
            StageTwo(weights={"digits": float("inf")}),
            "tasks.digits.distillation_weight: must be a finite number",
        ),
    ],
)
def test_values_out_of_range_are_named(wish: StageTwo, sentence: str) -> None:
    with pytest.raises(SpecError) as caught:
        distilled_again(parent(), 4, wish)
    assert f"the fork's spec: {sentence}" in str(caught.value)


def test_weights_are_read() -> None:
    assert weights_of(["digits=0.5", "vqa=0"]) == {"digits": 0.5, "vqa": 0.0}
    for wrong in ("digits", "digits=", "digits=much"):
        with pytest.raises(UsageError, match="write it as TASK=LAMBDA"):
            weights_of([wrong])
    with pytest.raises(UsageError, match="names digits twice"):
        weights_of(["digits=1", "digits=2"])


def test_the_newest_version_is_taken_unless_told() -> None:
    assert version_of(versions(0, 1, 2), None) == 2
    assert version_of(versions(0, 1, 2), 1) == 1
    for none, number in ((versions(), None), (versions(0), None), (versions(0, 1), 0)):
        with pytest.raises(UsageError, match="wait until the job's first round is published"):
            version_of(none, number)


def test_newcomers_are_asked_for_what_they_have() -> None:
    spec = onboarding(parent(), 4, ["c9"], {"c9": DIGITS, "c8": None}, StageTwo(steps=3))
    assert spec.clients == ("c9",)
    assert list(spec.tasks) == ["digits"]
    assert (spec.rounds.count, spec.quorum, spec.clients_per_round) == (4, 1, 1)
    assert spec.post.steps == 3
    assert spec.name == f"{examples.JOB_SPEC['name']}: with c9"


@pytest.mark.parametrize(
    ("client", "sentence"),
    [
        (
            "c02",
            (
                "c02 took part in the job already: leave it out, and give it another stage two by "
                "tapestry distil JOB"
            ),
        ),
        ("c10", "c10 is not registered: choose one that `tapestry clients` lists"),
        ("c8", "c8 has made no offer: start its worker"),
        ("c7", "c7 offers none of the job's tasks (digits, reviews) but birds: leave it out"),
    ],
)
def test_who_is_no_newcomer_is_told_why(client: str, sentence: str) -> None:
    known = {"c02": DIGITS, "c7": OTHERS, "c8": None, "c9": DIGITS}
    with pytest.raises(UsageError) as caught:
        onboarding(parent(), 4, ["c9", client], known, StageTwo())
    assert str(caught.value) == sentence


def test_a_newcomer_is_named_once() -> None:
    with pytest.raises(SpecError, match="clients names a client twice"):
        onboarding(parent(), 4, ["c9", "c9"], {"c9": DIGITS}, StageTwo())


def report(*scores: tuple[str, float], reference: float = 0.5, **changes: Any) -> ReportView:
    [row] = examples.REPORT["scores"]
    rows = [
        {
            **row,
            "variant": variant,
            "score": {
                **row["score"],
                "value": value,
                "reference": reference,
                "skill": value - reference,
            },
        }
        for variant, value in scores
    ]
    fork = {"job": str(UUID(int=1)), "round": 4}
    given = {**examples.REPORT, "forked_from": fork, "rounds": 0, "scores": rows, **changes}
    return ReportView.model_validate(given)


def test_a_report_of_stage_two_alone_says_what_it_gave() -> None:
    tap = report(("engaged", 0.41), ("personal", 0.41), ("post_trained", 0.5), ("distilled", 0.55))
    [said] = verdicts(tap)
    assert said == (
        "c01 digits (accuracy): the server's model 0.410, after stage two's 13 steps 0.550; "
        "better than the best constant answer (0.500)"
    )
    [guarded] = verdicts(report(("engaged", 0.41), ("distilled", 0.55), ("guarded", 0.6)))
    assert "13 steps 0.600" in guarded
    fedavg = report(("engaged", 0.41), ("post_trained", 0.3))
    assert verdicts(fedavg)[0].endswith("0.300; no better than the best constant answer (0.500)")
    [fedper] = verdicts(report(("personal", 0.1), ("post_trained", 0.6)))
    assert "its model before 0.100, after stage two's 13 steps 0.600" in fedper
    [alone] = verdicts(report(("post_trained", 0.6)))
    assert "nothing measured before, after" in alone


def test_other_reports_say_nothing_of_it() -> None:
    assert verdicts(report(("distilled", 0.5), rounds=1)) == []
    assert verdicts(report(("distilled", 0.5), forked_from=None)) == []
    assert verdicts(report(("engaged", 0.5))) == []


def test_a_fork_names_the_round_of_its_personal_states() -> None:
    fork = ForkOrigin(job=UUID(int=1), round=4, personal_round=2)
    assert origin(fork).endswith("round 4 with the personal states of round 2")
