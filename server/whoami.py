"""Whose key it is. A worker that serves several clients says by it that the others are there."""

from fastapi import APIRouter

from server.auth import Anyone
from server.documentation import example, problems
from server.examples import WHO
from shared.views import Who

router = APIRouter(prefix="/v1", tags=["clients"])


@router.get(
    "/whoami",
    summary="Whose key is it?",
    responses={**example(WHO, "Scope and client of the key."), **problems()},
)
def whoami(principal: Anyone) -> Who:
    """Say what the caller's key may do and, if it is a client's, which; the client was heard of."""
    return Who(scope=principal.scope, client=principal.client)
