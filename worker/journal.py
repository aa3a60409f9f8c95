"""What a principal has in hand, written down so that a kill at any moment costs little.

One small file for each client (or the planner). A worker that starts again reads it, shows the
lease to the server, and goes on where the file says.
"""

import logging
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import Self
from uuid import UUID, uuid4

from pydantic import NonNegativeInt, PositiveInt, ValidationError, model_validator

from shared.messages import AssignmentKind, Claim, HeldAssignment, Message
from shared.results import AssignmentResult, PlanResult, TrainResult
from shared.shelf_spec import ShelfForm
from shared.spec import Sha256
from worker.durable import put_file, replace_file, sync_directory

log = logging.getLogger("tapestry.worker")


class Stage(StrEnum):
    """The last step of an assignment that is done."""

    CLAIMED = "claimed"
    TRAINED = "trained"  # the result and all its files are on this disk
    UPLOADED = "uploaded"
    ACCEPTED = "accepted"


class Entry(Message):
    """An assignment in hand, and how far it has come."""

    held: HeldAssignment
    job_id: UUID
    stage: Stage = Stage.CLAIMED
    starts: NonNegativeInt = 1  # times that its computation was begun under this lease
    samples_at_once: PositiveInt | None = None  # fewer than a batch, where that was too large
    died: str | None = None  # how the training process ended when it last did not answer
    shelf: ShelfForm = ShelfForm.NONE  # what the job asks of the model that this work leaves
    result: AssignmentResult | None = None

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if (self.stage is Stage.CLAIMED) != (self.result is None):
            raise ValueError(f"stage {self.stage} does not fit the result")
        return self

    @classmethod
    def of(cls, claim: Claim) -> Self:
        """The entry of a claim that is just made."""
        return cls(held=held_by(claim), job_id=claim.job_id, shelf=shelved_after(claim))

    @property
    def outcome(self) -> AssignmentResult:
        """The result. Raises ValueError before there is one."""
        if self.result is None:
            raise ValueError("nothing is computed yet")
        return self.result

    @property
    def uploads(self) -> dict[str, Sha256]:
        """Component -> artifact in the worker's cache, of what the result needs at the server."""
        match self.outcome:
            case PlanResult(components=components) | TrainResult(components=components):
                return components
            case _:
                return {}

    @property
    def state_digest(self) -> Sha256 | None:
        """The personal state to promote in the end, if any."""
        digest: Sha256 | None = getattr(self.outcome, "state_digest", None)
        return digest

    def begun_again(self, died: str | None = None) -> "Entry":
        """The same lease, with the computation ahead once more."""
        return Entry(
            held=self.held,
            job_id=self.job_id,
            starts=self.starts + 1,
            samples_at_once=self.samples_at_once,
            died=died or self.died,
            shelf=self.shelf,
        )

    def not_begun(self) -> "Entry":
        """The same lease; the computation was not begun, for what it needs did not come."""
        return self.model_copy(update={"starts": max(self.starts - 1, 0)})

    def halved(self, batch_size: int) -> "Entry | None":
        """The same with half as many samples at once; None where it was one already.

        Without a number more than a batch may go at once: a sample of each task, and whatever an
        evaluation takes.
        """
        if self.samples_at_once == 1:
            return None
        now = self.samples_at_once or max(batch_size, 2)
        return Entry(held=self.held, job_id=self.job_id, samples_at_once=now // 2, shelf=self.shelf)


def held_by(claim: Claim) -> HeldAssignment:
    """Which assignment a claim holds, and under which lease."""
    return HeldAssignment(
        assignment_id=claim.assignment_id, lease_id=claim.lease.id, attempt=claim.lease.attempt
    )


def shelved_after(claim: Claim) -> ShelfForm:
    """In which form the job asks for the client's model once this work is accepted.

    Only of the last state: stage two's, or what there is when no stage two was.
    """
    stage_two = claim.spec.algorithm.personalizes
    last = AssignmentKind.PERSONALIZE if stage_two else AssignmentKind.EVALUATE
    return claim.spec.shelf if claim.kind is last else ShelfForm.NONE


class Journal:
    """The file of one principal: the assignment in hand, or none.

    Beside it lies the name that the lease of the next claim is to have. It stays until what the
    claim was answered with has ended, so that a worker that was killed before it could write the
    answer down is given the same again.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._next = path.with_suffix(".lease")

    def lease_name(self) -> UUID:
        """The name of the lease that is claimed next."""
        try:
            return UUID(self._next.read_text(encoding="ascii"))
        except (OSError, ValueError):
            return self._renew()

    def read(self) -> Entry | None:
        """What is in hand. A file that cannot be read counts as none."""
        try:
            return Entry.model_validate_json(self._path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValidationError) as error:
            log.warning(
                "the journal %s cannot be read (%s): what was in hand is claimed anew",
                self._path,
                type(error).__name__,
            )
            return None

    def write(self, entry: Entry) -> None:
        """Replace what is in hand, durably: after a crash it is the old entry or the new one."""
        replace_file(self._path, entry.model_dump_json())

    def clear(self) -> None:
        """Nothing is in hand any more; the next claim is a new one. Needs no space on the disk."""
        if self._path.exists() or self._next.exists():
            self._next.unlink(missing_ok=True)
            self._path.unlink(missing_ok=True)
            sync_directory(self._path.parent)

    def _renew(self) -> UUID:
        """A new name; where the disk does not keep it, for one claim, whose failure says why."""
        name = uuid4()
        with suppress(OSError):
            put_file(self._next, str(name))
        return name
