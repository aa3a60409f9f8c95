"""Routes about keys, for administrators: make, list, revoke; and change a client's over."""

from typing import Annotated

from fastapi import APIRouter, Body, Query

from server.auth import Admin
from server.context import App
from server.documentation import example, problems
from server.examples import (
    CLIENT_KEY_CREATE,
    CLIENT_KEY_CREATED,
    KEY_CREATE,
    KEY_CREATED,
    KEY_REVOKED,
    KEYS,
)
from server.idempotency import Key
from server.keys import service
from server.paging import SORT, Cursor, Limit
from shared.keys import ClientKeyCreate, KeyCreate, KeyCreated, KeyList, KeyOrder, KeyView
from shared.problem_codes import Code
from shared.spec import Name

router = APIRouter(prefix="/v1", tags=["keys"])


@router.post(
    "/keys",
    status_code=201,
    summary="Make a key",
    responses={
        **example(KEY_CREATED, "The key, shown this once.", 201),
        **problems(Code.KEY_IN_USE, Code.IDEMPOTENCY_KEY_REUSED),
    },
)
def create(
    wish: Annotated[KeyCreate, Body(examples=[KEY_CREATE])],
    app: App,
    principal: Admin,
    key: Key = None,
) -> KeyCreated:
    """Make a key that is no client's.

    A repetition with the same Idempotency-Key, as after a lost answer, shows the same key with
    another secret, as long as it was not used: the one that nobody saw is of no use.
    """
    with app.sessions.begin() as session:
        return service.create(session, principal, wish, key)


@router.post(
    "/clients/{client}/keys",
    status_code=201,
    summary="Make a client's next key",
    responses={
        **example(CLIENT_KEY_CREATED, "The key, shown this once.", 201),
        **problems(
            Code.NOT_FOUND, Code.TOO_MANY_KEYS, Code.KEY_IN_USE, Code.IDEMPOTENCY_KEY_REUSED
        ),
    },
)
def create_for_client(
    client: Name,
    wish: Annotated[ClientKeyCreate, Body(examples=[CLIENT_KEY_CREATE])],
    app: App,
    principal: Admin,
    key: Key = None,
) -> KeyCreated:
    """Make another key of a client: both are live until one is revoked, so its worker can change.

    A client has two live keys at most. A repetition is answered as one of `POST /v1/keys`.
    """
    with app.sessions.begin() as session:
        return service.create_for_client(session, principal, client, wish, key)


@router.get("/keys", summary="List keys", responses={**example(KEYS, "Keys."), **problems()})
def list_keys(
    app: App,
    _: Admin,
    client: Annotated[Name | None, Query(description="Of this client.")] = None,
    live: Annotated[bool, Query(description="Only those that are answered.")] = False,
    sort: Annotated[KeyOrder, Query(description=SORT)] = "prefix",
    cursor: Cursor = None,
    limit: Limit = 50,
) -> KeyList:
    """List keys in pages; none is shown."""
    order = service.sorted_by(sort)
    wanted = service.Wanted(order.behind(cursor), client, live=live)
    with app.sessions.begin() as session:
        rows = service.listed(session, wanted, limit + 1)
    page, following = order.cut(rows, limit)
    return KeyList(items=tuple(page), next=following)


@router.delete(
    "/keys/{prefix}",
    summary="Revoke a key",
    responses={
        **example(KEY_REVOKED, "The key, revoked."),
        **problems(Code.NOT_FOUND, Code.LAST_ADMIN_KEY),
    },
)
def revoke(prefix: str, app: App, principal: Admin) -> KeyView:
    """Refuse a key from the next request on; one that is revoked already stays so.

    The last live admin key is not revoked.
    """
    with app.sessions.begin() as session:
        return service.revoke(session, principal, prefix)
