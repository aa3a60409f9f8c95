"""What one client (or the planner) has in the training process: its disk, device, decoded data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

import torch

from shared.job_spec import JobSpec
from worker.data.loader import TaskData, load_task
from worker.models.base import Base
from worker.state import PersonalStore
from worker.training.checkpoints import FileCheckpoints
from worker.workplace import Workplace


@dataclass(frozen=True)
class Workbench:
    """One principal's disk and data in this process."""

    place: Workplace
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    checkpoint_s: float = 60.0
    _decoded: dict[tuple[str, str, str, int], TaskData] = field(default_factory=dict)

    def personal_store(self, job: UUID) -> PersonalStore:
        """The personal states of this client in one job."""
        return PersonalStore(self.place.personal_directory(job))

    def checkpoints(self, assignment: UUID) -> FileCheckpoints:
        """What is kept of the trainings of the assignment in hand; of others nothing is."""
        self.place.drop_checkpoints(but=assignment)
        return FileCheckpoints(self.place.checkpoint_directory(assignment), self.checkpoint_s)

    def data(self, spec: JobSpec, base: Base) -> Mapping[str, TaskData]:
        """The client's data for its tasks of the job, decoded once. Raises DataError."""
        tasks = () if self.place.file is None else self.place.file.tasks
        return {task: self._task(task, spec, base) for task in spec.tasks if task in tasks}

    def _task(self, task: str, spec: JobSpec, base: Base) -> TaskData:
        length = spec.model.max_text_tokens
        key = (task, spec.tasks[task].model_dump_json(), base.digest, length)
        if key not in self._decoded and self.place.file is not None:
            self._decoded[key] = load_task(
                self.place.file, task, spec.tasks[task], base.tokenizer, base.image_size, length
            )
        return self._decoded[key]
