"""Users of Redis for clients' workers: each hears the hints of its own queues and may do no more.

A user's password is made of Redis's own and the user's name, so that a Redis which has forgotten
its users, as one does that keeps nothing, gets the same ones again.
"""

import hashlib
import hmac
from collections.abc import Sequence
from urllib.parse import quote, unquote, urlsplit

from redis import Redis
from redis.exceptions import RedisError, ResponseError

from shared.wakeups import client_queue

# All that a worker's connection does: it waits for the next hint, and asks whether Redis is there.
_COMMANDS = ("+brpop", "+ping", "+client|setinfo")
_TIMEOUT_S = 5.0


class BrokerError(Exception):
    """Redis cannot give the user; the text is one sentence that says what to do."""


def give(redis_url: str, clients: Sequence[str], address: str | None = None) -> tuple[str, bool]:
    """The address for the worker of these clients, and whether Redis wrote the user down.

    `address` is Redis's as the worker reaches it, else as this process does. Raises BrokerError.
    """
    if address and urlsplit(address).scheme not in {"redis", "rediss"}:
        raise BrokerError(f"{address} is no address of Redis: write rediss://HOST:PORT/0")
    user = user_of(clients)
    password = _password(redis_url, user)
    queues = [f"~{client_queue(client)}" for client in clients]
    _ask(redis_url, "SETUSER", user, "reset", "on", f">{password}", *queues, *_COMMANDS)
    parts = urlsplit(address or redis_url)
    host = parts.netloc.rpartition("@")[2]
    whole = parts._replace(netloc=f"{quote(user, safe='')}:{password}@{host}")
    return whole.geturl(), _saved(redis_url)


def take(redis_url: str, clients: Sequence[str]) -> str:
    """End the user of these clients and its connections; its name. Raises BrokerError."""
    user = user_of(clients)
    if not _ask(redis_url, "DELUSER", user):
        raise BrokerError(f"Redis has no user {user}: name the clients as when it was made")
    _saved(redis_url)
    return user


def user_of(clients: Sequence[str]) -> str:
    """The name of the user of a worker that serves these clients."""
    return f"client.{'+'.join(sorted(set(clients)))}"


def _password(redis_url: str, user: str) -> str:
    own = urlsplit(redis_url).password
    if not own:
        raise BrokerError("Redis lets in whoever reaches it: give it a password first")
    return hmac.new(unquote(own).encode(), f"tapestry {user}".encode(), hashlib.sha256).hexdigest()


def _saved(redis_url: str) -> bool:
    """Have Redis write its users down, where it has a file for them."""
    try:
        _ask(redis_url, "SAVE")
    except BrokerError as error:
        if isinstance(error.__cause__, ResponseError):
            return False
        raise
    return True


def _ask(redis_url: str, *words: str) -> object:
    timeouts = {"socket_timeout": _TIMEOUT_S, "socket_connect_timeout": _TIMEOUT_S}
    try:
        with Redis.from_url(redis_url, **timeouts) as redis:
            return redis.execute_command("ACL", *words)
    except RedisError as error:
        raise BrokerError(
            f"Redis did not do it ({error}): check TAPESTRY_REDIS_URL and what its user may do"
        ) from error
