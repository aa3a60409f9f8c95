"""The typed client reads what the server answers, and brings lists whole."""

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from shared.api_client import ApiClient
from shared.dry_run import DryRunDescription, DryRunFailure, Verdict
from shared.job_spec import JobSpec
from shared.messages import Catalogue, FailureCode
from shared.states import JobState
from tests.support.scripted import SHA, World, component_spec, job_spec

pytestmark = pytest.mark.integration


class Short(TestClient):
    """Speaks for httpx, with a key; asks for two items of a list at most."""

    def __init__(self, world: World, key: str) -> None:
        super().__init__(world.http.app)
        self._key = {"Authorization": f"Bearer {key}"}

    def request(self, method: str, url: Any, **more: Any) -> Any:
        params = dict(more.pop("params", None) or {})
        if "limit" in params:
            params["limit"] = 2
        more.pop("timeout", None)
        headers = {**(more.pop("headers", None) or {}), **self._key}
        return super().request(method, url, params=params, headers=headers, **more)


@pytest.fixture
def api(pair: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[ApiClient]:
    with ApiClient("http://testserver", "none") as made:
        monkeypatch.setattr(made, "_http", Short(pair, pair.operator.key))
        yield made


def test_lists_are_brought_whole(pair: World, api: ApiClient) -> None:
    names = ["cherry", "Apple", "apple"]
    for name in names:
        pair.launch(name=name)
    assert [job.name for job in api.jobs()] == names[::-1]
    assert [job.name for job in api.jobs(name="APPLE", order="created_at")] == names[1:]
    assert [job.name for job in api.jobs(states=[JobState.SUCCEEDED])] == []
    pair.add_client("c3")
    assert [client.id for client in api.clients()] == ["c1", "c2", "c3"]


def test_a_dry_run_goes_from_operator_to_planner_and_back(
    pair: World, api: ApiClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = JobSpec.model_validate(job_spec(["c1", "c2"]))
    asked = api.try_out(spec, "once")
    assert api.dry_run(asked.id, wait_s=0.1).waiting == asked.waiting
    operator = api._http
    monkeypatch.setattr(api, "_http", Short(pair, pair.planner.key))
    claim = api.claim_dry_run()
    assert claim is not None
    assert (claim.id, claim.spec) == (asked.id, spec)
    assert api.claim_dry_run() is None
    components = dict.fromkeys(claim.components, component_spec())
    found = DryRunDescription(
        catalogue=Catalogue(base_digest=SHA, components=components),
        version=dict.fromkeys(claim.components, SHA),
    )
    api.describe_dry_run(claim.id, found)
    reason = DryRunFailure(code=FailureCode.INTERNAL, message="too late")
    api.fail_dry_run(claim.id, reason)
    monkeypatch.setattr(api, "_http", operator)
    assert api.dry_run(asked.id).verdict is Verdict.CAN_RUN


def test_every_answer_of_a_running_job_is_read(pair: World, api: ApiClient) -> None:
    job = pair.trained()
    pair.advance(job)
    pair.advance(job)
    view = api.job(job)
    assert view == api.job(job, after=0, wait_s=1.0)
    assert [each.number for each in api.rounds(job)] == [1, 2]
    assert api.round(job, 1).last_event == view.last_event
    assert [each.number for each in api.versions(job)] == [0, 1]
    assert api.version(job, 1).number == 1
    assert api.events(job).items[-1].id == view.last_event
    assert api.waiting(job).items
    assert [row.round for row in api.attendance(job).items] == [1, 2]
    assert api.client("c1").offer is not None
    assert api.whoami().scope == "operator"
    assert api.pause(job).state == "paused"
    assert api.resume(job).state == "running"
    assert api.cancel(job).state == "cancelling"
