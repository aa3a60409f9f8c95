"""Deletes files that nobody needs any more.

Safe beside uploads and aggregations, because the artifact's row is the lock. Who keeps a file
first puts it there, then writes the reference, which locks the row against deletion, and before
the commit looks whether the file is there (`require_kept`). Who collects locks the row, then looks
for references, deletes the file, and only then commits. So whoever comes second sees what the
first one did. Rows stay: they say how large an artifact was.
"""

import logging
import re
import time
from collections.abc import Iterable, Iterator
from datetime import timedelta
from pathlib import Path
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from server.context import Context
from server.database import killable
from server.side_tables import ShelfModel
from server.tables import Artifact, Upload
from server.upkeep.references import referenced
from server.upkeep.scrub import note_dropped
from shared.artifacts import ArtifactStore, CollectedError

_log = logging.getLogger(__name__)
_NAME = re.compile(r"[0-9a-f]{64}")
_DIRECTORIES = 256


def require_kept(store: ArtifactStore, wanted: Iterable[str]) -> None:
    """Call it before the commit of a transaction that refers to artifacts.

    Raises CollectedError when one was deleted since it was kept: keep it again.
    """
    for sha256 in wanted:
        if not store.has(sha256):
            raise CollectedError(f"artifact {sha256} was deleted while it was kept: try again")


class Collector:
    """Goes through the store, one of its directories in each sweep."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._next = 0

    def sweep(self) -> None:
        """Collect one directory, and the parts that nobody owns."""
        collect_directory(self._context, f"{self._next:02x}")
        self._next = (self._next + 1) % _DIRECTORIES
        drop_parts(self._context)


def collect_directory(context: Context, name: str) -> list[str]:
    """Delete the directory's files that are old and that nobody needs; returns their names."""
    settings = context.settings
    files = [
        path
        for path in _older(context.store.root / name, settings.unreferenced_kept)
        if _NAME.fullmatch(path.name)
    ]
    with context.sessions.begin() as session:
        needed = referenced(session, [path.name for path in files], settings.late_uploads_kept)
    unneeded = [path.name for path in files if path.name not in needed]
    return [sha256 for sha256 in unneeded if collect(context, sha256)]


def collect(context: Context, sha256: str) -> bool:
    """Delete one file under the lock of its row; False where somebody needs it after all."""
    path = context.store.path(sha256)
    with killable(context.sessions, "coordinator.collect") as session:
        made = _lock(session, path)
        if made is None or referenced(session, [sha256], context.settings.late_uploads_kept):
            return False
        path.unlink(missing_ok=True)
        note_dropped(session, sha256)
        if made:
            session.execute(delete(Artifact).where(Artifact.sha256 == sha256))
    _log.info("artifact %s is collected: nobody needs it", sha256)
    return True


def _lock(session: Session, path: Path) -> bool | None:
    """Lock the artifact's row; True when it had to be made, None when somebody else holds it."""
    try:
        values = {"sha256": path.name, "n_bytes": path.stat().st_size}
    except FileNotFoundError:
        return None
    added = insert(Artifact).values(values).on_conflict_do_nothing().returning(Artifact.sha256)
    made = session.execute(added).one_or_none() is not None
    query = select(Artifact.sha256).where(Artifact.sha256 == path.name)
    held = session.scalars(query.with_for_update(skip_locked=True)).one_or_none()
    return made if held is not None else None


def drop_parts(context: Context) -> None:
    """Delete old part files that belong to no upload under way.

    What an aggregation writes is not old: its part grows.
    """
    parts = list(_older(context.store.root / "parts", context.settings.unreferenced_kept))
    ids = {path: _upload_id(path.name) for path in parts}
    known = [each for each in ids.values() if each]
    with context.sessions.begin() as session:
        owned = {
            found
            for table in (Upload, ShelfModel)
            for found in session.scalars(
                select(table.id).where(table.id.in_(known), table.completed_at.is_(None))
            )
        }
    for path, upload in ids.items():
        if upload not in owned:
            path.unlink(missing_ok=True)
            _log.info("part %s is collected: nobody owns it", path.name)


def _upload_id(name: str) -> UUID | None:
    try:
        return UUID(hex=name)
    except ValueError:
        return None


def _older(directory: Path, age: timedelta) -> Iterator[Path]:
    """Files of the directory that were last written to longer ago."""
    limit = time.time() - age.total_seconds()
    for path in sorted(directory.iterdir()) if directory.is_dir() else ():
        try:
            old = path.stat().st_mtime < limit
        except FileNotFoundError:
            continue
        if old and path.is_file():
            yield path
