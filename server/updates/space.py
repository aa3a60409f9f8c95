"""Whether the disk has room for what is announced, beside all that is announced already."""

from collections.abc import Iterator
from datetime import timedelta
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from server.context import Context
from server.side_tables import ShelfModel
from server.storage import check_space, part_size
from server.updates import repository

_EXPECTED = timedelta(hours=1)  # bytes for the shelf: whoever sends them announces them again


def reserve(session: Session, context: Context, wanted: UUID) -> None:
    """Refuse what would not fit beside all else that is under way; its row must be there.

    Raises ProblemError (507).
    """
    repository.reserve_alone(session)
    missing = {name: n - part_size(context.store, name) for name, n in _under_way(session)}
    n_bytes = missing.pop(wanted, 0)
    if n_bytes > 0:
        reserved = sum(missing.values())
        check_space(context.store, n_bytes, reserved, context.settings.reserve_bytes)


def _under_way(session: Session) -> Iterator[tuple[UUID, int]]:
    """What is announced, and the bytes that it takes at most."""
    for row in repository.unfinished(session):
        yield row.id, 2 * row.n_bytes  # the stream, and each component's own file
    query = select(ShelfModel.id, ShelfModel.n_bytes).where(
        ShelfModel.completed_at.is_(None),
        ShelfModel.deleted_at.is_(None),
        ShelfModel.announced_at > func.now() - _EXPECTED,
    )
    yield from ((name, n_bytes) for name, n_bytes in session.execute(query))
