"""A fork continues with the bits of its parent, and a pause changes none."""

import time
from uuid import UUID

import pytest

from cli.stack.stack import Stack
from shared.api_client import ApiClient
from shared.states import JOB_TERMINAL, JobState
from shared.views import JobFork
from tests.support import federation, small

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(600)]


def succeeded(api: ApiClient, *jobs: UUID) -> None:
    end = time.monotonic() + 200
    for job in jobs:
        while (now := api.job(job)).state not in JOB_TERMINAL:
            assert time.monotonic() < end, (now.state, now.round)
            time.sleep(0.1)
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
        early, late = (
            api.fork(parent, JobFork(round=number, spec=spec), f"fork-{number}").id
            for number in (0, 2)
        )
        succeeded(api, early, late)
        wanted = api.report(parent).final_manifest
        for job in (early, late, plain):
            assert api.report(job).final_manifest == wanted
        assert api.report(early).rounds == 2
        assert api.report(late).rounds == 0
