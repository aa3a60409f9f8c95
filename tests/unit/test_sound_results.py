"""What a result may not say, for it could not be summed, stored or shown."""

from typing import Any

import pytest
from pydantic import TypeAdapter

from server.assignments.sound import unsound
from shared.results import AssignmentResult
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
