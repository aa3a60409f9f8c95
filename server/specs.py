"""A job's spec, as its rows hold it: written when the job is submitted, and never changed."""

from uuid import UUID

from server.kept import Kept
from server.tables import Job
from shared.job_spec import JobSpec

_SPECS: Kept[UUID, JobSpec] = Kept()


def spec_of(job: Job) -> JobSpec:
    """The job's spec, parsed once."""
    return _SPECS.get(job.id, lambda: JobSpec.model_validate(job.spec))
