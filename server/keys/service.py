"""Making, listing and revoking keys. Each change has its event, with the prefix of who made it."""

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import ColumnElement, Select, and_, func, or_, select
from sqlalchemy.orm import Session

from server.auth import Principal, create_key, prefix_of, remake_key
from server.columns import Scope
from server.errors import ProblemError, not_found
from server.idempotency import once
from server.lifecycle import record
from server.paging import Behind, Column, Order, moments, text
from server.tables import ApiKey, Client
from shared.keys import ClientKeyCreate, KeyCreate, KeyCreated, KeyOrder, KeyState, KeyView
from shared.problem_codes import Code

MOST_OF_CLIENT = 2  # the one in use, and the one to change over to
_PREFIX = Column[KeyView](ApiKey.prefix, lambda row: row.prefix, text)
_MADE: Column[KeyView] = moments(ApiKey.created_at, lambda row: row.created_at)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which keys, in which order, from which on."""

    behind: Behind
    client: str | None
    live: bool


def sorted_by(sort: KeyOrder) -> Order[KeyView]:
    """How a list of keys goes."""
    return Order("keys", sort, *([] if sort.endswith("prefix") else [_MADE]), _PREFIX)


def is_live() -> ColumnElement[bool]:
    """Whether requests with the key are answered."""
    expires = or_(ApiKey.expires_at.is_(None), ApiKey.expires_at > func.now())
    return and_(ApiKey.revoked_at.is_(None), expires)


def create(session: Session, by: Principal, wish: KeyCreate, name: str | None) -> KeyCreated:
    """A new key that is no client's. Raises ProblemError (409, 422)."""

    def make() -> str:
        return prefix_of(add(session, _name(session, by), Scope(wish.scope), None, wish.lifetime))

    return _shown(session, by, *once(session, by, "POST /v1/keys", name, wish, make))


def create_for_client(
    session: Session, by: Principal, client: str, wish: ClientKeyCreate, name: str | None
) -> KeyCreated:
    """Another key of a client. Raises ProblemError (404, 409, 422)."""

    def make() -> str:
        _check_room(session, client)
        return prefix_of(add(session, _name(session, by), Scope.CLIENT, client, wish.lifetime))

    route = f"POST /v1/clients/{client}/keys"
    return _shown(session, by, *once(session, by, route, name, wish, make))


def of_registration(session: Session, by: Principal, client: str, *, fresh: bool) -> str:
    """The key that a client is registered with; one that is registered already gets it once more.

    Raises ProblemError (409) where somebody uses the one that was shown, or it is revoked.
    """
    if fresh:
        prefix = prefix_of(add(session, _name(session, by), Scope.CLIENT, client))
    else:
        query = select(ApiKey.prefix).where(ApiKey.client_id == client)
        prefix = session.scalars(query.order_by(ApiKey.created_at, ApiKey.id).limit(1)).one()
    return _shown(session, by, prefix, fresh).key


def _check_room(session: Session, client: str) -> None:
    """Lock the client and count. Raises ProblemError (404, 409)."""
    if session.get(Client, client, with_for_update={"key_share": True}) is None:
        raise not_found("client")
    query = select(ApiKey.prefix).where(ApiKey.client_id == client, is_live())
    live = session.scalars(query.order_by(ApiKey.created_at)).all()
    if len(live) >= MOST_OF_CLIENT:
        raise ProblemError(
            409,
            Code.TOO_MANY_KEYS,
            f"Client {client} has {len(live)} live keys ({', '.join(live)}): revoke the one that "
            "its worker does not use.",
        )


def add(
    session: Session,
    by: str,
    scope: Scope,
    client: str | None = None,
    lifetime: timedelta | None = None,
) -> str:
    """A new key, with its event; `by` says who made it."""
    key = create_key(session, scope, client, lifetime)
    about = {"key": prefix_of(key), "scope": str(scope), "client": client}
    record(session, "key.created", None, {**about, "by": by})
    session.flush()
    return key


def end(session: Session, by: str, row: ApiKey) -> None:
    """Refuse a key from the next request on, with its event; one that is revoked stays so."""
    if row.revoked_at is None:
        row.revoked_at = func.now()
        record(session, "key.revoked", None, {"key": row.prefix, "by": by})
        session.flush()


def _shown(session: Session, by: Principal, prefix: str, fresh: bool) -> KeyCreated:
    """The key with a secret that was never shown: only its hash is kept, so each time another.

    Raises ProblemError (409) where somebody uses the one that was shown, or it is revoked.
    """
    row = _locked(session, prefix)
    if row.used_at is not None or row.revoked_at is not None:
        raise ProblemError(
            409,
            Code.KEY_IN_USE,
            f"Key {prefix}, which this Idempotency-Key made, was used or revoked since: use it, or "
            "make another under a new Idempotency-Key.",
        )
    key = remake_key(row)
    if not fresh:
        record(session, "key.shown_again", None, {"key": prefix, "by": _name(session, by)})
    session.flush()
    return KeyCreated(**_view(session, prefix).model_dump(), key=key)


def revoke(session: Session, by: Principal, prefix: str) -> KeyView:
    """Refuse the key from the next request on. Raises ProblemError (404, 409)."""
    row = _locked(session, prefix)
    if row.revoked_at is None:
        _check_not_last(session, row)
        end(session, _name(session, by), row)
    return _view(session, prefix)


def _locked(session: Session, prefix: str) -> ApiKey:
    """The key; with an admin's all live ones of admins, so that two do not revoke each other.

    Raises ProblemError (404).
    """
    row = session.scalars(select(ApiKey).where(ApiKey.prefix == prefix)).one_or_none()
    if row is None:
        raise not_found("key")
    these = ApiKey.id == row.id
    if row.scope is Scope.ADMIN:
        these = or_(these, _live_admins())
    query = select(ApiKey).where(these).order_by(ApiKey.id).with_for_update(key_share=True)
    session.scalars(query, execution_options={"populate_existing": True}).all()
    return row


def _live_admins() -> ColumnElement[bool]:
    return and_(ApiKey.scope == Scope.ADMIN, is_live())


def _check_not_last(session: Session, row: ApiKey) -> None:
    live = set(session.scalars(select(ApiKey.prefix).where(_live_admins())))
    if live == {row.prefix}:
        raise ProblemError(
            409,
            Code.LAST_ADMIN_KEY,
            f"Key {row.prefix} is the last live admin key, without which nobody makes another: "
            "make its successor first, and revoke it with that.",
        )


def listed(session: Session, wanted: Wanted, limit: int) -> list[KeyView]:
    """Keys as wanted."""
    query = wanted.behind(_with_state()).limit(limit)
    if wanted.client is not None:
        query = query.where(ApiKey.client_id == wanted.client)
    if wanted.live:
        query = query.where(is_live())
    return [_read(row, live) for row, live in session.execute(query)]


def _view(session: Session, prefix: str) -> KeyView:
    query = _with_state().where(ApiKey.prefix == prefix)
    row, live = session.execute(query, execution_options={"populate_existing": True}).one()
    return _read(row, live)


def _with_state() -> Select[ApiKey, bool]:
    return select(ApiKey, is_live())


def _read(row: ApiKey, live: bool) -> KeyView:
    ended = KeyState.EXPIRED if row.revoked_at is None else KeyState.REVOKED
    return KeyView(
        prefix=row.prefix,
        scope=row.scope,
        client=row.client_id,
        state=KeyState.LIVE if live else ended,
        created_at=row.created_at,
        used_at=row.used_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
    )


def _name(session: Session, by: Principal) -> str:
    return session.get_one(ApiKey, by.key_id).prefix
