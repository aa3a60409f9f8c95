"""Rounds that open, are extended and end, inside one transaction; decided by the product."""

from collections.abc import Sequence

from server.assignments.decide import FIRST_HINT
from server.jobs import order
from server.rounds import standing
from server.rounds.sampling import sample
from shared.messages import AssignmentKind
from shared.states import AssignmentState, JobState, RoundState
from tests.support.simulation.rows import Assignment, Job, Round
from tests.support.simulation.store import EPOCH, Store


def begin(store: Store, job: Job) -> None:
    """Submitted -> planning."""
    store.move_job(job, JobState.PLANNING)
    open_round(store, job, AssignmentKind.PLAN, [None], 0)


def open_round(
    store: Store, job: Job, phase: AssignmentKind, clients: Sequence[str | None], number: int
) -> None:
    """A round in which `clients` work."""
    quorum, target = standing.needs(phase, job.spec, len(clients))
    row = Round(
        id=store.new_id(),
        job=job,
        phase=phase,
        number=number,
        quorum=quorum,
        target=target,
        opened_at=store.now,
        deadline_at=store.now + job.spec.rounds.deadline,
        lease_id=store.new_id(),
        lease_until=EPOCH,
    )
    store.check.require("I4", job.live is None, f"{job.name} has two live rounds")
    job.rounds.append(row)
    job.live = row
    job.due_at = store.now
    for client in clients:
        _assign(store, row, client)
    store.touch_job(job)


def _assign(store: Store, row: Round, client: str | None) -> None:
    asked = [member.client for member in row.members]
    store.check.require("I3", client not in asked, f"{client} is asked twice in a round")
    assignment = Assignment(
        id=store.new_id(),
        name=f"{row.job.name}/{row.phase}-{row.number}/{client or 'planner'}",
        round=row,
        client=client,
        lease_id=store.new_id(),
        lease_until=EPOCH,
        not_before=store.now,
        hint_at=store.now + FIRST_HINT,
    )
    row.members.append(assignment)
    store.rows[assignment.id] = assignment
    store.open.setdefault(client, []).append(assignment)
    store.touch(assignment)
    store.wake(assignment)


def extend(store: Store, row: Round, *, late: bool) -> None:
    """Another deadline, and other clients in place of those who are missing."""
    spec = row.job.spec
    asked = [member.client for member in row.members]
    others = standing.replacements(row, spec, asked, row.states, late=late)
    row.extensions += 1
    row.deadline_at = store.now + spec.rounds.deadline
    for client in others:
        _assign(store, row, client)
    store.touch_job(row.job)


def close(store: Store, row: Round) -> None:
    """The round has what it needs; who is late is superseded."""
    end_assignments(store, row.job, AssignmentState.SUPERSEDED)
    store.move_round(row, RoundState.AGGREGATING)
    if row.phase is AssignmentKind.TRAIN:
        return
    if row.phase is AssignmentKind.PLAN:
        row.job.versions[0] = store.check.bytes_of("planned", row.job.name)
    store.move_round(row, RoundState.PUBLISHED)
    after(store, row)


def after(store: Store, row: Round) -> None:
    """What follows a round that was published."""
    job = row.job
    then = order.following(row.phase, row.number, job.spec)
    for state in then.states:
        store.move_job(job, state)
    match then.phase:
        case AssignmentKind.TRAIN:
            n = job.spec.asked_for(job.spec.clients_per_round)
            clients = sample(job.spec.seed, then.number, job.spec.clients, n)
            open_round(store, job, then.phase, clients, then.number)
        case AssignmentKind.PERSONALIZE | AssignmentKind.EVALUATE:
            done = [m.client for m in row.members if m.state is AssignmentState.ACCEPTED]
            everyone = done if row.phase is AssignmentKind.PERSONALIZE else job.spec.clients
            open_round(store, job, then.phase, everyone, then.number)
        case _:
            pass
    job.due_at = store.now


def end_assignments(store: Store, job: Job, target: AssignmentState) -> None:
    """Move all assignments of the job that have not ended to `target`."""
    if job.live is None:
        return
    for row in job.live.members:
        if row in store.open[row.client]:
            store.move(row, target)


def fail_job(store: Store, job: Job) -> None:
    """End the job and whatever of it still lives."""
    _end(store, job, AssignmentState.SUPERSEDED, JobState.FAILED)


def finish_cancelling(store: Store, job: Job) -> None:
    """End a job that is being cancelled."""
    _end(store, job, AssignmentState.CANCELLED, JobState.CANCELLED)


def _end(store: Store, job: Job, target: AssignmentState, end: JobState) -> None:
    end_assignments(store, job, target)
    if job.live is not None:
        store.move_round(job.live, RoundState.FAILED)
    store.move_job(job, end)
