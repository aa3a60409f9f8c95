"""A fork continues with the bits of its parent, and a pause changes none."""

import time
from uuid import UUID

import pytest

from cli.stack.stack import Stack
from shared.api_client import ApiClient
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


def test_forks_and_pauses_leave_the_bits_as_they_are(stack: Stack) -> None:
    spec = small.spec(name="parent", clients=list(federation.CLIENTS), rounds={"count": 2})
    with stack.client() as api:
        parent = api.submit(spec, "forked-parent").id
        assert api.pause(parent).state is JobState.PAUSED
        plain = api.submit(spec, "never-paused").id
        succeeded(api, plain)
        assert api.versions(parent).items == (), "the workers were there, and began nothing of it"
        api.resume(parent)
        succeeded(api, parent)
        forks = [
            api.fork(parent, JobFork(round=number, spec=spec), f"fork-{number}").id
            for number in range(3)
        ]
        succeeded(api, *forks)
        wanted = api.report(parent)
        for job in (*forks, plain):
            found = api.report(job)
            assert found.final_manifest == wanted.final_manifest
            assert found.scores == wanted.scores, "personal models are as in the parent"
        for number, job in enumerate(forks):
            report, origin = api.report(job), api.job(job).forked_from
            assert report.rounds == 2 - number
            later = [each for each in wanted.replacements if each.round > number]
            assert list(report.replacements) == later, "they were trained on as in the parent"
            assert origin is not None
            assert set(origin.personal_states) == (set(federation.CLIENTS) if number else set())


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
