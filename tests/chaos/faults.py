"""What can be done to the stack: each fault begins, lasts a while, and is healed.

`begin` returns how to heal it, and healing tells whether the fault has hit anything. None: there
was nothing to hit.
"""

import os
import shutil
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Any, Generic, TypeVar

import psycopg
import redis

from tests.chaos import disk, network
from tests.chaos.network import Heal
from tests.chaos.proxy import Link
from tests.chaos.stack import LEASE_S, ROLES, Disturbed, Server, Service

T = TypeVar("T", Service, Server, Link)

_SHORT = (0.3, 2.0)
_LONGER_THAN_LEASE = (LEASE_S + 0.5, LEASE_S + 3)
_HOUR_S = 3600


@dataclass(frozen=True)
class Fault(Generic[T]):
    """A kind of fault, what it may hit, and for how long."""

    kind: str
    targets: Callable[[Disturbed], Sequence[T]]
    begin: Callable[[Disturbed, T, Random], Heal | None]
    seconds: tuple[float, float] = _SHORT
    impossible: str = ""  # why not here


def table() -> list[Fault[Any]]:
    """All kinds of faults."""
    return [
        *(Fault(f"{role} kill -9", _of(role), _kill) for role in ROLES),
        *(Fault(f"{role} SIGTERM", _of(role), _tell) for role in ROLES),
        *(
            Fault(f"{role} SIGSTOP beyond the lease", _of(role), _freeze, _LONGER_THAN_LEASE)
            for role in ROLES
        ),
        Fault("trainer kill -9", _of("worker"), _kill_trainer, (0, 0)),
        *_of_servers(),
        *_of_links(),
        Fault("fsync fails (EIO)", _with_disk, _fsync_fails, (2, 4), disk.impossible()),
        Fault("disk full (ENOSPC)", _with_disk, _disk_full, (2, 4), _no_compiler()),
        Fault("clock jumps ahead", _services, partial(_clock, 1), (1, 6), _no_compiler()),
        Fault("clock jumps back", _services, partial(_clock, -1), (1, 6), _no_compiler()),
    ]


def _of_servers() -> list[Fault[Server]]:
    return [
        Fault("Postgres stopped at once", _server("postgres"), partial(_stop, signal.SIGQUIT)),
        Fault("Postgres connections terminated", _server("postgres"), _terminate, (0, 0)),
        Fault("Valkey kill -9", _server("valkey"), partial(_stop, signal.SIGKILL)),
        Fault("Valkey FLUSHALL", _server("valkey"), _flush, (0, 0)),
        Fault("Valkey stalled", _server("valkey"), _stall, (1, 4)),
    ]


def _of_links() -> list[Fault[Link]]:
    return [
        Fault("connections cut", _links(""), network.cut, (0, 0)),
        Fault("connection cut behind a COMMIT", _links("postgres"), network.cut_commit, (1, 3)),
        Fault("connection cut inside a body", _links("api"), network.tear, (2, 4)),
        Fault("half open: nothing passes, then cut", _links(""), network.hole, _LONGER_THAN_LEASE),
        Fault("one way: answers are lost", _links(""), network.deaf, (1, 4)),
        Fault("held, then delivered late", _links(""), network.late, _LONGER_THAN_LEASE),
        Fault("each piece 50 to 200 ms late", _links(""), network.slow, (2, 5)),
    ]


def _services(stack: Disturbed) -> list[Service]:
    return list(stack.services.values())


def _of(role: str) -> Callable[[Disturbed], list[Service]]:
    return lambda stack: [s for s in _services(stack) if s.role == role]


def _with_disk(stack: Disturbed) -> list[Service]:
    return [s for s in _services(stack) if s.role != "planner"]


def _server(name: str) -> Callable[[Disturbed], list[Server]]:
    return lambda stack: [stack.servers[name]]


def _links(end: str) -> Callable[[Disturbed], list[Link]]:
    return lambda stack: [link for link in stack.links.values() if link.name.endswith(end)]


def _no_compiler() -> str:
    return "" if shutil.which("cc") else "no C compiler (cc) here"


def _kill(stack: Disturbed, service: Service, _: Random) -> Heal:
    service.send(signal.SIGKILL)

    def heal() -> bool:
        stack.start(service)
        return True

    return heal


def _kill_trainer(stack: Disturbed, _: Service, draw: Random) -> Heal | None:
    trainers = stack.forks.trainers() if stack.forks else []
    if not trainers:
        return None
    with suppress(ProcessLookupError):
        os.kill(draw.choice(trainers), signal.SIGKILL)
    return lambda: True


def _tell(_: Disturbed, service: Service, __: Random) -> Heal:
    service.tell_to_end()
    return lambda: True


def _freeze(_: Disturbed, service: Service, __: Random) -> Heal:
    service.send(signal.SIGSTOP)

    def heal() -> bool:
        service.send(signal.SIGCONT)
        return True

    return heal


def _stop(number: signal.Signals, stack: Disturbed, server: Server, _: Random) -> Heal:
    server.child.process.send_signal(number)

    def heal() -> bool:
        stack.restart_server(server)
        return True

    return heal


def _terminate(stack: Disturbed, _: Server, __: Random) -> Heal | None:
    query = (
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
        "WHERE pid <> pg_backend_pid() AND datname = current_database()"
    )
    address = stack.database.url().replace("postgresql+psycopg:", "postgresql:")
    try:
        with psycopg.connect(address, connect_timeout=2) as connection:
            row = connection.execute(query).fetchone()
    except psycopg.Error:
        return None
    return lambda: row is not None and row[0] > 0


def _flush(stack: Disturbed, _: Server, __: Random) -> Heal | None:
    try:
        with redis.Redis.from_url(stack.broker.url(), socket_timeout=2) as broker:
            broker.flushall()
    except redis.RedisError:
        return None
    return lambda: True


def _stall(_: Disturbed, server: Server, __: Random) -> Heal:
    server.child.process.send_signal(signal.SIGSTOP)

    def heal() -> bool:
        server.child.process.send_signal(signal.SIGCONT)
        return True

    return heal


def _fsync_fails(stack: Disturbed, service: Service, _: Random) -> Heal:
    """The process is restarted in the end, as its error asks the operator to."""
    end = disk.inject(service.pid, "fsync:error=EIO", stack.settings.logs)

    def heal() -> bool:
        hit = end()
        if service.alive:
            service.tell_to_end()
        return hit

    return heal


def _disk_full(_: Disturbed, service: Service, __: Random) -> Heal:
    service.set_machine(full=True)
    return lambda: service.set_machine() > 0


def _clock(sign: int, _: Disturbed, service: Service, draw: Random) -> Heal:
    """By an hour to a month."""
    service.set_machine(offset_s=sign * draw.randint(1, 30 * 24) * _HOUR_S)

    def heal() -> bool:
        service.set_machine()
        return service.alive

    return heal
