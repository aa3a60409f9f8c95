"""The norm of each contribution's change: measured before a round is published, and recorded."""

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from server.aggregation.norms import change_norm
from server.context import Context
from server.jobs.publishing import Order, renew
from server.tables import Contribution, Round, VersionComponent

Norms = dict[tuple[str, str], float]  # (component, client) -> norm of its change


def measure(context: Context, order: Order) -> Norms:
    """How far each contribution of the round moved its component; holds no lock.

    Raises LeaseLostError, and ArtifactError where a file is missing or damaged.
    """
    with context.sessions.begin() as session:
        base = _base(session, order)
    found: Norms = {}
    for component, shares in order.shares.items():
        renew(context, order)
        spec = order.catalogue.components[component]
        for share in shares:
            norm = change_norm(share.sha256, base[component], spec, context.store)
            found[component, share.client] = norm
    return found


def _base(session: Session, order: Order) -> dict[str, str]:
    """The artifacts of the version that the round's assignments started from."""
    row = session.get_one(Round, order.round_id)
    query = select(VersionComponent.component, VersionComponent.sha256).where(
        VersionComponent.job_id == order.job_id, VersionComponent.version == row.version
    )
    return {row.component: row.sha256 for row in session.execute(query)}


def note(session: Session, order: Order, norms: Norms) -> None:
    """Record the norms, in the transaction that publishes the round."""
    rows = [
        {"round_id": order.round_id, "component": component, "client_id": client, "norm": norm}
        for (component, client), norm in norms.items()
    ]
    if rows:
        session.execute(update(Contribution), rows)
