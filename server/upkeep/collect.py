"""Deletes files that nobody needs any more.

Safe beside uploads and aggregations, because the artifact's row is the lock. Who keeps a file
first puts it there, then writes the reference, which locks the row against deletion, and before
the commit looks whether the file is there (`require_kept`). Who collects locks the row, then looks
for references, deletes the file, and only then commits. So whoever comes second sees what the
first one did. Rows stay: they say how large an artifact was.
"""

import logging
from collections.abc import Iterable
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from server.columns import among
from server.context import Context
from server.database import killable
from server.side_tables import ShelfModel
from server.tables import Artifact, Upload
from server.upkeep.references import referenced
from server.upkeep.scrub import note_dropped
from shared.artifacts import SHARDS, ArtifactStore, CollectedError, older_files

_log = logging.getLogger(__name__)
_BATCH = 500  # a statement binds each name several times, and 65,535 values at most


def require_kept(store: ArtifactStore, wanted: Iterable[str]) -> None:
    """Call it before the commit of a transaction that refers to artifacts.

    Raises CollectedError when one was deleted since it was kept: keep it again.
    """
    for sha256 in store.lacking(wanted):
        raise CollectedError(f"artifact {sha256} was deleted while it was kept: try again")


class Collector:
    """Goes through the store, one of its shards in each sweep."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._next = 0

    def sweep(self) -> None:
        """Collect one shard, and the parts that nobody owns."""
        collect_shard(self._context, SHARDS[self._next])
        self._next = (self._next + 1) % len(SHARDS)
        drop_parts(self._context)


def collect_shard(context: Context, shard: str) -> list[str]:
    """Delete the shard's artifacts that are old and that nobody needs; returns their names."""
    settings = context.settings
    names = context.store.older(shard, settings.unreferenced_kept)
    needed = set[str]()
    for at in range(0, len(names), _BATCH):
        with context.sessions.begin() as session:
            batch = names[at : at + _BATCH]
            needed |= referenced(session, batch, settings.late_uploads_kept)
    unneeded = [sha256 for sha256 in names if sha256 not in needed]
    return [sha256 for sha256 in unneeded if collect(context, sha256)]


def collect(context: Context, sha256: str) -> bool:
    """Delete one file under the lock of its row; False where somebody needs it after all."""
    with killable(context.sessions, "coordinator.collect") as session:
        made = _lock(session, sha256, context.store.size(sha256))
        if made is None or referenced(session, [sha256], context.settings.late_uploads_kept):
            return False
        context.store.remove(sha256)
        note_dropped(session, sha256)
        if made:
            session.execute(delete(Artifact).where(Artifact.sha256 == sha256))
    _log.info("artifact %s is collected: nobody needs it", sha256)
    return True


def _lock(session: Session, sha256: str, n_bytes: int | None) -> bool | None:
    """Lock the artifact's row; True when it had to be made, None when somebody else holds it."""
    if n_bytes is None:  # somebody else has collected it
        return None
    values = {"sha256": sha256, "n_bytes": n_bytes}
    added = insert(Artifact).values(values).on_conflict_do_nothing().returning(Artifact.sha256)
    made = session.execute(added).one_or_none() is not None
    query = select(Artifact.sha256).where(Artifact.sha256 == sha256)
    held = session.scalars(query.with_for_update(skip_locked=True)).one_or_none()
    return made if held is not None else None


def drop_parts(context: Context) -> None:
    """Delete old part files on this disk that belong to no upload under way.

    What an aggregation writes is not old: its part grows.
    """
    parts = list(older_files(context.store.root / "parts", context.settings.unreferenced_kept))
    ids = {path: _upload_id(path.name) for path in parts}
    known = [each for each in ids.values() if each]
    with context.sessions.begin() as session:
        uploads = select(Upload.id).where(among(Upload.id, known), Upload.completed_at.is_(None))
        models = select(ShelfModel.id).where(
            among(ShelfModel.id, known),
            ShelfModel.completed_at.is_(None),
            ShelfModel.deleted_at.is_(None),
        )
        owned = set(session.scalars(uploads.union(models)))
    for path, upload in ids.items():
        if upload not in owned:
            path.unlink(missing_ok=True)
            _log.info("part %s is collected: nobody owns it", path.name)


def _upload_id(name: str) -> UUID | None:
    try:
        return UUID(hex=name)
    except ValueError:
        return None
