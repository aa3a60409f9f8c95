"""What a result may not say, for it could not be summed, stored or shown."""

from typing import Any

import pytest
from pydantic import TypeAdapter

from server.assignments.sound import unsound
from shared.results import AssignmentResult
from tests.support.finished import score
from tests.support.scripted import SHA, train_result

pytestmark = pytest.mark.unit
_RESULT: TypeAdapter[Any] = TypeAdapter(AssignmentResult)
_LEASE = {"lease_id": "00000000-0000-4000-8000-000000000000", "attempt": 1}


def said(result: dict[str, Any]) -> list[str]:
    return list(unsound(_RESULT.validate_python({**result, **_LEASE})))


def trained(**changes: Any) -> dict[str, Any]:
    return {**train_result({"proj": SHA}), **changes}


def test_nothing_is_wrong_with_what_workers_say() -> None:
    pace = {"steps": 2**40, "step_seconds": 1e6}
    assert said(trained(pace=pace)) == []
    assert said({"kind": "plan", "components": {"proj": SHA}}) == []


def test_what_lasts_longer_than_anything_is_refused() -> None:
    endless = {"steps": 1, "step_seconds": 2e9}
    assert said(trained(traffic={"seconds": 1e20}, pace=endless)) == [
        "traffic.seconds: is more than 1000000000 seconds; say how long it took",
        "pace.step_seconds: is more than 1000000000 seconds; say how long it took",
    ]
    assert len(said({"kind": "personalize", "losses": {}, "pace": endless})) == 1


@pytest.mark.parametrize(
    ("place", "wrong"),
    [
        ("traffic.bytes_down", {"traffic": {"bytes_down": 2**63}}),
        ("traffic.bytes_up", {"traffic": {"bytes_up": 2**53 + 1}}),
        ("pace.steps", {"pace": {"steps": 10**400, "step_seconds": 1.0}}),
        ("samples_at_once", {"samples_at_once": 2**63}),
    ],
)
def test_counts_whose_sums_cannot_be_held_are_refused(place: str, wrong: dict[str, Any]) -> None:
    assert said(trained(**wrong)) == [
        f"{place}: must be at most 9007199254740992; say what was counted"
    ]
    assert said(trained(traffic={"bytes_down": 2**53})) == []


def evaluated(**changes: Any) -> dict[str, Any]:
    return {"kind": "evaluate", "scores": {"distilled": {"digits": {**score(0.8), **changes}}}}


@pytest.mark.parametrize(
    ("place", "wrong"),
    [
        ("metric", {"metric": "a\0"}),
        ("encoder", {"encoder": "a\0"}),
        ("metrics", {"metrics": {"a\0": 1.0}}),
        ("intervals", {"intervals": {"a\0": [0.1, 0.2]}}),
    ],
)
def test_names_that_cannot_be_stored_are_refused(place: str, wrong: dict[str, Any]) -> None:
    sentence = f"scores.distilled.digits.{place}: must have no NUL character; remove it"
    assert said(evaluated(**wrong)) == [sentence]


def test_samples_are_counted_too() -> None:
    [only] = said(evaluated(n=2**63))
    assert only.startswith("scores.distilled.digits.n: must be at most")
    assert said(evaluated(encoder="bert, layer 9")) == []


def test_shares_are_from_0_to_1() -> None:
    assert said(evaluated(value=1.5)) == [
        "scores.distilled.digits.value: is 1.5 and accuracy a share; send one from 0 to 1"
    ]
    models = {"personal": {"digits": {**score(0.0), "metric": "exact_match", "value": -0.1}}}
    [only] = said({"kind": "evaluate", "scores": {}, "validation": models})
    assert only.startswith("validation.personal.digits.value: is -0.1 and exact_match a share")
    assert said(evaluated(value=0)) == said(evaluated(metric="nll", value=1.5)) == []


def test_a_task_has_one_decision() -> None:
    [one] = trained()["decisions"]
    two = [one, {**one, "replaced": False}]
    assert said(trained(decisions=two)) == ["decisions: has 2 of the task digits; send one"]
    assert said(trained(decisions=[one, {**one, "task": "vqa"}])) == []
