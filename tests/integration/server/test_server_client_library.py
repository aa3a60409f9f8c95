"""The typed client reads what the server answers, and brings lists whole."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient

from server.auth import create_key
from server.columns import Scope
from shared.api_client import ApiClient
from shared.dry_run import DryRunDescription, DryRunFailure, Verdict
from shared.job_spec import JobSpec
from shared.keys import ClientKeyCreate, KeyCreate, KeyScope, KeyState
from shared.messages import AssignmentKind, Catalogue, FailureCode
from shared.states import JobState, RoundState
from shared.transport import ApiError
from tests.support.scripted import SHA, World, component_spec, job_spec
from tests.support.serving import served

pytestmark = pytest.mark.integration


class Short(TestClient):
    """Speaks for httpx, with a key; asks for two items of a list at most."""

    def __init__(self, world: World, key: str) -> None:
        super().__init__(world.http.app)
        self.headers["Authorization"] = f"Bearer {key}"

    def request(self, method: str, url: Any, **more: Any) -> Any:
        params = dict(more.pop("params", None) or {})
        if "limit" in params:
            params["limit"] = 2
        more.pop("timeout", None)
        return super().request(method, url, params=params, **more)


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
    assert [each.number for each in api.versions(job, order="-number", most=1)] == [1]
    assert [each.number for each in api.versions(job, after_version=0)] == [1]
    assert [each.number for each in api.rounds(job, states=[RoundState.OPEN])] == [2]
    assert [each.number for each in api.rounds(job, after_round=1, order="-number")] == [2]
    assert api.round(job, 0, phase=AssignmentKind.PLAN).number == 0
    assert [each.number for each in api.rounds(job, phase=AssignmentKind.PLAN)] == [0]
    assert [each.id for each in api.clients("digits", "-id", there=True)] == ["c2", "c1"]
    assert [each.round for each in api.attendance(job, order="-round").items] == [2, 1]
    assert api.version(job, 1).number == 1
    assert list(api.events(job))[-1].id == view.last_event
    kinds = [each.kind for each in api.events(job, kinds=["job"])]
    assert kinds == ["job.submitted", "job.planning", "job.running"]
    assert api.waiting(job).items
    assert [row.round for row in api.attendance(job).items] == [1, 2]
    assert api.client("c1").offer is not None
    assert api.whoami().scope == "operator"
    assert api.pause(job).state == "paused"
    assert api.resume(job).state == "running"
    assert api.cancel(job).state == "cancelling"


def test_waiting_for_rounds_goes_on_behind_the_last_event(pair: World, api: ApiClient) -> None:
    job = pair.trained()
    for _ in range(2):
        pair.advance(job)
    found = api.await_rounds(job, after=0, wait_s=60)
    assert [each.number for each in found.items] == [1, 2]
    assert found.last_event == api.job(job).last_event
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(api.round, job, 2, found.last_event, 60)
        api.pause(job)
        assert asked.result(30).last_event > found.last_event
    bars = list(api.timeline(job))
    assert [(bar.round, bar.client) for bar in bars] == [(1, "c1"), (1, "c2")]
    assert list(api.timeline(job, after_round=1)) == []


def test_events_are_followed_to_where_one_left_off(pair: World) -> None:
    job, other = pair.launch(), pair.launch(name="another")
    with (
        served(pair.http.app, lifespan="off") as address,
        ApiClient(address, pair.operator.key) as api,
    ):
        with api.follow(job) as heard:
            first = next(heard)
            assert (first.kind, str(first.job_id)) == ("job.submitted", job)
            api.pause(job)
            assert next(filter(lambda event: event.kind == "job.paused", heard)).job_id
            known = heard.known
        assert list(api.events(job))[-1].id == known
        api.cancel(job)
        with api.follow(job, after=known) as heard:
            assert next(heard).id > known
        with api.follow_all() as heard:
            everything = list(api.all_events())
            assert {next(heard).id for _ in everything} == {event.id for event in everything}
        assert {str(event.job_id) for event in everything} >= {job, other}


def test_tables_are_brought_whole(pair: World, api: ApiClient) -> None:
    job = pair.trained()
    pair.advance(job)
    pair.train("c1", 2.0)
    places = [(1, "c1"), (1, "c2"), (2, "c1")]
    assert [(row.round, row.client) for row in api.losses(job)] == places
    assert [(row.round, row.client) for row in api.replacements(job)] == places
    assert [row.round for row in api.losses(job, client="c1", task="digits", after_round=1)] == [2]
    components = list(api.components(job))
    assert len(components) > 2
    assert len(list(api.contributions(job))) == 2 * len(components)
    assert {row.client for row in api.contributions(job, "c2", "proj", 0)} == {"c2"}
    assert list(api.contributions(job, after_version=1)) == []
    assert [(row.round, row.state) for row in api.traffic(job)] == [(1, "published"), (2, "open")]
    assert list(api.scores(job)) == []


def test_a_table_is_brought_as_csv(pair: World, api: ApiClient) -> None:
    job = pair.trained()
    kept: list[bytes] = []

    def keep(chunks: Iterator[bytes]) -> None:
        kept.append(b"".join(chunks))

    api.table_csv(job, "losses", keep)
    assert kept == [
        b"round,client,task,engaged,personal\r\n1,c1,digits,0.5,0.4\r\n1,c2,digits,0.5,0.4\r\n"
    ]
    with pytest.raises(ApiError, match="no such job"):
        api.table_csv("0" * 32, "losses", keep)


def test_keys_are_made_listed_and_revoked(
    pair: World, api: ApiClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pair.context.sessions.begin() as session:
        monkeypatch.setattr(api, "_http", Short(pair, create_key(session, Scope.ADMIN)))
    made = api.create_key(KeyCreate(scope=KeyScope.VIEWER, lifetime=timedelta(days=90)), "one")
    second = api.create_client_key("c1", ClientKeyCreate(), "two")
    assert {each.prefix for each in api.keys("c1")} > {second.prefix}
    assert api.revoke_key(made.prefix).state == KeyState.REVOKED
    prefixes = [each.prefix for each in api.keys(live=True)]
    assert second.prefix in prefixes
    assert made.prefix not in prefixes
