"""What one client (or the planner) has on this machine's disk."""

import json
import shutil
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from uuid import UUID

from shared.artifacts import ArtifactStore
from shared.messages import Claim
from shared.shelf_spec import ShelfForm, agreed
from worker.data.client_file import ClientFile
from worker.data_notes import DataNotes
from worker.journal import Journal
from worker.personal_files import KEPT_BYTES, PersonalFiles
from worker.shelf.notes import MOST_STATES, ShelfNotes

_TRAINED_ON = {"components", "tasks", "manifest", "state_digest"}  # what a new claim may change


@dataclass(frozen=True)
class Workplace:
    """One principal's disk: files that the worker and its training process share."""

    name: str
    cache: ArtifactStore
    root: Path
    file: ClientFile | None = None  # absent for the planner
    states_kept_bytes: int = KEPT_BYTES

    def personal_files(self, job: UUID) -> PersonalFiles:
        """The personal states of this client in one job."""
        return PersonalFiles(self.personal / str(job), self.states_kept_bytes)

    @property
    def personal(self) -> Path:
        """Where the personal states of this client lie, by job."""
        return self.root / "personal" / self.name

    @property
    def shelf(self) -> ShelfNotes:
        """Which of this client's models are still to be put on the server's shelf."""
        return ShelfNotes(self.root / "shelf" / self.name)

    def note_for_shelf(self, job: UUID, asked: ShelfForm) -> None:
        """Note that the client's model is to be put there, if job and client want that."""
        form = agreed(asked, self.file.shelf if self.file else ShelfForm.NONE)
        states = [] if form is ShelfForm.NONE else self.personal_files(job).accepted()
        if states:
            self.shelf.add(job, form, states[:MOST_STATES])

    def data_notes(self, job: UUID) -> DataNotes:
        """What this client's data were when the job began here."""
        return DataNotes(self.root / "data" / self.name / f"{job}.json")

    def checkpoint_directory(self, claim: Claim) -> Path:
        """Where trainings of an assignment in hand are kept.

        One that is given anew asks for something else under the same id: it has another directory.
        """
        asked = json.dumps(claim.model_dump(mode="json", include=_TRAINED_ON), sort_keys=True)
        name = f"{claim.assignment_id}-{sha256(asked.encode()).hexdigest()[:16]}"
        return self.root / "checkpoints" / self.name / name

    def drop_checkpoints(self, but: Path | None = None) -> None:
        """Remove what no assignment in hand needs."""
        for directory in (self.root / "checkpoints" / self.name).glob("*"):
            if directory != but:
                shutil.rmtree(directory, ignore_errors=True)

    def drop(self) -> None:
        """Have nothing in hand any more."""
        self.journal.clear()
        self.drop_checkpoints()

    @property
    def journal(self) -> Journal:
        """What this principal has in hand."""
        return Journal(self.root / "journals" / f"{self.name}.json")
