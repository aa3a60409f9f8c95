"""Rounds as operators read them, and what travelled."""

from collections.abc import Iterable, Mapping
from uuid import UUID

from sqlalchemy.orm import Session

from server.assignments.service import assignment_view
from server.kept import Kept
from server.rounds.repository import assignments, published_version, uploaded_bytes
from server.specs import spec_of
from server.tables import Assignment, Job, Round
from server.waiting.query import Waits, waiting_of
from shared.job_spec import JobSpec
from shared.messages import AssignmentKind, Catalogue
from shared.views import RoundView

Sizes = Mapping[str, int]  # component -> bytes of its trainable and frozen tensors
_SIZES: Kept[UUID, Sizes] = Kept()  # by job


def component_sizes(job: Job) -> Sizes:
    """Bytes of each component with its frozen weights; empty until planning is over.

    A catalogue is long and never changes from then on, though before another planner may put
    another: what it comes to is kept for the jobs asked for last.
    """
    if job.round_number == 0 and job.forked_from is None:
        return {}
    return _SIZES.get(job.id, lambda: _sizes(Catalogue.model_validate(job.catalogue)))


def _sizes(catalogue: Catalogue) -> Sizes:
    return {
        name: sum(tensor.n_bytes for tensor in spec.tensors.values()) + spec.frozen_bytes
        for name, spec in catalogue.components.items()
    }


def exchanges(spec: JobSpec) -> dict[AssignmentKind, int]:
    """How often a phase would send full state dicts.

    Down and up in each round, and down once more for the final version.
    """
    last = AssignmentKind.PERSONALIZE if spec.algorithm.personalizes else AssignmentKind.EVALUATE
    return {AssignmentKind.TRAIN: 2, last: 1}


def bytes_full_exchange(job: Job, members: Iterable[Assignment]) -> int:
    """What these assignments would have cost if they had sent full state dicts."""
    times, sizes = exchanges(spec_of(job)), component_sizes(job)
    return sum(times.get(a.kind, 0) * full_state_bytes(a.components, sizes) for a in members)


def full_state_bytes(components: Iterable[str], sizes: Sizes) -> int:
    """Bytes of the full state dict of these components, one way."""
    return sum(sizes.get(component, 0) for component in components)


def bytes_down(members: Iterable[Assignment]) -> int:
    """Bytes that the workers reported to have pulled."""
    return sum(((a.result or {}).get("traffic") or {}).get("bytes_down", 0) for a in members)


def bytes_up(session: Session, members: Iterable[Assignment]) -> int:
    """Bytes of the completed uploads."""
    return uploaded_bytes(session, (a.id for a in members))


def round_view(session: Session, job: Job, row: Round, why: Waits) -> RoundView:
    """One of the job's rounds with its assignments, and why they wait."""
    members = assignments(session, row.id)
    return RoundView(
        number=row.number,
        phase=row.phase,
        state=row.state,
        opened_at=row.opened_at,
        deadline_at=row.deadline_at,
        closed_at=row.closed_at,
        quorum=row.quorum,
        target=row.target,
        quorum_at=row.quorum_at,
        extensions=row.extensions,
        version=published_version(session, row.id),
        bytes_down=bytes_down(members),
        bytes_up=bytes_up(session, members),
        bytes_full_exchange=bytes_full_exchange(job, members),
        assignments=tuple(assignment_view(a, waiting_of(why, a.id)) for a in members),
        waiting=waiting_of(why, row.id),
    )
