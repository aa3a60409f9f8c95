"""Dry runs: what is said before anything is launched, and that nothing else notices them."""

import threading
from typing import Any
from uuid import uuid4

import pytest

from server.dry_runs.repository import MOST_ATTEMPTS
from server.dry_runs.service import forget_old
from shared.dry_run import DryRunView
from tests.support.dry_runs import again, ask, claim, describe, description
from tests.support.scripted import SHA, World, component_bytes, job_spec, offer

pytestmark = pytest.mark.integration

N_BYTES = len(component_bytes(0, 0, 0))  # of a component of three values


def test_one_answer_says_what_the_job_needs_and_costs(pair: World) -> None:
    spec = job_spec(["c1", "c2"], rounds={"count": 3})
    asked = ask(pair, spec)
    assert (asked.verdict, asked.complete) == ("unknown", False)
    assert asked.tasks["digits"].train == 40
    describe(pair, asked)
    found = again(pair, asked)
    assert (found.verdict, found.complete, found.reasons) == ("can_run", True, ())
    assert found.waiting is None
    n = len(found.components)
    assert n == 17  # 2 streams x 2 branches: 4 + 4 experts, 2 + 2 blocks, 2 of the domain, 3 more
    assert found.components["proj"].contributors == {"c1": 10, "c2": 30}
    client = found.clients["c1"]
    assert len(client.components) == n
    assert client.size is not None
    assert (client.size.n_values, client.size.frozen_bytes) == (3 * n, 100 * n)
    assert found.version == client.size
    assert client.traffic is not None
    assert (client.traffic.first_down, client.traffic.up) == (n * N_BYTES, n * N_BYTES)
    assert found.round is not None
    assert found.round.bytes_up == 2 * n * N_BYTES
    assert found.round.bytes_full_exchange == 2 * 2 * n * (12 + 100)
    assert found.job is not None
    assert found.job.bytes_down == 4 * 2 * n * N_BYTES, "three rounds and the final version"
    assert found.job.bytes_up == 3 * 2 * n * N_BYTES
    assert found.job.bytes_full_exchange == 7 * 2 * n * (12 + 100)
    assert pair.value("SELECT count(*) FROM jobs") == 0


def test_it_is_what_the_job_then_moves(pair: World) -> None:
    """The scripted planner's components differ in their last value, so none is pulled twice."""
    asked = ask(pair)
    describe(pair, asked)
    foreseen = again(pair, asked).round
    job = pair.trained()
    pair.advance(job)
    row = pair.viewer.ok("GET", f"/v1/jobs/{job}/rounds/1")
    assert foreseen is not None
    assert row["bytes_up"] == foreseen.bytes_up
    assert row["bytes_full_exchange"] == foreseen.bytes_full_exchange
    version = pair.viewer.ok("GET", f"/v1/jobs/{job}/versions/0")["manifest"].values()
    assert sum(each["n_bytes"] for each in version) * 2 == foreseen.bytes_down_first


def test_all_that_submitting_refuses_is_listed(pair: World) -> None:
    pair.add_client("c3")
    digits = job_spec([])["tasks"]["digits"]
    spec = job_spec(
        ["c1", "c2", "c3", "c9"],
        tasks={"digits": {**digits, "classes": ["a", "b", "c"]}, "unknown": digits},
    )
    refused = pair.operator("POST", "/v1/jobs", json=spec).json()
    found = ask(pair, spec)
    assert found.verdict == "cannot_run"
    assert found.complete
    assert [reason.sentence for reason in found.reasons] == refused["errors"]
    codes = {str(reason.code) for reason in found.reasons}
    assert codes == {
        "unknown_client",
        "client_without_offer",
        "offer_mismatch",
        "task_without_client",
        "quorum_unreachable",
    }
    assert set(found.clients) == {"c1", "c2", "c3"}
    assert claim(pair) is None, "no planner is asked about a job that cannot run"


def test_a_wrong_spec_is_refused_with_every_field(pair: World) -> None:
    answer = pair.operator("POST", "/v1/jobs:dry-run", json={"name": "x", "sed": 1})
    assert answer.status_code == 422
    assert len(answer.json()["errors"]) > 2
    assert pair.value("SELECT count(*) FROM dry_runs") == 0


def test_an_idempotency_key_asks_once(pair: World) -> None:
    headers = {"Idempotency-Key": "once"}
    assert ask(pair, headers=headers).id == ask(pair, headers=headers).id
    assert pair.value("SELECT count(*) FROM dry_runs") == 1


def test_it_waits_for_the_planner_and_no_longer(pair: World) -> None:
    asked = ask(pair, params={"wait": 0.5})
    assert not asked.complete
    answers: list[DryRunView] = []
    waits = threading.Thread(target=lambda: answers.append(again(pair, asked, wait=60)))
    waits.start()
    describe(pair, asked)
    waits.join(30)
    assert [answer.complete for answer in answers] == [True]


def test_without_a_planner_it_says_so(pair: World) -> None:
    waiting = ask(pair).waiting
    assert waiting is not None
    assert (waiting.cause, waiting.owner) == ("planner_silent", "planner")
    assert waiting.sentence.startswith("No planner has been seen yet")
    assert pair.planner.claim() is None
    waiting = ask(pair).waiting
    assert waiting is not None
    assert waiting.cause == "not_claimed"
    pair.execute("UPDATE api_keys SET seen_at = now() - interval '1 hour' WHERE scope = 'planner'")
    waiting = ask(pair).waiting
    assert waiting is not None
    assert waiting.sentence.startswith("No planner has been seen since 20")


def test_what_a_planner_cannot_make_is_a_reason(pair: World) -> None:
    asked = ask(pair)
    claimed = claim(pair)
    assert claimed is not None
    working = again(pair, asked).waiting
    assert working is not None
    assert working.cause == "working"
    body = {"code": "base_mismatch", "message": "the base is not here"}
    pair.planner.ok("PUT", f"/v1/dry-runs/{asked.id}/failure", json=body)
    found = again(pair, asked)
    assert (found.verdict, found.complete) == ("cannot_run", True)
    [reason] = found.reasons
    assert (reason.code, reason.sentence) == (
        "base_mismatch",
        "planner: cannot make version 0: the base is not here",
    )
    late = description(claimed["components"])
    pair.planner.ok("PUT", f"/v1/dry-runs/{asked.id}/description", json=late)
    assert again(pair, asked) == found.model_copy(update={"clients": again(pair, asked).clients})


def test_planners_that_die_over_it_are_not_asked_for_ever(pair: World) -> None:
    asked = ask(pair)
    for _ in range(MOST_ATTEMPTS):
        assert claim(pair) is not None
        assert claim(pair) is None, "one planner at a time"
        pair.execute("UPDATE dry_runs SET lease_until = now() - interval '1 second'")
    assert claim(pair) is None
    found = again(pair, asked)
    assert (found.verdict, found.complete) == ("cannot_run", True)
    assert "has begun 3 times" in found.reasons[0].sentence


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda body: body["catalogue"]["components"].pop("proj"), "proj is missing"),
        (lambda body: body["version"].pop("proj"), "version: has other components"),
        (lambda body: body["version"].update(other=SHA), "version: has other components"),
    ],
)
def test_a_wrong_description_is_refused(pair: World, change: Any, said: str) -> None:
    asked = ask(pair)
    claimed = claim(pair)
    assert claimed is not None
    body = description(claimed["components"])
    change(body)
    answer = pair.planner("PUT", f"/v1/dry-runs/{asked.id}/description", json=body)
    assert answer.status_code == 422
    assert any(said in error for error in answer.json()["errors"])
    assert not again(pair, asked).complete


def test_a_description_on_another_base_than_the_spec_s_is_refused(pair: World) -> None:
    asked = ask(pair, job_spec(["c1", "c2"], model={"digest": "b" * 64}))
    claimed = claim(pair)
    assert claimed is not None
    body = description(claimed["components"])
    answer = pair.planner("PUT", f"/v1/dry-runs/{asked.id}/description", json=body)
    assert answer.json()["code"] == "wrong_catalogue"
    assert pair.documents(answer, "PUT /v1/dry-runs/{dry_run_id}/description")


def test_what_is_not_there_is_not_found(pair: World) -> None:
    address = f"/v1/dry-runs/{uuid4()}"
    assert pair.viewer("GET", address, params={"wait": 5}).status_code == 404
    failure = {"code": "internal", "message": "no"}
    assert pair.planner("PUT", f"{address}/failure", json=failure).status_code == 404


def test_only_operators_ask_and_viewers_read(pair: World) -> None:
    spec = job_spec(["c1", "c2"])
    for caller in (pair.viewer, pair.planner, pair.clients["c1"]):
        assert caller("POST", "/v1/jobs:dry-run", json=spec).status_code == 403
    asked = ask(pair)
    for caller, status in ((pair.viewer, 200), (pair.planner, 403), (pair.clients["c1"], 403)):
        assert caller("GET", f"/v1/dry-runs/{asked.id}").status_code == status
    for caller in (pair.operator, pair.clients["c1"]):
        assert caller("POST", "/v1/dry-runs:claim").status_code == 403


def test_who_is_there_is_as_of_now(pair: World) -> None:
    asked = ask(pair)
    assert asked.warnings == ()
    pair.execute("UPDATE clients SET seen_at = now() - interval '1 hour' WHERE id = 'c2'")
    away, quorum = again(pair, asked).warnings
    assert "1 of 2 are not there now, c2 (last seen 20" in away
    assert "2 clients are needed and 1 are there now" in quorum


def test_later_offers_are_for_another_dry_run(pair: World) -> None:
    asked = ask(pair)
    pair.clients["c1"].ok("PUT", "/v1/clients/c1/offer", json=offer(train={"general": 99}))
    assert again(pair, asked).tasks["digits"].clients["c1"].train == 10
    assert ask(pair).tasks["digits"].clients["c1"].train == 99


def test_real_jobs_do_not_notice(pair: World) -> None:
    """A dry run that is being described holds up neither planning nor a client."""
    asked = ask(pair)
    assert claim(pair) is not None
    job = pair.trained(priority=-100)
    pair.advance(job)
    assert pair.job(job)["round"] == 2
    assert not again(pair, asked).complete


def test_old_ones_are_forgotten_with_their_keys(pair: World) -> None:
    headers = {"Idempotency-Key": "once"}
    old, new = ask(pair, headers=headers), ask(pair)
    for table in ("dry_runs", "idempotency_keys"):
        pair.execute(f"UPDATE {table} SET created_at = created_at - interval '25 hours'")  # noqa: S608
    pair.execute("UPDATE dry_runs SET created_at = now() WHERE id = :id", id=str(new.id))
    forget_old(pair.context.sessions)
    assert pair.viewer("GET", f"/v1/dry-runs/{old.id}").status_code == 404
    assert again(pair, new).id == new.id
    assert ask(pair, headers=headers).id not in {old.id, new.id}
