"""The real app and coordinators on a real Postgres, made once and emptied for each run."""

import json
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg

from server.aggregation import aggregate
from server.auth import create_key
from server.columns import Scope, Table
from server.context import Context
from server.main import create_app
from server.settings import ServerSettings
from server.tables import Client
from shared.artifacts import ArtifactStore
from tests.support.machine.calls import (
    WITHIN_S,
    Answer,
    Course,
    Running,
    Server,
    Sessions,
    in_thread,
)
from tests.support.machine.clock import Clock, clocked
from tests.support.scripted import DEAD_REDIS

CLIENTS = ("c1", "c2", "c3", "c4")
PLANNER = "planner"
LEASE = timedelta(seconds=60)
RETRY = timedelta(seconds=2)
_KEPT = frozenset({"clients", "api_keys", "artifacts"})
Rows = list[dict[str, Any]]
Query = tuple[str, list[Any] | dict[str, Any]]


@dataclass
class Arena:
    """The service under test, and a connection of the observer's own."""

    server: Server
    coordinators: tuple[Context, ...]
    keys: dict[str, str]
    clock: Clock
    connection: "psycopg.Connection[Any]"

    def begin(self) -> None:
        """Forget all but the clients and their keys."""
        tables = [t.name for t in Table.metadata.sorted_tables if t.name not in _KEPT]
        with self.connection.transaction():
            self.connection.execute("SET LOCAL session_replication_role = replica")
            for table in [*reversed(tables), "artifacts"]:
                self.connection.execute(f"DELETE FROM {table}".encode())  # noqa: S608  # our tables
            self.connection.execute("UPDATE clients SET offer = NULL, seen_at = NULL")
        shutil.rmtree(self.coordinators[0].store.root)
        (self.coordinators[0].store.root / "parts").mkdir(parents=True)
        self.clock.begin()

    def request(self, who: str, route: str, body: Any = None, **headers: str) -> Answer:
        """A request that nothing befalls, and its answer; the route is METHOD /path."""
        answer: Answer = self._start(who, route, body, headers)().result(timeout=WITHIN_S)
        return answer

    def begun(
        self, course: Course, who: str, route: str, body: Any = None, **headers: str
    ) -> Running:
        """A request with a course."""
        return Running(self._start(who, route, body, headers), course)

    def _start(
        self, who: str, route: str, body: Any, headers: dict[str, str]
    ) -> Callable[[], "Future[Answer]"]:
        content = body if isinstance(body, bytes) else json.dumps(body).encode() if body else b""
        given = {k.replace("_", "-"): v for k, v in headers.items()}
        given["authorization"] = f"Bearer {self.keys[who]}"
        if content and not isinstance(body, bytes):
            given["content-type"] = "application/json"
        method, path = route.split(" ")
        return lambda: self.server.start(method, path, given, content)

    def working(self, course: Course, work: Callable[[], Any]) -> Running:
        """A coordinator's work with a course."""
        return Running(lambda: in_thread(work), course)

    def query(self, *queries: Query) -> list[Rows]:
        """The rows of all queries, in one round trip."""
        with self.connection.pipeline():
            cursors = [self.connection.execute(q.encode(), values) for q, values in queries]
        return [_rows(cursor) for cursor in cursors]


def _rows(cursor: "psycopg.Cursor[Any]") -> Rows:
    names = [column.name for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


@contextmanager
def arena(url: str, directory: Path) -> Iterator[Arena]:
    """The service on the empty database at `url`, with its artifacts below `directory`."""
    with clocked(url) as connection:
        settings = ServerSettings(
            database_url=url,
            redis_url=DEAD_REDIS,
            artifacts_dir=directory,
            reserve_bytes=0,
            lease=LEASE,
            retry_delay=RETRY,
            unreferenced_kept=timedelta(0),
            late_uploads_kept=timedelta(minutes=5),
        )
        app = create_app(settings)
        engine = app.state.context.sessions.kw["bind"]
        sessions = Sessions(engine, expire_on_commit=False)
        contexts = [
            Context(settings, sessions, ArtifactStore(directory, durable=False), aggregate)
            for _ in range(3)
        ]
        app.state.context = contexts[0]
        server = Server(app)
        try:
            yield Arena(server, tuple(contexts[1:]), _keys(sessions), Clock(connection), connection)
        finally:
            server.stop()
            engine.dispose()


def _keys(sessions: Sessions) -> dict[str, str]:
    scopes = {"operator": Scope.OPERATOR, "viewer": Scope.VIEWER, PLANNER: Scope.PLANNER}
    with sessions.begin() as session:
        session.add_all(Client(id=name, description="") for name in CLIENTS)
        session.flush()
        keys = {name: create_key(session, scope) for name, scope in scopes.items()}
        return {**keys, **{c: create_key(session, Scope.CLIENT, c) for c in CLIENTS}}
