"""Routes about clients: operators register them, and each tells what it has."""

from typing import Annotated

from fastapi import APIRouter, Body, Query

from server.auth import ClientOnly, Operator, Viewer
from server.clients import service
from server.context import App
from server.database import killable
from server.documentation import example, problems
from server.examples import CLIENT, CLIENT_CREATE, CLIENT_CREATED, CLIENTS, OFFER
from server.idempotency import Key
from server.paging import SORT, Cursor, Limit
from shared.messages import ClientOffer
from shared.problem_codes import Code
from shared.spec import Name
from shared.views import ClientCreate, ClientCreated, ClientList, ClientOrder, ClientView

router = APIRouter(prefix="/v1/clients", tags=["clients"])


@router.post(
    "",
    status_code=201,
    summary="Register a client",
    responses={
        **example(CLIENT_CREATED, "The client with its key, shown this once.", 201),
        **problems(Code.CLIENT_EXISTS, Code.KEY_IN_USE, Code.IDEMPOTENCY_KEY_REUSED),
    },
)
def register(
    wish: Annotated[ClientCreate, Body(examples=[CLIENT_CREATE])],
    app: App,
    principal: Operator,
    key: Key = None,
) -> ClientCreated:
    """Register a client and make its key."""
    with app.sessions.begin() as session:
        return service.register(session, principal, wish, key)


@router.get("", summary="List clients", responses={**example(CLIENTS, "Clients."), **problems()})
def list_clients(
    app: App,
    _: Viewer,
    task: Annotated[Name | None, Query(description="Which offer this task.")] = None,
    there: Annotated[
        bool, Query(description="Only those for which a worker spoke in the last minute.")
    ] = False,
    sort: Annotated[
        ClientOrder,
        Query(description=f"{SORT} One that was never seen counts as when it was made."),
    ] = "id",
    cursor: Cursor = None,
    limit: Limit = 50,
) -> ClientList:
    """List clients in pages, with their offers."""
    order = service.sorted_by(sort)
    with app.sessions.begin() as session:
        behind = order.behind(cursor)
        rows = service.listed_clients(session, behind, limit + 1, task, there=there)
    page, following = order.cut(rows, limit)
    return ClientList(items=tuple(page), next=following)


@router.get(
    "/{client}",
    summary="Show a client",
    responses={**example(CLIENT, "The client."), **problems(Code.NOT_FOUND)},
)
def show_client(client: Name, app: App, _: Viewer) -> ClientView:
    """Show one client with its offer."""
    with app.sessions.begin() as session:
        return service.get_client(session, client)


@router.put(
    "/{client}/offer",
    summary="Make an offer",
    responses={
        **example(CLIENT, "The client with its offer."),
        **problems(Code.NOT_FOUND),
    },
)
def put_offer(
    client: Name,
    offer: Annotated[ClientOffer, Body(examples=[OFFER])],
    app: App,
    principal: ClientOnly,
) -> ClientView:
    """Say which tasks the calling client has data for, and how much: counts only."""
    with killable(app.sessions, "api.offer") as session:
        return service.put_offer(session, principal, client, offer)
