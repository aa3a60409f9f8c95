"""A fork continues with the bits of its parent, as stage two alone too; a pause changes none."""

import time
from uuid import UUID

import pytest

from cli.forks import StageTwo, distilled_again, onboarding
from cli.listing import verdicts
from cli.stack.stack import Stack
from shared.api_client import ApiClient
from shared.reports import ReportRow, ReportView
from shared.results import Variant
from shared.states import JOB_TERMINAL, JobState
from shared.views import JobDetail, JobFork
from tests.support import federation, small

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(600)]


def ended(api: ApiClient, job: UUID) -> JobDetail:
    end = time.monotonic() + 200
    while (now := api.job(job)).state not in JOB_TERMINAL:
        assert time.monotonic() < end, (now.state, now.round)
        time.sleep(0.1)
    return now


def succeeded(api: ApiClient, *jobs: UUID) -> None:
    for job in jobs:
        now = ended(api, job)
        assert now.state is JobState.SUCCEEDED, now.failure


def states(stack: Stack, job: UUID) -> dict[str, str | None]:
    """What names each client's personal state, all its models of stage two among it."""
    found = {}
    for client in federation.CLIENTS:
        key = (stack.admin_key_file.parent / f"{client}.key").read_text().strip()
        with ApiClient(stack.url, key) as api:
            found[client] = api.takeaway(job).state_digest
    return found


def of_server(report: ReportView) -> list[ReportRow]:
    """The scores of the server's model and of the teacher that it becomes."""
    own = {Variant.PERSONAL, Variant.DISTILLED}
    return [row for row in report.scores if row.variant not in own]


def test_forks_and_pauses_leave_the_bits_as_they_are(stack: Stack) -> None:
    spec = small.spec(name="parent", clients=list(federation.CLIENTS), rounds={"count": 2})
    with stack.client() as api:
        parent = api.submit(spec, "forked-parent").id
        assert api.pause(parent).state is JobState.PAUSED
        plain = api.submit(spec, "never-paused").id
        succeeded(api, plain)
        assert api.versions(parent) == [], "the workers were there, and began nothing of it"
        api.resume(parent)
        succeeded(api, parent)
        again = distilled_again(api.job(parent), 2, StageTwo())
        forks = [
            api.fork(parent, JobFork(round=number, spec=fork_spec), f"fork-{number}").id
            for number, fork_spec in enumerate((spec, again), start=1)
        ]
        wish = JobFork(round=2, personal_round=1, spec=again)
        mixed = api.fork(parent, wish, "another-pair").id
        succeeded(api, *forks, mixed)
        wanted = api.report(parent)
        for job in (*forks, plain):
            found = api.report(job)
            assert found.final_manifest == wanted.final_manifest
            assert found.scores == wanted.scores, "personal models are as in the parent"
            assert states(stack, job) == states(stack, parent)
        other = states(stack, mixed)
        assert all(other[client] != state for client, state in states(stack, parent).items())
        assert of_server(api.report(mixed)) == of_server(wanted), "only the students are others"
        for number, job in enumerate(forks, start=1):
            report, origin = api.report(job), api.job(job).forked_from
            assert report.rounds == 2 - number
            later = [each for each in wanted.replacements if each.round > number]
            assert list(report.replacements) == later, "they were trained on as in the parent"
            assert origin is not None
            assert set(origin.personal_states) == set(federation.CLIENTS)


def test_a_client_that_lost_the_state_says_so_and_the_operator_may_begin_afresh(
    stack: Stack,
) -> None:
    clients = ["c03"]
    tasks = {task: small.SPEC["tasks"][task] for task in federation.CLIENTS["c03"]}
    training = {**small.SPEC["training"], "local_steps": 3}  # no other job has its states
    spec = small.spec(
        name="lost", clients=clients, tasks=tasks, training=training, rounds={"count": 1}
    )
    with stack.client() as api:
        parent = api.submit(spec, "lost-parent").id
        succeeded(api, parent)
        (lost,) = stack.settings.state.glob(f"worker-*/personal/c03/{parent}")
        lost.rename(stack.settings.state / "lost")
        wish = JobFork(round=1, spec=spec)
        fork = api.fork(parent, wish, "lost-fork").id
        assert ended(api, fork).state is JobState.FAILED
        failure = api.job(fork).failure
        assert failure is not None
        assert "tapestry fork JOB --round N --spec FILE --fresh" in failure.message
        fresh = wish.model_copy(update={"personal_states": "fresh"})
        succeeded(api, api.fork(parent, fresh, "fresh-fork").id)


def test_a_newcomer_gets_its_model_in_a_few_steps(stack: Stack) -> None:
    tasks = {task: small.SPEC["tasks"][task] for task in federation.CLIENTS["c01"]}
    spec = small.spec(name="without c02", clients=["c01"], tasks=tasks, rounds={"count": 1})
    with stack.client() as api:
        parent = api.submit(spec, "before-onboarding").id
        succeeded(api, parent)
        offers = {client.id: client.offer for client in api.clients()}
        alone = onboarding(api.job(parent), 1, ["c02"], offers, StageTwo(steps=3))
        fork = api.fork(parent, JobFork(round=1, spec=alone), "onboarding").id
        succeeded(api, fork)
        report = api.report(fork)
        assert report.final_manifest == api.report(parent).final_manifest
    assert [(row.phase, row.accepted) for row in report.attendance] == [
        ("personalize", ("c02",)),
        ("evaluate", ("c02",)),
    ]
    scores = {(row.client, row.task, row.variant): row.score for row in report.scores}
    measured = set(Variant) - {Variant.GUARDED}
    assert set(scores) == {("c02", "digits", variant) for variant in measured}
    of = {variant: score for (_, _, variant), score in scores.items()}
    assert of[Variant.PERSONAL] == of[Variant.ENGAGED], "the student begins as the server's model"
    assert of[Variant.DISTILLED].metrics["loss"] != of[Variant.ENGAGED].metrics["loss"]
    [verdict] = verdicts(report)
    assert verdict.startswith("c02 digits (accuracy): the server's model ")
    assert "after stage two's 3 steps" in verdict
