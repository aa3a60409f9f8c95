"""Keeps the lease of a round while it is aggregated, beside the work and not in its way."""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from uuid import UUID

from sqlalchemy import func
from sqlalchemy.exc import SQLAlchemyError

from server.context import Context
from server.database import killable
from server.rounds.aggregating import holds
from server.tables import Round
from shared import logs

_log = logging.getLogger(__name__)
PART = 3  # of the lease, after which it is renewed


class LeaseLostError(Exception):
    """Another aggregator has taken the round over."""


@contextmanager
def renewed(
    context: Context, round_id: UUID, lease_id: UUID, lease: timedelta
) -> Iterator[Callable[[], None]]:
    """Renew the lease at once and then in time, until the block ends.

    Yields a check that raises LeaseLostError. Whoever publishes compares the lease once more.
    """
    done, lost = threading.Event(), threading.Event()

    def keep() -> None:
        while not lost.is_set():
            try:
                _renew(context, round_id, lease_id, lease)
            except LeaseLostError:
                lost.set()
            except SQLAlchemyError as error:
                _log.warning("the round's lease is not renewed now: %s", error)
            if done.wait(lease.total_seconds() / PART):
                return

    def check() -> None:
        if lost.is_set():
            raise LeaseLostError

    thread = logs.thread(keep, "lease")
    thread.start()
    try:
        yield check
    finally:
        done.set()
        thread.join()


def _renew(context: Context, round_id: UUID, lease_id: UUID, lease: timedelta) -> None:
    with killable(context.sessions, "coordinator.renew") as session:
        row = session.get_one(Round, round_id, with_for_update={"key_share": True})
        if not holds(row, lease_id):
            raise LeaseLostError
        row.lease_until = func.now() + lease
