"""Idempotency-Key: a repeated POST answers for what the first one made, and makes nothing new."""

import hashlib
from collections.abc import Callable
from typing import Annotated

from fastapi import Header
from pydantic import BaseModel
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from server.auth import Principal
from server.errors import ProblemError
from server.side_tables import IdempotencyKey
from shared.problem_codes import Code

Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=200,
        pattern=r"^[\x21-\x7e]+$",
        description="Any text that names this request: a repetition with the same key and body "
        "answers for what the first one made.",
        examples=["launch-2026-01-31"],
    ),
]


def once(
    session: Session,
    principal: Principal,
    route: str,
    key: str | None,
    body: BaseModel,
    make: Callable[[], str],
) -> tuple[str, bool]:
    """The id of the resource, and whether `make` was called for it now.

    Raises ProblemError (422) when the key was used for another body.
    """
    if key is None:
        return make(), True
    digest = hashlib.sha256(body.model_dump_json().encode()).hexdigest()
    identity = {"api_key_id": principal.key_id, "route": route, "key": key}
    fresh = session.execute(
        insert(IdempotencyKey)
        .values(**identity, request_sha256=digest, resource="")
        .on_conflict_do_nothing()
        .returning(IdempotencyKey.key)
    ).one_or_none()
    row = session.scalars(select(IdempotencyKey).filter_by(**identity)).one()
    if fresh is None and row.request_sha256 != digest:
        raise ProblemError(
            422,
            Code.IDEMPOTENCY_KEY_REUSED,
            "This Idempotency-Key was used for another body: choose a new one.",
        )
    if fresh is not None:
        row.resource = make()
    return row.resource, fresh is not None
