"""`python -m server.admin`: keys and the audit, where the database's address is known."""

import argparse
import sys
from collections.abc import Sequence

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from server.audit import verify
from server.columns import Scope
from server.database import DatabaseAwayError, check_current, make_sessions, reachable
from server.keys import service as keys
from server.settings import DatabaseSettings, load
from server.tables import ApiKey

_BY = "server.admin"
_MAKEABLE = [str(scope) for scope in Scope if scope is not Scope.CLIENT]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command; a new key is printed alone, and only once."""
    wish = _parser().parse_args(arguments)
    settings = load(DatabaseSettings)
    try:
        with reachable(settings.database_url) as engine:
            check_current(engine)
            print(_run(engine, wish))  # noqa: T201  # the command's answer
    except DatabaseAwayError as error:
        sys.exit(str(error))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="server.admin", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    create = commands.add_parser("create-key", help="print a new key (clients: POST /v1/clients)")
    create.add_argument("--scope", choices=_MAKEABLE, required=True)
    revoke = commands.add_parser("revoke-key", help="refuse a key from the next request on")
    revoke.add_argument("prefix", help="the part of the key between tap_ and the next _")
    commands.add_parser("verify-events", help="find events that were altered, dropped or swapped")
    return parser


def _run(engine: Engine, wish: argparse.Namespace) -> str:
    with make_sessions(engine).begin() as session:
        if wish.command == "create-key":
            return keys.add(session, _BY, Scope(wish.scope))
        if wish.command == "verify-events":
            return _verified(session)
        row = session.scalars(select(ApiKey).where(ApiKey.prefix == wish.prefix)).one_or_none()
        if row is None:
            sys.exit(f"No key has the prefix {wish.prefix}: give the part between tap_ and _.")
        keys.end(session, _BY, row)
        return f"revoked {wish.prefix}"


def _verified(session: Session) -> str:
    """The last hash of each chain; ends with status 1 where one is broken."""
    audit = verify(session)
    if audit.broken:
        sys.exit("\n".join(audit.broken))
    ends = [f"{job or 'without a job'}: {sha256}" for job, sha256 in audit.ends.items()]
    said = f"{audit.n_events} events in {len(ends)} chains are whole; the chains end with"
    return "\n".join([said, *ends])


if __name__ == "__main__":
    main()
