"""What is said of clients that a job names and that are not there: who, and how to have them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime

from cli.exits import FailedError
from cli.listing import is_there
from shared.api_client import ApiClient
from shared.job_spec import JobSpec
from shared.problem_codes import Code
from shared.transport import ApiError
from shared.views import ClientView

_NOT_THERE = {Code.UNKNOWN_CLIENT, Code.CLIENT_WITHOUT_OFFER}
_MOST_NAMES = 12


@contextmanager
def naming_absent(api: ApiClient, spec: JobSpec) -> Iterator[None]:
    """Turn the API's reasons, one for each client, into one sentence. Raises FailedError."""
    try:
        yield
    except ApiError as error:
        if error.problem.code not in _NOT_THERE:
            raise
        raise FailedError(refused(spec.clients, api.clients(), api.url)) from error


def refused(clients: Sequence[str], there: Sequence[ClientView], url: str) -> str:
    """Why a job of these clients is refused, and what to do."""
    offers = {client.id: client.offer for client in there}
    unknown = [name for name in clients if name not in offers]
    if unknown:
        return (
            f"nobody has registered {_names(unknown)} at {url}: host them by `tapestry up "
            "--clients DIR` (those of the demonstration by `tapestry up --demo`), register them "
            "by `tapestry register`, or take them out of the spec"
        )
    mute = [name for name in clients if offers[name] is None]
    return (
        f"no worker has spoken for {_names(mute)} yet: start theirs (`tapestry worker`, or the "
        "stack that hosts them), wait for it, or take them out of the spec"
    )


def silent(api: ApiClient, clients: Sequence[str]) -> str:
    """What is said of a launched job's clients for whom no worker speaks now; empty without any."""
    found: list[ClientView] = []
    with suppress(ApiError):  # the job is launched all the same
        found = api.clients()
    now = datetime.now(UTC)
    quiet = [each.id for each in found if each.id in clients and not is_there(each.seen_at, now)]
    if not quiet:
        return ""
    return (
        f"nobody speaks for {_names(quiet)} now, and the job will wait for them: start their "
        "workers, or the stack that hosts them"
    )


def _names(names: Sequence[str]) -> str:
    """The names, the first ones where there are many."""
    shown = ", ".join(names[:_MOST_NAMES])
    rest = len(names) - _MOST_NAMES
    return f"{shown} and {rest} more" if rest > 0 else shown
