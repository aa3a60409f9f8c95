"""Keys and scopes: who calls, and what each route lets whom do.

The gate (`server.gate`) finds the key's principal before a body is read; each route declares its
scope by a dependency made here, and `check_scopes` refuses an app in which one does not.
"""

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated
from uuid import UUID

from fastapi import Depends, FastAPI, Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import RouteContext, iter_route_contexts
from fastapi.security import HTTPBearer
from sqlalchemy import bindparam, func, or_, select, update
from sqlalchemy.orm import Session

from server.columns import Scope
from server.errors import ProblemError
from server.tables import ApiKey, Client
from shared import logs
from shared.problem_codes import Code

OPEN_PATHS = frozenset({"/healthz", "/readyz", "/openapi.json", "/docs", "/signin", "/signout"})
_OPEN_BELOW = "/static/"  # what pages load, which holds nobody's data
WORKERS = frozenset({Scope.CLIENT, Scope.PLANNER})
_NAMES = {"job_id": "job", "number": "round", "assignment_id": "assignment", "upload_id": "upload"}
SEEN_TO = timedelta(seconds=15)  # how exactly it is known when a worker was last heard of
_WATCHERS = 8
_LADDER = (Scope.VIEWER, Scope.OPERATOR, Scope.ADMIN)
VIEWING = frozenset(_LADDER)

# Made once: making it costs more than answering it, and each request needs it.
_VALID_KEY = (
    select(
        ApiKey.id,
        ApiKey.sha256,
        ApiKey.scope,
        ApiKey.client_id,
        ApiKey.used_at,
        func.coalesce(
            func.coalesce(Client.seen_at, ApiKey.seen_at) < func.now() - SEEN_TO, True
        ).label("unseen"),
    )
    .outerjoin(Client, Client.id == ApiKey.client_id)
    .where(
        ApiKey.prefix == bindparam("prefix"),
        ApiKey.revoked_at.is_(None),
        or_(ApiKey.expires_at.is_(None), ApiKey.expires_at > func.now()),
    )
)
# Whoever has locked the client notes that it lives.
_UNLOCKED = (
    select(Client.id)
    .where(Client.id == bindparam("client"))
    .with_for_update(key_share=True, skip_locked=True)
    .scalar_subquery()
)
_SEEN = update(Client).where(Client.id == _UNLOCKED).values(seen_at=func.now())


def is_open(path: str) -> bool:
    """Whether anybody may ask for the path, without a key."""
    return path in OPEN_PATHS or path.startswith(_OPEN_BELOW)


@dataclass(frozen=True, slots=True)
class Principal:
    """Who calls; `client` is set exactly for a client's key."""

    key_id: UUID
    scope: Scope
    client: str | None


def create_key(
    session: Session, scope: Scope, client: str | None = None, lifetime: timedelta | None = None
) -> str:
    """A new key, which is shown this once and stored as a hash only."""
    key = _key(secrets.token_hex(4))
    expires_at = None if lifetime is None else func.now() + lifetime
    row = ApiKey(prefix=prefix_of(key), scope=scope, client_id=client, expires_at=expires_at)
    row.sha256 = _digest(key)
    session.add(row)
    return key


def remake_key(row: ApiKey) -> str:
    """The same key with another secret; what it was before is refused."""
    key = _key(row.prefix)
    row.sha256 = _digest(key)
    return key


def prefix_of(key: str) -> str:
    """The part of a key by which it is known and may be told."""
    return key.split("_", 2)[1]


def _key(prefix: str) -> str:
    return f"tap_{prefix}_{secrets.token_urlsafe(32)}"


def find_principal(session: Session, header: str | None) -> Principal:
    """Whose Authorization header it is; workers are noted as seen. Raises ProblemError (401)."""
    kind, _, key = (header or "").partition(" ")
    parts = key.strip().split("_", 2)
    if kind.lower() != "bearer" or len(parts) != 3 or not key.isascii() or "\0" in key:
        raise unauthorized()
    row = session.execute(_VALID_KEY, {"prefix": parts[1]}).one_or_none()
    if row is None or not secrets.compare_digest(row.sha256, _digest(key.strip())):
        raise unauthorized()
    if row.used_at is None:
        session.execute(update(ApiKey).where(ApiKey.id == row.id).values(used_at=func.now()))
    if row.client_id is not None and row.unseen:
        session.execute(_SEEN, {"client": row.client_id})
    if row.scope is Scope.PLANNER and row.unseen:
        session.execute(update(ApiKey).where(ApiKey.id == row.id).values(seen_at=func.now()))
    return Principal(row.id, row.scope, row.client_id)


class Watchers:
    """Who has read a path with a valid key: they may while Postgres, which knows keys, is away.

    For the metrics alone: they say that it is away, and nothing of what it holds.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._known: dict[str, Principal] = {}

    def remember(self, path: str, header: str | None, principal: Principal) -> None:
        """Note a key that is valid now, unless a worker's: no worker watches. The last few last."""
        if path == self._path and principal.scope not in WORKERS:
            self.forget(header)
            known = {**self._known, _named_by(header): principal}
            self._known = dict(list(known.items())[-_WATCHERS:])

    def recall(self, path: str, header: str | None) -> Principal | None:
        """Whose key it was when it was valid last."""
        return self._known.get(_named_by(header)) if path == self._path else None

    def forget(self, header: str | None) -> None:
        """Note that a key is not valid now."""
        if self._known:
            self._known = {k: v for k, v in self._known.items() if k != _named_by(header)}


def _named_by(header: str | None) -> str:
    """The digest of the key in an Authorization header."""
    return _digest((header or "").partition(" ")[2].strip())


def unauthorized() -> ProblemError:
    """401: no key, or none that is valid."""
    return ProblemError(
        401,
        Code.UNAUTHORIZED,
        "Send a valid key in the header `Authorization: Bearer tap_...`; an operator can make one.",
        headers={"WWW-Authenticate": "Bearer"},
    )


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


class Requires:
    """A route's dependency: the scopes whose keys may call it. Raises ProblemError (403)."""

    def __init__(self, *scopes: Scope) -> None:
        self.scopes = frozenset(scopes)

    async def __call__(  # a thread's turn would cost more than this does
        self, request: Request, _: Annotated[object, Depends(HTTPBearer(auto_error=False))]
    ) -> Principal:
        """The caller, if the route is for them."""
        principal = request.scope.get("tapestry.principal")
        if not isinstance(principal, Principal):
            raise unauthorized()
        if principal.scope not in self.scopes:
            allowed = ", ".join(sorted(self.scopes))
            raise ProblemError(
                403,
                Code.FORBIDDEN,
                f"A {principal.scope} key may not do this: use a key with scope {allowed}.",
            )
        logs.note(**_named(request.path_params))
        return principal


def _named(parameters: Mapping[str, object]) -> dict[str, object]:
    """What a request is about, by its address."""
    return {name: parameters.get(key) for key, name in _NAMES.items()}


class Open:
    """A route's dependency: anybody may call it, without a key."""

    async def __call__(self) -> None:
        """Nothing to check."""


def _from(scope: Scope) -> frozenset[Scope]:
    return frozenset(_LADDER[_LADDER.index(scope) :])


OPEN = Depends(Open())
Viewer = Annotated[Principal, Depends(Requires(*_from(Scope.VIEWER)))]
Operator = Annotated[Principal, Depends(Requires(*_from(Scope.OPERATOR)))]
Admin = Annotated[Principal, Depends(Requires(*_from(Scope.ADMIN)))]
ClientOnly = Annotated[Principal, Depends(Requires(Scope.CLIENT))]
PlannerOnly = Annotated[Principal, Depends(Requires(Scope.PLANNER))]
Worker = Annotated[Principal, Depends(Requires(*WORKERS))]
Anyone = Annotated[Principal, Depends(Requires(*Scope))]
Reader = Annotated[Principal, Depends(Requires(Scope.CLIENT, *_from(Scope.OPERATOR)))]
ClientOrViewer = Annotated[Principal, Depends(Requires(Scope.CLIENT, *VIEWING))]


def scopes_of(route: RouteContext) -> frozenset[Scope] | None:
    """The scopes that a route declares; empty for an open one, None for none declared."""
    return _scopes(route.dependant) if hasattr(route, "dependant") else None


def _scopes(dependant: Dependant) -> frozenset[Scope] | None:
    if isinstance(dependant.call, Requires):
        return dependant.call.scopes
    if isinstance(dependant.call, Open):
        return frozenset()
    found = (_scopes(inner) for inner in dependant.dependencies)
    return next((scopes for scopes in found if scopes is not None), None)


def check_scopes(app: FastAPI) -> None:
    """Raises RuntimeError when a route does not declare its scope."""
    for route in iter_route_contexts(app.routes):
        if scopes_of(route) is None and not is_open(route.path or ""):
            raise RuntimeError(
                f"route {sorted(route.methods or ())} {route.path} declares no scope: "
                "add one of server.auth's dependencies"
            )
