"""Registering clients and taking their offers."""

from collections.abc import Mapping

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from server.assignments.decide import ENDED
from server.auth import Principal
from server.clients.adapting import adapt, jobs_of
from server.database import lock_job, to_json
from server.errors import ProblemError, invalid, not_found
from server.idempotency import once
from server.keys import service as keys
from server.paging import Behind, Column, Order, moments, text
from server.tables import Client, Job
from shared.messages import ClientOffer
from shared.problem_codes import Code
from shared.readiness import MOST_CARD_BYTES
from shared.views import ALIVE, ClientCreate, ClientCreated, ClientOrder, ClientView

MOST_SAMPLES = 10**12
_ID = Column[ClientView](Client.id, lambda row: row.id, text)
_TIMES: Mapping[str, Column[ClientView]] = {
    "created_at": moments(Client.created_at, lambda row: row.created_at),
    "seen_at": moments(
        func.coalesce(Client.seen_at, Client.created_at), lambda row: row.seen_at or row.created_at
    ),
}


def register(
    session: Session, principal: Principal, wish: ClientCreate, key: str | None
) -> ClientCreated:
    """A new client with its key. Raises ProblemError (409) when the id is taken.

    Repeated with the same Idempotency-Key, as after a lost answer: the key that nobody saw gets
    another secret, since keys are stored as hashes only; 409 once it was used or revoked.
    """
    name, fresh = once(
        session, principal, "POST /v1/clients", key, wish, lambda: _store(session, wish)
    )
    session.flush()
    secret = keys.of_registration(session, principal, name, fresh=fresh)
    return ClientCreated(**get_client(session, name).model_dump(), key=secret)


def _store(session: Session, wish: ClientCreate) -> str:
    values = {"id": wish.id, "description": wish.description}
    added = session.execute(
        insert(Client).values(values).on_conflict_do_nothing().returning(Client.id)
    ).one_or_none()
    if added is None:
        detail = f"Client {wish.id} is registered already: choose another id or use its key."
        raise ProblemError(409, Code.CLIENT_EXISTS, detail)
    return wish.id


def put_offer(
    session: Session, principal: Principal, client: str, offer: ClientOffer
) -> ClientView:
    """Store what the calling client has; its jobs follow. Raises ProblemError (404, 422)."""
    if principal.client != client:
        raise not_found("client")
    _check_counts(offer)
    _check_card(offer)
    row, jobs = _locked(session, client)
    row.offer = to_json(offer)
    row.seen_at = func.now()
    for job in jobs:
        adapt(session, job, client, offer)
    session.flush()
    session.refresh(row)
    return client_view(row)


def _locked(session: Session, client: str) -> tuple[Client, list[Job]]:
    """The client and the jobs that it is in, locked in the order of `lock_job`.

    A job that was submitted meanwhile is found once the client is locked; then all anew.
    """
    while True:
        with session.begin_nested() as attempt:
            known = jobs_of(session, client)
            jobs = [job for job_id in known if (job := lock_job(session, job_id)) is not None]
            row = session.get(
                Client, client, with_for_update={"key_share": True}, populate_existing=True
            )
            if row is None:
                raise not_found("client")
            if set(jobs_of(session, client)) <= set(known):
                return row, [job for job in jobs if job.state not in ENDED]
            attempt.rollback()


def _check_counts(offer: ClientOffer) -> None:
    sentences = [
        f"tasks.{name}: counts are at most {MOST_SAMPLES}; correct them"
        for name, task in offer.tasks.items()
        if max(task.n_train, task.validation, task.test, task.n_classes) > MOST_SAMPLES
    ]
    if sentences:
        raise invalid(sentences)


def _check_card(offer: ClientOffer) -> None:
    card = offer.card
    if card is None:
        return
    sentences = [
        f"card.tasks.{name}: is no task of the offer; remove it"
        for name in sorted(set(card.tasks) - set(offer.tasks))
    ]
    if card.n_bytes > MOST_CARD_BYTES:
        sentences.append(f"card: is larger than {MOST_CARD_BYTES} bytes; publish none")
    if sentences:
        raise invalid(sentences)


def get_client(session: Session, client: str) -> ClientView:
    """One client. Raises ProblemError (404)."""
    row = session.get(Client, client, populate_existing=True)
    if row is None:
        raise not_found("client")
    return client_view(row)


def sorted_by(sort: ClientOrder) -> Order[ClientView]:
    """How a list of clients goes."""
    columns = [] if sort.endswith("id") else [_TIMES[sort.removeprefix("-")]]
    return Order("clients", sort, *columns, _ID)


def listed_clients(
    session: Session, behind: Behind, limit: int, task: str | None = None, *, there: bool = False
) -> list[ClientView]:
    """Clients in an order from some place on, which offer the task if one is named.

    `there`: only those for which a worker speaks.
    """
    query = behind(select(Client)).limit(limit)
    if task is not None:
        query = query.where(Client.offer["tasks"][task].as_string().is_not(None))
    if there:
        query = query.where(Client.seen_at > func.now() - ALIVE)
    return [client_view(row) for row in session.scalars(query)]


def client_view(row: Client) -> ClientView:
    """The client as operators read it."""
    return ClientView(
        id=row.id,
        description=row.description,
        created_at=row.created_at,
        seen_at=row.seen_at,
        offer=ClientOffer.model_validate(row.offer) if row.offer else None,
    )
