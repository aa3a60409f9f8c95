"""What time alone brings about. Each step is safe beside itself in another coordinator."""

import logging
import threading
from collections.abc import Callable, Sequence
from datetime import timedelta
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from server.assignments.decide import is_missed, pause_after_hint
from server.assignments.repository import lock_free
from server.context import Context
from server.database import killable, lock_job
from server.jobs.advance import advance
from server.lifecycle import transition
from server.outbox import wake
from server.tables import Assignment, Job
from server.watching.meters import Meters
from shared.artifacts import StoreAwayError
from shared.logs import about
from shared.states import ASSIGNMENT_CLAIMABLE, JOB_ACTIVE, AssignmentState, JobState
from shared.tracing import span

Step = Callable[[], object]

_log = logging.getLogger(__name__)
_BATCH = 100
_BUSY = timedelta(seconds=5)  # not due for another coordinator, unless this one dies


class Loop:
    """A thread that runs the steps again and again; a step that fails does not stop it."""

    def __init__(
        self, name: str, steps: Sequence[Step], period: timedelta, meters: Meters | None = None
    ) -> None:
        self._name = name
        self._steps = steps
        self._meters = meters or Meters()
        self._period_s = period.total_seconds()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def end(self) -> None:
        """Begin no other step."""
        self._end.set()

    def stop(self) -> None:
        """End after the running step; one that takes long is left, for it can be taken over."""
        self.end()
        self._thread.join(timeout=10)

    def _run(self) -> None:
        while not self._end.wait(self._period_s):
            with about(timer=self._name), self._meters.turn(self._name):
                self._turn()

    def _turn(self) -> None:
        for step in self._steps:
            if self._end.is_set():
                return
            try:
                with self._meters.steps_failed.labels(self._name).count_exceptions():
                    step()
            except SQLAlchemyError as error:
                _log.warning("the database did not let a timer's step pass: %s", error)
            except StoreAwayError as error:
                _log.warning("the artifact store did not let a timer's step pass: %s", error)
            except Exception:  # noqa: BLE001  # logged; the next run tries again
                _log.exception("a timer's step failed; it will run again")


def advance_due_jobs(context: Context) -> None:
    """Advance every job whose time has come, the most urgent first.

    Looked up anew for each: one that becomes due meanwhile overtakes those of lower priority.
    """
    for _ in range(_BATCH):
        with killable(context.sessions, "coordinator.due") as session:
            job_id = _take_due(session)
        if job_id is None:
            return
        advance_safely(context, job_id)


def _take_due(session: Session) -> UUID | None:
    due = (
        select(Job.id)
        .where(Job.state.in_(JOB_ACTIVE), Job.due_at <= func.now())
        .order_by(Job.priority.desc(), Job.due_at)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    taken = (
        update(Job)
        .where(Job.id == due.scalar_subquery())
        .values(due_at=func.now() + _BUSY)
        .returning(Job.id)
    )
    return session.scalar(taken)


def advance_safely(context: Context, job_id: UUID) -> None:
    """Advance one job; whatever goes wrong is logged, and the timer comes again."""
    with about(job=job_id), span("advance", job=job_id):
        try:
            advance(context, job_id)
        except SQLAlchemyError as error:
            _log.warning("the job cannot be advanced now: %s", error)
        except Exception:  # noqa: BLE001  # logged; the timer comes again
            _log.exception("the job cannot be advanced")


def suspect_missed_leases(context: Context) -> None:
    """Leased -> suspect where the lease has run out."""
    missed = (Assignment.state == AssignmentState.LEASED, Assignment.lease_until < func.now())
    with context.sessions.begin() as session:
        query = select(Assignment.job_id, Assignment.id).where(*missed).limit(_BATCH)
        found = [(job_id, assignment_id) for job_id, assignment_id in session.execute(query)]
    for job_id, assignment_id in found:
        with killable(context.sessions, "coordinator.suspect") as session:
            lock_job(session, job_id)
            free = lock_free(session, assignment_id)
            if free is not None and is_missed(*free):
                transition(session, free[0], AssignmentState.SUSPECT)


def hint_again(context: Context) -> None:
    """Wake the workers of what waits to be claimed, less and less often."""
    with killable(context.sessions, "coordinator.hint") as session:
        for row in _unheard(session):
            wake(session, row)
            row.hint_at = func.now() + pause_after_hint(row.hints)
            row.hints += 1


def _unheard(session: Session) -> Sequence[Assignment]:
    query = (
        select(Assignment)
        .join(Job, Job.id == Assignment.job_id)
        .where(
            Assignment.state.in_(ASSIGNMENT_CLAIMABLE),
            Assignment.hint_at <= func.now(),
            Assignment.not_before <= func.now(),
            Job.state != JobState.PAUSED,
        )
        .limit(_BATCH)
        .with_for_update(skip_locked=True, of=Assignment)
    )
    return session.scalars(query).all()
