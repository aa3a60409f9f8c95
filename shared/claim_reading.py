"""Reads claims, of another version too: as much of one as it takes to refuse it."""

from uuid import UUID

import httpx
from pydantic import BaseModel, ValidationError

from shared.messages import Claim, HeldAssignment
from shared.transport import ApiError, first_problem, no_answer, read


class UnreadableClaimError(ApiError):
    """A claim in the words of another version; the text names the field and the remedy."""

    def __init__(self, response: httpx.Response, held: HeldAssignment, what: str) -> None:
        sentence = f"this worker cannot read its claim ({what}): bring it to the coordinator's"
        super().__init__(no_answer(response.status_code, f"{sentence} version"))
        self.held = held


class _Lease(BaseModel):
    id: UUID
    attempt: int


class ClaimHead(BaseModel):
    """What every version says in the same words."""

    assignment_id: UUID
    lease: _Lease


def read_claim(response: httpx.Response) -> Claim:
    """The claim. Raises UnreadableClaimError where it can be refused, else ApiError."""
    try:
        return Claim.model_validate_json(response.content)
    except ValidationError as error:
        head = read(ClaimHead, response)
        held = HeldAssignment(
            assignment_id=head.assignment_id, lease_id=head.lease.id, attempt=head.lease.attempt
        )
        raise UnreadableClaimError(response, held, first_problem(error)) from error
