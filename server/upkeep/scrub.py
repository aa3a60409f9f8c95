"""Reads the artifacts that somebody needs again and again, slowly, and reports damaged ones."""

import hashlib
import logging
import time
from collections.abc import Iterator
from datetime import timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from server.context import Context
from server.lifecycle import record
from server.tables import Artifact, Event
from server.upkeep.references import referenced
from shared.artifacts import StoreAwayError

DAMAGED, RESTORED = "artifact.damaged", "artifact.restored"

_log = logging.getLogger(__name__)
_MISSING = "is missing"
_BATCH = 500
_BATCH_COSTS = 4096  # so that a sweep over rows alone ends too
_PASS = timedelta(days=1)  # a pass begins this long after the one before began, at the earliest


class Scrub:
    """Goes through the store; a sweep reads at most `scrub_bytes` and goes on where it was."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._pieces: Iterator[int] = iter(())
        self._next_pass_s = 0.0

    def sweep(self) -> None:
        """Read on. Raises StoreAwayError: the next sweep begins anew, for nothing is known."""
        try:
            self._read_on(self._context.settings.scrub_bytes)
        except StoreAwayError:
            self._next_pass_s = 0.0
            raise

    def _read_on(self, budget: int) -> None:
        while budget > 0:
            read = next(self._pieces, None)
            if read is None:
                if time.monotonic() < self._next_pass_s:
                    return
                self._next_pass_s = time.monotonic() + _PASS.total_seconds()
                self._pieces = scrub(self._context)
            else:
                budget -= read


def scrub(context: Context) -> Iterator[int]:
    """One pass over all artifacts that somebody needs; yields the bytes of each piece read."""
    after = ""
    while names := _names(context, after):
        after = names[-1]
        yield _BATCH_COSTS
        with context.sessions.begin() as session:
            needed = referenced(session, names, context.settings.late_uploads_kept)
        for sha256 in sorted(needed):
            yield from _one(context, sha256)


def damaged(session: Session) -> dict[str, str]:
    """The artifacts that were last found damaged, and how."""
    query = (
        select(Event)
        .where(Event.job_id.is_(None), Event.kind.in_([DAMAGED, RESTORED]))
        .order_by(Event.id)
    )
    last = {event.data["sha256"]: event for event in session.scalars(query)}
    return {sha: event.data["reason"] for sha, event in last.items() if event.kind == DAMAGED}


def note_dropped(session: Session, sha256: str) -> None:
    """Note of a damaged artifact that it is deleted, so that nobody is told to restore it."""
    if sha256 in damaged(session):
        record(session, RESTORED, None, {"sha256": sha256, "reason": "It is needed no more."})


def _names(context: Context, after: str) -> list[str]:
    query = select(Artifact.sha256).where(Artifact.sha256 > after)
    with context.sessions.begin() as session:
        return list(session.scalars(query.order_by(Artifact.sha256).limit(_BATCH)))


def _one(context: Context, sha256: str) -> Iterator[int]:
    sha = hashlib.sha256()
    try:
        for piece in context.store.read(sha256):
            sha.update(piece)
            yield len(piece)
        wrong = None if sha.hexdigest() == sha256 else "is damaged"
    except FileNotFoundError:
        wrong = _MISSING
    except OSError as error:
        wrong = f"cannot be read ({error.strerror})"
    _note(context, sha256, wrong)


def _note(context: Context, sha256: str, wrong: str | None) -> None:
    """Report what has changed since the last look, once."""
    with context.sessions.begin() as session:
        row = session.get(Artifact, sha256, with_for_update=True)
        known = damaged(session).get(sha256)
        needed = referenced(session, [sha256], context.settings.late_uploads_kept)
        if row is None or (wrong and not needed) or (wrong is None) == (known is None):
            return
        if wrong == _MISSING and context.store.has(sha256):
            return  # it was collected, and is needed and here again since it was looked for
        if wrong is None:
            record(session, RESTORED, None, {"sha256": sha256})
            _log.info("artifact %s is whole again", sha256)
            return
        place = context.store.place(sha256)
        reason = f"Artifact {sha256} {wrong}: restore {place} from a backup."
        record(session, DAMAGED, None, {"sha256": sha256, "reason": reason})
        _log.error("%s", reason)
