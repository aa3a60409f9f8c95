"""A federation without training: an operator, a planner and clients that follow a script."""

import hashlib
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from fastapi.testclient import TestClient
from httpx2 import Response  # what Starlette answers with in tests
from sqlalchemy import text

from server.auth import create_key
from server.columns import Scope, Table
from server.context import Context
from server.jobs.advance import advance
from server.main import create_app
from server.settings import ServerSettings
from shared.messages import LEASE_HEADER, ComponentSpec, TensorSpec
from shared.tensor_file import component_layout

DEAD_REDIS = "redis://127.0.0.1:1/0"
SHA = "a" * 64
Json = dict[str, Any]


def offer(classes: int = 2, train: Mapping[str, int] | None = None) -> Json:
    """An offer of the task `digits`."""
    task = {
        "kind": "image_classification",
        "modalities": ["image"],
        "n_classes": classes,
        "train": dict(train or {"general": 10}),
        "validation": 5,
        "test": 5,
    }
    return {"tasks": {"digits": task}}


def job_spec(clients: list[str], **changes: Any) -> Json:
    """A spec over the task `digits`."""
    spec = {
        "name": "scripted",
        "algorithm": {"name": "tap"},
        "rounds": {"count": 2},
        "tasks": {
            "digits": {
                "kind": "image_classification",
                "modalities": ["image"],
                "classes": ["a", "b"],
            }
        },
        "clients": clients,
    }
    return {**spec, **changes}


def component_spec() -> ComponentSpec:
    """A component of three values."""
    return ComponentSpec(tensors={"w": TensorSpec(shape=(3,))}, frozen_bytes=100)


def component_bytes(*values: float) -> bytes:
    """The component's file."""
    return component_layout(component_spec()).header + struct.pack("<3f", *values)


def sha(data: bytes) -> str:
    """The bytes' name."""
    return hashlib.sha256(data).hexdigest()


@dataclass
class Caller:
    """Somebody with a key."""

    http: TestClient
    key: str

    def __call__(self, method: str, path: str, **more: Any) -> Response:
        headers = {"Authorization": f"Bearer {self.key}", **more.pop("headers", {})}
        return self.http.request(method, path, headers=headers, **more)

    def ok(self, method: str, path: str, **more: Any) -> Any:
        """The JSON of an answer that must be a success."""
        answer = self(method, path, **more)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    def claim(self, shown: Json | None = None, lease_id: str | None = None) -> Json | None:
        """The next assignment, if there is one; the one of the claim that is shown comes first."""
        more: Json = {} if shown is None else {"json": {"held": held_assignment(shown)}}
        if lease_id is not None:
            more["headers"] = {LEASE_HEADER: lease_id}
        claimed: Json | None = self.ok("POST", "/v1/assignments:claim", **more)
        return claimed

    def upload(self, claim: Json, files: Mapping[str, bytes]) -> Response:
        """Announce and send components; the answer to the sending."""
        view = self.ok("POST", "/v1/uploads", json=wish(claim, files))
        data = b"".join(files[name] for name in view["components"])
        return self.send(view["id"], data[view["offset"] :], view["offset"])

    def send(self, upload: str, data: bytes, offset: int) -> Response:
        """Send bytes at the offset."""
        headers = {"Upload-Offset": str(offset)}
        return self("PATCH", f"/v1/uploads/{upload}", content=data, headers=headers)

    def report(self, claim: Json, what: str, **body: Any) -> Response:
        """Heartbeat, result or failure on a claim."""
        path = f"/v1/assignments/{claim['assignment_id']}/{what}"
        return self("POST", path, json={**held(claim), **body})


def held(claim: Json) -> Json:
    """The lease of a claim."""
    return {"lease_id": claim["lease"]["id"], "attempt": claim["lease"]["attempt"]}


def held_assignment(claim: Json) -> Json:
    """The assignment and the lease of a claim."""
    return {**held(claim), "assignment_id": claim["assignment_id"]}


def wish(claim: Json, files: Mapping[str, bytes]) -> Json:
    """The announcement of an upload."""
    return {
        **held_assignment(claim),
        "components": {n: {"sha256": sha(data), "n_bytes": len(data)} for n, data in files.items()},
    }


@dataclass
class World:
    """The real app on a real database, and people in it."""

    http: TestClient
    context: Context
    operator: Caller
    viewer: Caller
    planner: Caller
    clients: dict[str, Caller] = field(default_factory=dict)

    def add_client(self, name: str, offered: Json | None = None) -> Caller:
        """Register a client and make its offer."""
        made = self.operator.ok("POST", "/v1/clients", json={"id": name})
        self.clients[name] = Caller(self.http, made["key"])
        if offered is not None:
            self.clients[name].ok("PUT", f"/v1/clients/{name}/offer", json=offered)
        return self.clients[name]

    def launch(self, **changes: Any) -> str:
        """Submit a job over all clients, and look at it once."""
        spec = job_spec(sorted(self.clients), **changes)
        job: Json = self.operator.ok("POST", "/v1/jobs", json=spec)
        self.advance(job["id"])
        return str(job["id"])

    def advance(self, job: str) -> None:
        """What the coordinator does when it hears of the job."""
        advance(self.context, UUID(job))

    def job(self, job: str) -> Json:
        """The job as an operator sees it."""
        view: Json = self.viewer.ok("GET", f"/v1/jobs/{job}")
        return view

    def plan(self, job: str, *, then_advance: bool = True) -> Json:
        """Do the planner's assignment."""
        claim = self.planner.claim()
        assert claim is not None
        catalogue = {
            "base_digest": SHA,
            "components": {name: component_spec().model_dump() for name in claim["components"]},
        }
        address = f"/v1/assignments/{claim['assignment_id']}"
        self.planner.ok("PUT", f"{address}/catalogue", params=held(claim), json=catalogue)
        files = {name: component_bytes(0, 0, n) for n, name in enumerate(claim["components"])}
        assert self.planner.upload(claim, files).json()["complete"]
        components = {name: sha(data) for name, data in files.items()}
        done = self.planner.report(claim, "result", kind="plan", components=components)
        assert done.is_success, done.text
        if then_advance:
            self.advance(job)
        return claim

    def train(self, name: str, value: float, state: str | None = SHA) -> Json:
        """One client's round: all its components become (value, value, value)."""
        caller = self.clients[name]
        claim = caller.claim()
        assert claim is not None
        files = {name: component_bytes(value, value, value) for name in claim["components"]}
        assert caller.upload(claim, files).json()["complete"]
        components = {name: sha(data) for name, data in files.items()}
        result = {**train_result(components), "state_digest": state}
        done = caller.report(claim, "result", **result)
        assert done.is_success, done.text
        return claim

    def trained(self, **changes: Any) -> str:
        """A job over c1 and c2 whose first round has all its results, and is not looked at yet."""
        job = self.launch(**changes)
        self.plan(job)
        self.train("c1", 1.0)
        self.train("c2", 5.0)
        return job

    def execute(self, statement: str, **values: Any) -> None:
        """Change rows behind the server's back."""
        with self.context.sessions.begin() as session:
            session.execute(text(statement), values)

    def documents(self, answer: Response, route: str) -> bool:
        """Whether the contract names an answer's problem for a route, as `GET /v1/jobs`."""
        method, path = route.split(" ")
        operation = self.http.get("/openapi.json").json()["paths"][path][method.lower()]
        content = operation["responses"][str(answer.status_code)]["content"]
        return answer.json()["code"] in content["application/problem+json"]["examples"]

    def hang_up(self) -> None:
        """Close the connections, where no lifespan of `http` does."""
        engine = self.context.sessions.kw["bind"]
        engine.dispose()

    def value(self, query: str, **values: Any) -> Any:
        """One value of the database."""
        with self.context.sessions.begin() as session:
            return session.execute(text(query), values).scalar_one()


def train_result(components: Mapping[str, str]) -> Json:
    """A training result without its lease."""
    decision = {
        "task": "digits",
        "engaged_loss": 0.5,
        "personal_loss": None,
        "margin": 0.0,
        "replaced": True,
    }
    return {
        "kind": "train",
        "components": dict(components),
        "losses": {"digits": {"engaged": 0.5, "personal": 0.4}},
        "decisions": [decision],
        "state_digest": SHA,
        "traffic": {"bytes_down": 7, "bytes_up": 9, "seconds": 0.1},
    }


def make_settings(database_url: str, artifacts: Path, redis_url: str) -> ServerSettings:
    """Settings of a test's server."""
    return ServerSettings(
        database_url=database_url,
        redis_url=redis_url,
        artifacts_dir=artifacts,
        reserve_bytes=0,
        retry_delay="PT0S",
    )


def make_world(settings: ServerSettings) -> World:
    """An empty database with three keys; the caller enters `world.http`."""
    app = create_app(settings)
    context: Context = app.state.context
    tables = ", ".join(table.name for table in Table.metadata.sorted_tables)
    with context.sessions.begin() as session:
        session.execute(text(f"TRUNCATE {tables} CASCADE"))
        scopes = (Scope.OPERATOR, Scope.VIEWER, Scope.PLANNER)
        keys = [create_key(session, scope) for scope in scopes]
    http = TestClient(app)
    operator, viewer, planner = (Caller(http, key) for key in keys)
    return World(http, context, operator, viewer, planner)
