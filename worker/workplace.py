"""What one client (or the planner) has on this machine: cache, personal states, decoded data."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

import torch

from shared.artifacts import ArtifactStore
from shared.job_spec import JobSpec
from worker.data.client_file import ClientFile
from worker.data.loader import TaskData, load_task
from worker.journal import Journal
from worker.models.base import Base
from worker.state import PersonalStore
from worker.training.checkpoints import FileCheckpoints


@dataclass(frozen=True)
class Workplace:
    """One principal's disk and data in this process."""

    name: str
    cache: ArtifactStore
    root: Path
    file: ClientFile | None = None  # absent for the planner
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    checkpoint_s: float = 60.0
    _decoded: dict[tuple[str, str, str, int], TaskData] = field(default_factory=dict)

    def personal_store(self, job: UUID) -> PersonalStore:
        """The personal states of this client in one job."""
        return PersonalStore(self.root / "personal" / self.name / str(job))

    def checkpoints(self, assignment: UUID) -> FileCheckpoints:
        """What is kept of the trainings of the assignment in hand; of others nothing is."""
        root = self.root / "checkpoints" / self.name
        self.drop_checkpoints(but=assignment)
        return FileCheckpoints(root / str(assignment), self.checkpoint_s)

    def drop_checkpoints(self, but: UUID | None = None) -> None:
        """Remove what no assignment in hand needs."""
        for directory in (self.root / "checkpoints" / self.name).glob("*"):
            if directory.name != str(but):
                shutil.rmtree(directory, ignore_errors=True)

    @property
    def journal(self) -> Journal:
        """What this principal has in hand."""
        return Journal(self.root / "journals" / f"{self.name}.json")

    def data(self, spec: JobSpec, base: Base) -> Mapping[str, TaskData]:
        """The client's data for its tasks of the job, decoded once. Raises DataError."""
        tasks = () if self.file is None else self.file.tasks
        return {task: self._task(task, spec, base) for task in spec.tasks if task in tasks}

    def _task(self, task: str, spec: JobSpec, base: Base) -> TaskData:
        length = spec.model.max_text_tokens
        key = (task, spec.tasks[task].model_dump_json(), base.digest, length)
        if key not in self._decoded and self.file is not None:
            self._decoded[key] = load_task(
                self.file, task, spec.tasks[task], base.tokenizer, base.image_size, length
            )
        return self._decoded[key]
