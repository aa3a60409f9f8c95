"""What people wrote under an earlier version, which this one must be able to read.

A spec or an offer is validated when it comes and parsed again whenever it is used: a version that
takes less than the one that wrote it would fail at every list that has the row.
"""

from collections.abc import Generator
from contextlib import closing
from itertools import islice

from pydantic import BaseModel, ValidationError
from sqlalchemy import Connection, select
from sqlalchemy.orm import InstrumentedAttribute

from server.tables import Client, Job, JobClient
from shared.job_spec import JobSpec
from shared.messages import ClientOffer
from shared.spec_files import explain

_MOST_NAMED = 10
_AT_ONCE = 1000  # rows
_WRITTEN: tuple[tuple[str, type[BaseModel], tuple[InstrumentedAttribute[object], ...]], ...] = (
    ("the spec of job {}", JobSpec, (Job.spec, Job.id)),
    ("the offer of client {}", ClientOffer, (Client.offer, Client.id)),
    (
        "the offer to job {} of client {}",
        ClientOffer,
        (JobClient.offer, JobClient.job_id, JobClient.client_id),
    ),
)


class UnreadableError(Exception):
    """This version cannot read what the database holds; one line for each row."""


def check(connection: Connection) -> None:
    """Read all specs and offers. Raises UnreadableError, which names the first ten."""
    with closing(_unreadable(connection)) as unreadable:
        found = list(islice(unreadable, _MOST_NAMED + 1))
    if not found:
        return
    more = ["and more"] if len(found) > _MOST_NAMED else []
    remedy = (
        "The database was left as it was, since this version cannot read what it holds: go on with "
        "the version that you had, or correct these and migrate again."
    )
    raise UnreadableError("\n".join([remedy, *found[:_MOST_NAMED], *more]))


def _unreadable(connection: Connection) -> Generator[str]:
    for name, kind, columns in _WRITTEN:
        query = select(*columns).execution_options(yield_per=_AT_ONCE)
        with connection.execute(query) as rows:
            for value, *key in rows:
                if problem := _problem(kind, value):
                    yield f"{name.format(*key)}: {problem}"


def _problem(kind: type[BaseModel], value: object) -> str | None:
    """Why it cannot be read, if it is there."""
    try:
        if value is not None:
            kind.model_validate(value)
    except ValidationError as error:
        return "; ".join(explain(kind, error))
    return None
