"""Whether this process lives, and whether it can do its work. Open to anybody."""

from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel
from redis import Redis
from redis.exceptions import RedisError
from sqlalchemy import text

from server.auth import OPEN
from server.context import App
from server.documentation import example, open_problems
from server.errors import DATABASE_AWAY, database_away, unavailable

router = APIRouter(tags=["health"])

_TIMEOUT_S = 1.0


class Health(BaseModel):
    """All is well."""

    status: Literal["ok"] = "ok"


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
    responses={**example({"status": "ok"}, "It can."), **open_problems(503)},
)
def readyz(app: App) -> Health:
    """Answer 200 when Postgres, Redis and the disk are well, else 503 with Retry-After."""
    if app.store.read_only:
        raise unavailable("The disk failed: check it, then restart the server.")
    try:
        with app.sessions() as session:
            session.execute(text("select 1"))
    except DATABASE_AWAY as error:
        raise database_away() from error
    try:
        with Redis.from_url(
            app.settings.redis_url, socket_timeout=_TIMEOUT_S, socket_connect_timeout=_TIMEOUT_S
        ) as redis:
            redis.ping()
    except RedisError as error:
        raise unavailable("Redis does not answer: rounds go on more slowly without it.") from error
    return Health()
