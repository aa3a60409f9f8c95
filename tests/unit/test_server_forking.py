"""Which changed specs can continue from a version of another job."""

from typing import Any

import pytest

from server.aggregation import client_components
from server.jobs.fork_admission import Origin, fork_refusals
from shared.job_spec import JobSpec
from shared.messages import ClientOffer
from tests.support.scripted import SHA, job_spec, offer

pytestmark = pytest.mark.unit

SPEC = job_spec(["c1"], rounds={"count": 4})
OFFER = ClientOffer.model_validate(offer())


def codes(number: int = 2, now: ClientOffer | None = OFFER, **changes: Any) -> list[str]:
    parent = JobSpec.model_validate(SPEC)
    components = {str(c) for c in client_components(parent, OFFER)}
    origin = Origin(number, parent, SHA, components, {"c1": OFFER})
    spec = JobSpec.model_validate({**SPEC, **changes})
    return [reason.code for reason in fork_refusals(spec, {"c1": now}, origin)]


def task(**changes: Any) -> dict[str, Any]:
    return {"digits": {**SPEC["tasks"]["digits"], **changes}}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"rounds": {"count": 2}},
        {"algorithm": {"name": "fedavg"}, "seed": 7},
        {"training": {"local_steps": 3}},
        {"model": {"digest": SHA}},
        {"tasks": task(margin=0.5)},
        {"now": None},
    ],
)
def test_what_may_change(changes: dict[str, Any]) -> None:
    assert codes(**changes) == []


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"rounds": {"count": 1}}, "no_rounds_left"),
        ({"model": {"lora": {"dropout": 0.1}}}, "other_model"),
        ({"model": {"digest": "b" * 64}}, "other_model"),
        ({"aggregation": {"low_rank": "ffa"}}, "other_model"),
        ({"aggregation": {"low_rank": "fedsa"}}, "other_model"),
        ({"tasks": task(classes=["b", "a"])}, "other_task"),
        ({"tasks": {"letters": task()["digits"]}}, "no_component"),
    ],
)
def test_what_may_not_change(changes: dict[str, Any], code: str) -> None:
    letters = ClientOffer(tasks={**OFFER.tasks, "letters": OFFER.tasks["digits"]})
    assert codes(now=letters, **changes) == [code]


def test_a_task_that_is_not_offered_any_more_is_named() -> None:
    other = ClientOffer(tasks={"letters": OFFER.tasks["digits"]})
    assert codes(now=other) == ["task_withdrawn"]
