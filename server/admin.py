"""`python -m server.admin`: keys, the audit, and Redis's users, where the addresses are known."""

import argparse
import sys
from collections.abc import Sequence

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from server import broker
from server.audit import verify
from server.broker import BrokerError
from server.columns import Scope
from server.database import DatabaseAwayError, check_current, make_sessions, reachable
from server.keys import service as keys
from server.settings import BrokerSettings, DatabaseSettings, load
from server.tables import ApiKey, Client

_BY = "server.admin"
_BROKER_USER = "broker-user"
_FORGETFUL = (
    "Redis keeps its users in memory only: run this again after it was restarted; the address "
    "stays the same."
)
_MAKEABLE = [str(scope) for scope in Scope if scope is not Scope.CLIENT]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command; a new key is printed alone, and only once."""
    wish = _parser().parse_args(arguments)
    settings = load(BrokerSettings if wish.command == _BROKER_USER else DatabaseSettings)
    try:
        with reachable(settings.database_url) as engine:
            check_current(engine)
            if isinstance(settings, BrokerSettings):
                answer = _broker_user(engine, settings.redis_url, wish)
            else:
                answer = _run(engine, wish)
            print(answer)  # noqa: T201  # the command's answer
    except DatabaseAwayError as error:
        sys.exit(str(error))
    except BrokerError as error:
        sys.exit(f"{error}.")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="server.admin", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    create = commands.add_parser("create-key", help="print a new key (clients: POST /v1/clients)")
    create.add_argument("--scope", choices=_MAKEABLE, required=True)
    revoke = commands.add_parser("revoke-key", help="refuse a key from the next request on")
    revoke.add_argument("prefix", help="the part of the key between tap_ and the next _")
    user = commands.add_parser(
        _BROKER_USER, help="print the address of Redis for one worker, which wakes its clients only"
    )
    user.add_argument("client", nargs="+", help="the clients that the worker serves")
    user.add_argument("--address", help="Redis as the worker reaches it, rediss://HOST:PORT/0")
    user.add_argument("--remove", action="store_true", help="end the user instead")
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


def _broker_user(engine: Engine, redis_url: str, wish: argparse.Namespace) -> str:
    """The address of a worker's own user of Redis, or the name of the one that was ended."""
    if wish.remove:
        return f"removed {broker.take(redis_url, wish.client)}"
    with make_sessions(engine).begin() as session:
        known = set(session.scalars(select(Client.id).where(Client.id.in_(wish.client))))
    for client in wish.client:
        if client not in known:
            sys.exit(f"There is no client {client}: register it first.")
    address, saved = broker.give(redis_url, wish.client, wish.address)
    if not saved:
        print(_FORGETFUL, file=sys.stderr)  # noqa: T201  # beside the answer
    return address


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
