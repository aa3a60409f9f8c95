"""Which personal models are still to be put on the shelf: a file for each, so that none is lost.

A note is written before the journal of the assignment is cleared, and removed when the server has
the model: whatever ends the worker in between, it is put there after the next start.
"""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated
from uuid import UUID

from pydantic import Field, ValidationError

from shared.messages import Message
from shared.shelf import ShelfPut
from shared.shelf_spec import ShelfForm
from shared.spec import Sha256
from worker.durable import replace_file

log = logging.getLogger("tapestry.worker")

MOST_STATES = 2  # stage two's, and the last round's, with which a fork goes on


class Note(Message):
    """A model that is to be put there; `sealed` once its file is written."""

    job: UUID
    form: ShelfForm
    states: Annotated[tuple[Sha256, ...], Field(min_length=1)]
    sealed: ShelfPut | None = None


class ShelfNotes:
    """The notes of one client, and beside each the file that is sent."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def add(self, job: UUID, form: ShelfForm, states: Sequence[str]) -> None:
        """Note a model durably; it takes the place of an earlier one of the job."""
        self.write(Note(job=job, form=form, states=tuple(states)))

    def write(self, note: Note) -> None:
        """Replace the note of the job."""
        replace_file(self._path(note.job), note.model_dump_json())

    def waiting(self) -> Iterator[Note]:
        """All notes. One that cannot be read is dropped."""
        for path in sorted(self._root.glob("*.json")):
            try:
                yield Note.model_validate_json(path.read_bytes())
            except ValidationError:
                log.exception("the note %s cannot be read: it is dropped", path)
                path.unlink()

    def sealed_file(self, job: UUID) -> Path:
        """Where the file that is sent lies."""
        return self._root / f"{job}.sealed"

    def drop(self, note: Note) -> None:
        """Remove the note and its file, unless another model of the job was noted meanwhile."""
        now = next((each for each in self.waiting() if each.job == note.job), note)
        if (now.form, now.states) == (note.form, note.states):
            self._path(note.job).unlink(missing_ok=True)
            self.sealed_file(note.job).unlink(missing_ok=True)

    def _path(self, job: UUID) -> Path:
        return self._root / f"{job}.json"
