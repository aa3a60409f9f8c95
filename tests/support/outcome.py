"""What a job comes to, in a form that must not depend on any fault."""

import time
from collections.abc import Callable
from typing import Any
from uuid import UUID

from shared.api_client import ApiClient
from shared.states import JOB_TERMINAL, JobState


def wait_for(condition: Callable[[], bool], within_s: float = 60) -> None:
    """Wait until the condition holds."""
    end = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def outcome(api: ApiClient, job: UUID) -> Any:
    """What must not depend on any kill: all versions, all decisions, all scores."""
    end = time.monotonic() + 240  # where the machine is busy
    while (now := api.job(job)).state not in JOB_TERMINAL:
        assert time.monotonic() < end, f"{now.state}: {now.waiting}"
        time.sleep(0.05)
    assert now.state is JobState.SUCCEEDED, now.failure
    report = api.report(job)
    versions = [api.version(job, v.number).manifest for v in api.versions(job).items]
    hashes = [{name: entry.sha256 for name, entry in each.items()} for each in versions]
    return hashes, report.replacements, report.scores
