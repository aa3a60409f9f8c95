"""What one client may read of a job, to take its model away."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy.orm import Session

from server.clients.adapting import read_by
from server.errors import not_found
from server.jobs.repository import get_job
from server.jobs.service import origin_view
from server.reports.service import replacements, scores
from server.rounds.repository import job_assignments, rounds_of
from server.specs import spec_of
from server.tables import Assignment, JobClient
from server.versions.repository import entries
from shared.states import AssignmentState, RoundState
from shared.takeaway import TakeawayView, TakenComponent


def takeaway(session: Session, client: str, job_id: UUID) -> TakeawayView:
    """The job as the client may see it. Raises ProblemError (404), also where it has no part."""
    job = get_job(session, job_id)
    member = session.get(JobClient, (job_id, client))
    if member is None:
        raise not_found("job")
    own = job_assignments(session, job_id, client)
    published = {
        row.id: row.number
        for row in rounds_of(session, job_id)
        if row.state is RoundState.PUBLISHED
    }
    spec = spec_of(job)
    return TakeawayView(
        job_id=job.id,
        name=job.name,
        state=job.state,
        spec=spec,
        tasks=read_by(spec, member),
        base_digest=job.base_digest,
        forked_from=origin_view(job),
        parent_state_digest=member.parent_state_digest,
        state_digest=member.state_digest,
        rounds=len(published),
        took_part=tuple(
            published[a.round_id]
            for a in own
            if a.round_id in published and a.state is AssignmentState.ACCEPTED
        ),
        components=tuple(sorted(own[-1].components)) if own else (),
        version=own[-1].version if own else None,
        manifest=_manifest(session, own),
        scores=scores(own),
        replacements=replacements(own, published),
    )


def _manifest(session: Session, own: Sequence[Assignment]) -> dict[str, TakenComponent]:
    """The client's components in the version that its last assignment starts from."""
    if not own or own[-1].version is None:
        return {}
    wanted = set(own[-1].components)
    return {
        entry.component: TakenComponent(
            sha256=entry.sha256, n_bytes=entry.n_bytes, made_in=entry.made_in
        )
        for entry in entries(session, own[-1].job_id, own[-1].version)
        if entry.component in wanted
    }
