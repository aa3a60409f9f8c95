"""What one client (or the planner) has in the training process: its disk, device, decoded data."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

import torch

from shared.components import Modality
from shared.job_spec import JobSpec
from shared.messages import Claim, ComponentSpec
from worker.algorithm.method import Personal
from worker.data.client_file import ClientFile
from worker.data.loader import Decoding, TaskData, is_stale, load_task
from worker.models.base import Base
from worker.personal_files import FRESH, PersonalFiles, StateError
from worker.state import PersonalStore
from worker.training.checkpoints import FileCheckpoints
from worker.workplace import Workplace

Reads = Mapping[str, tuple[Modality, ...]]  # by task
DECODED_BYTES = 1 << 30  # in memory, of tensors kept between assignments


@dataclass(frozen=True)
class Workbench:
    """One principal's disk and data in this process."""

    place: Workplace
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    checkpoint_s: float = 60.0
    _decoded: dict[tuple[str, str, str, int, int], TaskData] = field(default_factory=dict)
    _stores: dict[UUID, PersonalStore] = field(default_factory=dict)

    def personal_store(self, job: UUID) -> PersonalStore:
        """The personal states of this client in one job."""
        place = self.place
        made = PersonalStore(place.personal / str(job), place.states_kept_bytes)  # its directories
        return self._stores.setdefault(job, made)  # one that has become read-only remains so

    def personal(self, claim: Claim, specs: Mapping[str, ComponentSpec]) -> Personal:
        """The personal state that the claim goes on with: of the job, or of the one it forks.

        Raises StateError when it is not here.
        """
        store = self.personal_store(claim.job_id)
        wanted = claim.state_digest
        if wanted and claim.parent_job_id and not store.holds(wanted, specs):
            store.adopt(self._lender(wanted, specs).files(wanted, specs))
        return store.load(wanted, specs)

    def _lender(self, sha256: str, specs: Mapping[str, ComponentSpec]) -> PersonalFiles:
        """A job of this client that holds the state: the parent, or one that it was forked from."""
        jobs = (PersonalFiles(root) for root in sorted(self.place.personal.glob("*")))
        found = next((files for files in jobs if files.holds(sha256, specs)), None)
        if found is None:
            raise StateError(
                f"the fork goes on with personal state {sha256[:12]}, which is not below "
                f"{self.place.personal} whole any more: restore it from a backup, choose a later "
                f"round or personal_round, or {FRESH}"
            )
        return found

    def checkpoints(self, claim: Claim) -> FileCheckpoints:
        """What is kept of the trainings of the assignment in hand; of others nothing is."""
        directory = self.place.checkpoint_directory(claim)
        self.place.drop_checkpoints(but=directory)
        return FileCheckpoints(directory, self.checkpoint_s)

    def data(
        self, job: UUID, spec: JobSpec, base: Base, claimed: Reads | None = None
    ) -> Mapping[str, TaskData]:
        """The client's data for its tasks of the job, or for those claimed, kept while they fit.

        Raises DataError, also where they are not those that the job began with.
        """
        file = self.place.file
        if file is None:
            return {}
        found, notes = {}, self.place.data_notes(job)
        for task in (task for task in spec.tasks if task in (claimed or file.tasks)):
            read = claimed[task] if claimed else None
            found[task] = self._task(file, task, spec, base, read)
            notes.check(file, task, found[task].digests)
        return found

    def _task(
        self,
        file: ClientFile,
        task: str,
        spec: JobSpec,
        base: Base,
        claimed: tuple[Modality, ...] | None,
    ) -> TaskData:
        length, read = spec.model.max_text_tokens, (spec.tasks[task].model_dump_json(), claimed)
        key = (task, str(read), base.digest, base.image_size, length)
        data = self._decoded.pop(key, None)
        if data is None or is_stale(data, file, task):
            decoding = Decoding(base.tokenizer, base.image_size, length, self.place.root)
            data = load_task(file, task, spec.tasks[task], decoding, claimed)
        self._decoded[key] = data  # the last used stands last
        while len(self._decoded) > 1 and not self._fits():
            del self._decoded[next(iter(self._decoded))]
        return data

    def _fits(self) -> bool:
        """Whether the memory suffices, and mapped pixels leave as much of the disk as they take."""
        kept = self._decoded.values()
        splits = [split for d in kept for split in (d.train, d.validation, d.test)]
        mapped = sum(split.mapped_bytes for split in splits)
        return (
            sum(split.n_bytes for split in splits) <= DECODED_BYTES
            and mapped <= shutil.disk_usage(self.place.root).free
        )
