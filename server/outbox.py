"""Messages are rows first: written with the change that they announce, sent after its commit.

Sending twice or late does no harm, since a message is only a hint. No HTTP request waits for
Redis: a thread of each process sends, and the timer sends again what could not be sent.
"""

import logging
import threading
from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

from sqlalchemy import delete, event, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from server.database import Sessions, killable
from server.side_tables import Outbox
from server.tables import Assignment, Job
from shared.crash_points import crash_point
from shared.wakeups import ADVANCE, COORDINATOR_QUEUE, PLANNER_QUEUE, WAKE, client_queue

Publish = Callable[[str, str, str], None]  # task, queue, argument; raises when it cannot

_log = logging.getLogger(__name__)
_BATCH = 100
_CLAIM = timedelta(seconds=30)  # longer than publishing one batch takes; then another sender may
_RETRY = timedelta(seconds=2)
_KEPT = timedelta(days=1)


def ask_advance(session: Session, job: Job) -> None:
    """Have the coordinator look at the job soon: by message, and by the timer in any case."""
    job.due_at = func.now()
    _enqueue(session, ADVANCE, COORDINATOR_QUEUE, job.id)


def wake(session: Session, assignment: Assignment) -> None:
    """Tell the assignment's worker that there is work."""
    client = assignment.client_id
    _enqueue(session, WAKE, client_queue(client) if client else PLANNER_QUEUE, assignment.id)


def wake_planner(session: Session, dry_run: UUID) -> None:
    """Tell a planner that there is a dry run to describe."""
    _enqueue(session, WAKE, PLANNER_QUEUE, dry_run)


def _enqueue(session: Session, task: str, queue: str, argument: UUID) -> None:
    row = {"task": task, "queue": queue, "argument": str(argument)}
    session.execute(insert(Outbox).values(row).on_conflict_do_nothing())
    session.info["sends"] = True


def dispatch(sessions: Sessions, publish: Publish) -> int:
    """Send what waits, oldest first; returns how many were sent.

    No row is locked while sending. The first message that cannot be sent ends the batch: the
    others wait with it for the next try.
    """
    with killable(sessions, "outbox.claim") as session:
        messages = _claim(session)
    sent: list[int] = []
    for message in messages:
        try:
            publish(message.task, message.queue, message.argument)
        except Exception as error:  # noqa: BLE001  # whatever kombu raises, the row stays
            _log.warning("the broker takes no messages (%s); the timer will try again", error)
            break
        sent.append(message.id)
        crash_point("outbox.sent")
    with killable(sessions, "outbox.settle") as session:
        _settle(session, sent, [m.id for m in messages[len(sent) :]])
    return len(sent)


def _claim(session: Session) -> list[Outbox]:
    waiting = (
        select(Outbox.id)
        .where(Outbox.sent_at.is_(None), Outbox.not_before <= func.now())
        .order_by(Outbox.id)
        .limit(_BATCH)
        .with_for_update(skip_locked=True)
    )
    claimed = (
        update(Outbox)
        .where(Outbox.id.in_(waiting.scalar_subquery()))
        .values(not_before=func.now() + _CLAIM)
        .returning(Outbox)
    )
    return sorted(session.scalars(claimed), key=lambda message: message.id)


def _settle(session: Session, sent: list[int], unsent: list[int]) -> None:
    if sent:
        session.execute(update(Outbox).where(Outbox.id.in_(sent)).values(sent_at=func.now()))
    if unsent:
        later = func.now() + _RETRY
        session.execute(update(Outbox).where(Outbox.id.in_(unsent)).values(not_before=later))


def prune(sessions: Sessions) -> None:
    """Forget what was sent a day ago."""
    with sessions.begin() as session:
        session.execute(delete(Outbox).where(Outbox.sent_at < func.now() - _KEPT))


class Dispatcher:
    """A thread that sends after each commit that wrote messages."""

    def __init__(self, sessions: Sessions, publish: Publish) -> None:
        self._sessions = sessions
        self._publish = publish
        self._wanted = threading.Event()
        self._ending = False
        self._thread = threading.Thread(target=self._run, name="outbox", daemon=True)

    def start(self) -> None:
        """Listen to the sessions' commits from now on."""
        event.listen(self._sessions.class_, "after_commit", self._after_commit)
        self._thread.start()

    def stop(self) -> None:
        """End the thread; what it did not send waits for another sender."""
        event.remove(self._sessions.class_, "after_commit", self._after_commit)
        self._ending = True
        self._wanted.set()
        self._thread.join(timeout=15)

    def _after_commit(self, session: Session) -> None:
        if session.info.pop("sends", False):
            self._wanted.set()

    def _run(self) -> None:
        while not self._ending:
            self._wanted.wait()
            self._wanted.clear()
            try:
                while not self._ending and dispatch(self._sessions, self._publish) == _BATCH:
                    pass
            except SQLAlchemyError as error:
                _log.warning("the outbox cannot be read (%s); the timer will try again", error)
