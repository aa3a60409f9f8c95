"""What a job comes to, in a form that must not depend on any fault."""

from typing import Any
from uuid import UUID

from shared.api_client import ApiClient
from shared.states import JOB_TERMINAL, JobState
from tests.support.patience import wait_for


def outcome(api: ApiClient, job: UUID) -> Any:
    """What must not depend on any kill: all versions, all decisions, all scores."""
    busy_s = 240.0  # of a machine that has other work
    wait_for(lambda: api.job(job).state in JOB_TERMINAL, busy_s, lambda: api.waiting(job))
    now = api.job(job)
    assert now.state is JobState.SUCCEEDED, now.failure
    report = api.report(job)
    versions = [api.version(job, v.number).manifest for v in api.versions(job)]
    hashes = [{name: entry.sha256 for name, entry in each.items()} for each in versions]
    return hashes, report.replacements, report.scores
