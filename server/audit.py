"""Whether the events are those that were written: each one's hash covers the one before.

The events of a job are one chain, and those without a job another. An altered, dropped or swapped
row breaks its chain; a chain that has lost its end does not show it, so its last hash is worth
keeping elsewhere. The hashes are computed here anew, without the database's own function.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy import Row, Text, cast, func, select
from sqlalchemy.orm import Session

from server.tables import Event

_Line = Row[tuple[int, UUID | None, str, str, str, str | None, str]]
_BATCH = 1000


@dataclass
class Audit:
    """What was found: sentences about broken chains, and the last hash of each chain."""

    n_events: int = 0
    broken: list[str] = field(default_factory=list)
    ends: dict[UUID | None, str] = field(default_factory=dict)


def verify(session: Session) -> Audit:
    """Read all events in order, and check each against the one before in its chain."""
    audit = Audit()
    for row in _rows(session):
        audit.n_events += 1
        where = f"Event {row.id} ({row.kind}) of {_chain(row.job_id)}"
        if row.previous_sha256 != audit.ends.get(row.job_id):
            audit.broken.append(f"{where} does not follow the event before it.")
        if row.sha256 != _digest(row):
            audit.broken.append(f"{where} is not what was written.")
        audit.ends[row.job_id] = row.sha256
    return audit


def _rows(
    session: Session,
) -> Iterator[_Line]:
    """All events by their ids; time and data as the texts that are hashed."""
    at = func.to_char(func.timezone("UTC", Event.at), 'YYYY-MM-DD"T"HH24:MI:SS.US').label("at")
    data = cast(Event.data, Text).label("data")
    columns = (Event.id, Event.job_id, at, Event.kind, data, Event.previous_sha256, Event.sha256)
    after = 0
    while rows := session.execute(
        select(*columns).where(Event.id > after).order_by(Event.id).limit(_BATCH)
    ).all():
        yield from rows
        after = rows[-1].id


def _digest(row: _Line) -> str:
    job = "" if row.job_id is None else str(row.job_id)
    lines = (row.previous_sha256 or "", str(row.id), job, row.at, row.kind, row.data)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _chain(job_id: UUID | None) -> str:
    return "no job" if job_id is None else f"job {job_id}"
