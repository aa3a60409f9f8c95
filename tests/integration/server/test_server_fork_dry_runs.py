"""Dry runs of forks: complete at once, as forking would answer, and nothing is launched."""

from typing import Any

import pytest

from server.dry_runs.service import forget_old
from shared.dry_run import DryRunView
from tests.support.scripted import SHA, Json, World, component_bytes, job_spec, offer

pytestmark = pytest.mark.integration

N_BYTES = len(component_bytes(0, 0, 0))  # of a component of three values


def wish(number: int, **changes: Any) -> Json:
    return {"round": number, "spec": job_spec(["c1", "c2"], **changes)}


def path(parent: str) -> str:
    return f"/v1/jobs/{parent}/fork:dry-run"


def ask(world: World, parent: str, asked: Json, **more: Any) -> DryRunView:
    return DryRunView.model_validate(world.operator.ok("POST", path(parent), json=asked, **more))


def test_it_says_at_once_what_would_follow(pair: World, two_rounds: str) -> None:
    jobs = pair.value("SELECT count(*) FROM jobs")
    found = ask(pair, two_rounds, wish(1, rounds={"count": 3}))
    assert (found.verdict, found.complete, found.waiting) == ("can_run", True, None)
    assert found.base_digest == SHA
    assert found.forked_from is not None
    assert (str(found.forked_from.job), found.forked_from.round) == (two_rounds, 1)
    n = len(found.components)
    assert found.components["proj"].contributors == {"c1": 10, "c2": 30}
    assert found.version is not None
    assert found.version.n_bytes == n * N_BYTES
    assert found.job is not None
    assert found.job.rounds == 2
    assert found.job.bytes_up == 2 * 2 * n * N_BYTES
    # Every component became (1, 1, 1) in round 1: one artifact.
    assert found.job.bytes_down == 2 * N_BYTES + 2 * 2 * n * N_BYTES
    assert pair.value("SELECT count(*) FROM jobs") == jobs
    assert pair.planner.ok("POST", "/v1/dry-runs:claim") is None, "no planner is asked"
    shown = pair.viewer.ok("GET", f"/v1/dry-runs/{found.id}")
    assert DryRunView.model_validate(shown) == found


def test_it_is_what_the_fork_then_moves(pair: World, two_rounds: str) -> None:
    asked = wish(0, rounds={"count": 1})
    foreseen = ask(pair, two_rounds, asked).round
    made = pair.operator.ok("POST", f"/v1/jobs/{two_rounds}/fork", json=asked)
    pair.advance(made["id"])
    for client in ("c1", "c2"):
        pair.train(client, 7.0)
    pair.advance(made["id"])
    row = pair.viewer.ok("GET", f"/v1/jobs/{made['id']}/rounds/1")
    assert foreseen is not None
    assert row["bytes_up"] == foreseen.bytes_up
    assert row["bytes_full_exchange"] == foreseen.bytes_full_exchange


def test_a_fork_behind_the_last_round_has_only_its_end(pair: World, two_rounds: str) -> None:
    found = ask(pair, two_rounds, {**wish(2), "personal_round": 1})
    assert found.verdict == "can_run"
    assert found.forked_from is not None
    assert found.forked_from.personal_round == 1
    assert found.job is not None
    assert (found.job.rounds, found.job.bytes_up) == (0, 0)
    assert found.job.bytes_down == 2 * N_BYTES
    assert found.round is None
    assert {maker for plan in found.components.values() for maker in plan.contributors} == set()
    assert found.warnings == ()


def test_all_that_forking_refuses_is_listed(pair: World, two_rounds: str) -> None:
    changed = job_spec(["c1", "c2", "c9"])["tasks"]["digits"]
    other = {"digits": {**changed, "classes": ["a", "b", "c"]}, "new": changed}
    spec = job_spec(["c1", "c2", "c9"], rounds={"count": 1}, tasks=other)
    asked = {"round": 2, "spec": spec}
    refused = pair.operator("POST", f"/v1/jobs/{two_rounds}/fork", json=asked).json()
    found = ask(pair, two_rounds, asked)
    assert (found.verdict, found.complete) == ("cannot_run", True)
    assert [reason.sentence for reason in found.reasons] == refused["errors"]
    codes = {str(reason.code) for reason in found.reasons}
    assert {"no_rounds_left", "other_task", "unknown_client"} <= codes
    assert found.round is None


def test_offers_are_those_of_the_asking(pair: World, two_rounds: str) -> None:
    asked = ask(pair, two_rounds, wish(1))
    other = {"tasks": {"birds": offer()["tasks"]["digits"]}}
    pair.clients["c1"].ok("PUT", "/v1/clients/c1/offer", json=other)
    later = pair.viewer.ok("GET", f"/v1/dry-runs/{asked.id}")
    assert later["verdict"] == "can_run"
    again = ask(pair, two_rounds, wish(1))
    assert again.verdict == "cannot_run"
    assert str(again.reasons[-1].code) == "task_withdrawn"


@pytest.mark.parametrize(
    ("changes", "code"),
    [({"round": 3}, "no_version"), ({"personal_round": 0}, "no_personal_states")],
)
def test_what_there_is_not_is_told_as_forking_does(
    pair: World, two_rounds: str, changes: Json, code: str
) -> None:
    asked = {**wish(1), **changes}
    answers = [
        pair.operator("POST", place, json=asked)
        for place in (path(two_rounds), f"/v1/jobs/{two_rounds}/fork")
    ]
    assert [(a.status_code, a.json()["code"]) for a in answers] == [(409, code)] * 2
    assert answers[0].json()["detail"] == answers[1].json()["detail"]
    assert pair.value("SELECT count(*) FROM dry_runs") == 0


def test_an_idempotency_key_asks_once_of_each_job_until_it_is_forgotten(
    pair: World, two_rounds: str
) -> None:
    headers = {"Idempotency-Key": "once"}
    first = ask(pair, two_rounds, wish(1), headers=headers)
    assert ask(pair, two_rounds, wish(1), headers=headers).id == first.id
    other = pair.operator.ok("POST", f"/v1/jobs/{two_rounds}/fork", json=wish(1))["id"]
    pair.advance(other)
    assert ask(pair, other, wish(1), headers=headers).id != first.id
    pair.execute("UPDATE dry_runs SET created_at = created_at - interval '2 days'")
    pair.execute("UPDATE idempotency_keys SET created_at = created_at - interval '2 days'")
    forget_old(pair.context.sessions)
    assert pair.value("SELECT count(*) FROM dry_runs") == 0
    assert pair.value("SELECT count(*) FROM idempotency_keys WHERE key = 'once'") == 0
    assert ask(pair, two_rounds, wish(1), headers=headers).id != first.id
