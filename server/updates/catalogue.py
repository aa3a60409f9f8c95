"""The planner's description of a job's components, against which uploads are checked."""

from collections.abc import Collection
from uuid import UUID

from sqlalchemy import delete
from sqlalchemy.orm import Session

from server.assignments.service import held_locked
from server.auth import Principal
from server.database import to_json
from server.errors import ProblemError, not_found
from server.specs import spec_of
from server.tables import Upload, UploadedComponent
from shared.job_spec import JobSpec
from shared.messages import AssignmentKind, Catalogue, HeldLease
from shared.problem_codes import Code

LARGEST_COMPONENT_BYTES = 1 << 40


def put_catalogue(
    session: Session,
    principal: Principal,
    assignment_id: UUID,
    held: HeldLease,
    catalogue: Catalogue,
) -> None:
    """Store the catalogue; another one than before drops what was uploaded under the old one.

    A planner that has lost its lease cannot describe anew what another one has described since.

    Raises ProblemError (404, 409, 422).
    """
    job, row = held_locked(session, principal, assignment_id, held)
    if row.kind is not AssignmentKind.PLAN:
        raise not_found("assignment")
    check(row.components, spec_of(job), catalogue)
    data = to_json(catalogue)
    if job.catalogue != data:
        for table in (Upload, UploadedComponent):
            session.execute(delete(table).where(table.assignment_id == row.id))
        job.catalogue = data
        job.base_digest = catalogue.base_digest


def check(components: Collection[str], spec: JobSpec, catalogue: Catalogue) -> None:
    """Whether it is a catalogue of these components. Raises ProblemError (422)."""
    wanted, given = set(components), set(catalogue.components)
    sentences = [
        *(f"components: {name} is missing; add it" for name in sorted(wanted - given)),
        *(
            f"components: {name[:200]} is not asked for; remove it"
            for name in sorted(given - wanted)
        ),
        *(
            f"components.{name}: is larger than {LARGEST_COMPONENT_BYTES} bytes; make it smaller"
            for name, spec in catalogue.components.items()
            if sum(t.n_bytes for t in spec.tensors.values()) + spec.frozen_bytes
            > LARGEST_COMPONENT_BYTES
        ),
    ]
    expected = spec.model.digest
    if expected is not None and expected != catalogue.base_digest:
        sentences.append(
            f"base_digest: is {catalogue.base_digest} but the spec's model.digest is {expected}; "
            "give the planner that base or correct the spec"
        )
    if sentences:
        detail = f"Correct the catalogue: {sentences[0]}."
        raise ProblemError(422, Code.WRONG_CATALOGUE, detail, sentences)
