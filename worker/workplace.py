"""What one client (or the planner) has on this machine: cache, personal states, decoded data."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

import torch

from shared.artifacts import ArtifactStore
from shared.job_spec import JobSpec
from shared.messages import Claim, ComponentSpec
from worker.algorithm.stages import Personal
from worker.data.client_file import ClientFile
from worker.data.loader import TaskData, load_task
from worker.journal import Journal
from worker.models.base import Base
from worker.state import KEPT_BYTES, PersonalStore, StateError
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
    states_kept_bytes: int = KEPT_BYTES
    _decoded: dict[tuple[str, str, str, int], TaskData] = field(default_factory=dict)

    def personal_store(self, job: UUID) -> PersonalStore:
        """The personal states of this client in one job."""
        return PersonalStore(self._personal / str(job), self.states_kept_bytes)

    def personal(self, claim: Claim, specs: Mapping[str, ComponentSpec]) -> Personal:
        """The personal state that the claim goes on with: of the job, or of the one it forks.

        Raises StateError when it is not here.
        """
        store = self.personal_store(claim.job_id)
        wanted = claim.state_digest
        if wanted and claim.parent_job_id and not store.holds(wanted, specs):
            store.adopt(self._lender(wanted, specs).files(wanted, specs))
        return store.load(wanted, specs)

    def _lender(self, sha256: str, specs: Mapping[str, ComponentSpec]) -> PersonalStore:
        """A job of this client that holds the state: the parent, or one that it was forked from."""
        jobs = (PersonalStore(root) for root in sorted(self._personal.glob("*")))
        found = next((store for store in jobs if store.holds(sha256, specs)), None)
        if found is None:
            raise StateError(
                f"the fork goes on with personal state {sha256[:12]}, which is not below "
                f"{self._personal} any more: restore it from a backup, fork a later round, or "
                "fork with personal_states: fresh"
            )
        return found

    @property
    def _personal(self) -> Path:
        return self.root / "personal" / self.name

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
