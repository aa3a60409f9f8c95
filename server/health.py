"""Whether this process lives, and whether it can do its work. Open to anybody."""

from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field
from redis import Redis
from redis.exceptions import RedisError
from sqlalchemy import text

from server.auth import OPEN
from server.context import App
from server.documentation import example, open_problems
from server.errors import DATABASE_AWAY, database_away, store_away, unavailable
from shared.artifacts import StoreAwayError
from shared.problem_codes import Code

router = APIRouter(tags=["health"])

_TIMEOUT_S = 1.0


class Health(BaseModel):
    """All is well."""

    status: Literal["ok"] = "ok"


class Readiness(Health):
    """Requests can be answered."""

    redis: Literal["ok", "away"] = Field(
        description="Without it rounds go on as fast as workers and coordinator poll."
    )


@router.get(
    "/healthz",
    summary="Does the process live?",
    dependencies=[OPEN],
    responses=example({"status": "ok"}, "It lives."),
)
def healthz() -> Health:
    """Answer as long as the process lives, whatever the state of Postgres and Redis."""
    return Health()


@router.get(
    "/readyz",
    summary="Can the process work?",
    dependencies=[OPEN],
    responses={
        **example({"status": "ok", "redis": "ok"}, "It can."),
        **open_problems(Code.UNAVAILABLE),
    },
)
def readyz(app: App) -> Readiness:
    """Answer 200 when Postgres, the disk and the bucket are well, else 503 with Retry-After.

    Redis is told, and not required: no request waits for it.
    """
    if app.store.read_only:
        raise unavailable("The disk failed: check it, then restart the server.")
    try:
        app.store.check_answers()
    except StoreAwayError as error:
        raise store_away() from error
    try:
        with app.sessions() as session:
            session.execute(text("select 1"))
    except DATABASE_AWAY as error:
        raise database_away() from error
    return Readiness(redis=_redis(app.settings.redis_url))


def _redis(url: str) -> Literal["ok", "away"]:
    try:
        with Redis.from_url(
            url, socket_timeout=_TIMEOUT_S, socket_connect_timeout=_TIMEOUT_S
        ) as redis:
            redis.ping()
    except RedisError:
        return "away"
    return "ok"
