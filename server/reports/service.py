"""What federation gave: the report of a job that has ended."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from server.clients.adapting import changes_of
from server.errors import ProblemError
from server.jobs.repository import get_job
from server.jobs.service import origin_view
from server.reports.attendance import attendance, client_rounds
from server.reports.averages import averages
from server.rounds.repository import job_assignments, rounds_of
from server.rounds.views import bytes_down, bytes_full_exchange, bytes_up
from server.shelf.views import rows as shelf_rows
from server.specs import spec_of
from server.tables import Assignment, JobClient
from server.versions.repository import entries, newest_version
from shared.attendance import OfferChangeRow
from shared.job_spec import JobSpec
from shared.messages import AssignmentKind
from shared.problem_codes import Code
from shared.reports import ReplacementRow, ReportRow, ReportView
from shared.results import EvaluateResult, TrainResult
from shared.states import JOB_TERMINAL, AssignmentState, RoundState


def report(session: Session, job_id: UUID) -> ReportView:
    """The report. Raises ProblemError (404; 409 until the job has ended)."""
    job = get_job(session, job_id)
    if job.state not in JOB_TERMINAL:
        raise ProblemError(
            409, Code.JOB_NOT_ENDED, f"The job is {job.state}: ask again when it has ended."
        )
    spec = spec_of(job)
    members = [a for a in job_assignments(session, job_id) if a.client_id]
    final = newest_version(session, job_id)
    manifest = entries(session, job_id, final) if final is not None else []
    measured = scores(members)
    published = [r for r in rounds_of(session, job_id) if r.state is RoundState.PUBLISHED]
    return ReportView(
        job_id=job.id,
        name=job.name,
        algorithm=spec.algorithm.name,
        state=job.state,
        forked_from=origin_view(job),
        rounds=len(published),
        seconds=(job.updated_at - job.created_at).total_seconds(),
        bytes_down=bytes_down(members),
        bytes_up=bytes_up(session, members),
        bytes_full_exchange=bytes_full_exchange(job, members),
        final_version=final or 0,
        final_manifest={e.component: e.sha256 for e in manifest},
        scores=measured,
        averages=averages(measured),
        replacements=replacements(members, {r.id: r.number for r in published}),
        attendance=attendance(session, job, client_rounds(session, job_id)),
        offer_changes=_offer_changes(session, job_id),
        shelf=shelf_rows(session, job),
        optimizer_steps=optimizer_steps(spec),
    )


def _offer_changes(session: Session, job_id: UUID) -> tuple[OfferChangeRow, ...]:
    """What clients lost or had again, by round, then by client."""
    query = select(JobClient).where(JobClient.job_id == job_id).order_by(JobClient.client_id)
    rows = [
        OfferChangeRow(client=row.client_id, **change.model_dump())
        for row in session.scalars(query)
        for change in changes_of(row)
    ]
    return tuple(sorted(rows, key=lambda row: row.round))


def optimizer_steps(spec: JobSpec) -> dict[str, int]:
    """The budget of a client that takes part in every round, for each of its models."""
    rounds = spec.algorithm.times * spec.training.local_steps * spec.rounds.count
    post = spec.algorithm.times * spec.post.steps if spec.algorithm.personalizes else 0
    return {"rounds": rounds, "post_training": post, "total": rounds + post}


def scores(members: Sequence[Assignment]) -> tuple[ReportRow, ...]:
    """What the accepted evaluations among these assignments measured."""
    rows: list[ReportRow] = []
    for assignment in members:
        if assignment.kind is AssignmentKind.EVALUATE and _accepted(assignment):
            result = EvaluateResult.model_validate(assignment.result)
            rows += [
                ReportRow(
                    client=assignment.client_id or "",
                    task=task,
                    variant=variant,
                    score=score,
                    validation=result.validation.get(variant, {}).get(task),
                )
                for variant, scores in result.scores.items()
                for task, score in scores.items()
            ]
    return tuple(rows)


def replacements(
    members: Sequence[Assignment], numbers: dict[UUID, int]
) -> tuple[ReplacementRow, ...]:
    """Stage one's decisions in the published rounds; superseded work counts for nothing."""
    return tuple(
        ReplacementRow(
            client=assignment.client_id or "", round=numbers[assignment.round_id], decision=decision
        )
        for assignment in members
        if assignment.round_id in numbers and _accepted(assignment)
        for decision in TrainResult.model_validate(assignment.result).decisions
    )


def _accepted(assignment: Assignment) -> bool:
    return assignment.state is AssignmentState.ACCEPTED
