"""The shelf as clients and operators use it at a server: opaque bytes."""

from typing import Any

from httpx2 import Response

from tests.support.scripted import SHA, Caller, Json, World, offer, sha

MODEL = b"tapestry shelf 1 encrypted\n" + bytes(range(256)) * 20
OTHER = MODEL[::-1]


def add_shelf_pair(world: World) -> World:
    """Register c1, which allows its model to be kept encrypted, and c2, which does not."""
    world.add_client("c1", {**offer(), "shelf": "encrypted"})
    world.add_client("c2", offer())
    return world


def wish(data: bytes = MODEL, **changes: Any) -> Json:
    """What a client announces of that model."""
    made = {"form": "encrypted", "sha256": sha(data), "n_bytes": len(data), "state_digest": SHA}
    return {**made, **changes}


def announced(caller: Caller, job: str, data: bytes = MODEL, **changes: Any) -> Json:
    """Announce a model; returns what the server says of it."""
    found: Json = caller.ok("POST", f"/v1/jobs/{job}/shelf", json=wish(data, **changes))
    return found


def send(caller: Caller, job: str, model: str, data: bytes, offset: int = 0) -> Response:
    """Send bytes of an announced model."""
    headers = {"Upload-Offset": str(offset)}
    return caller("PATCH", f"/v1/jobs/{job}/shelf/{model}", content=data, headers=headers)


def put(world: World, job: str, data: bytes = MODEL, client: str = "c1", **changes: Any) -> str:
    """Put a model there whole; returns its id."""
    view = announced(world.clients[client], job, data, **changes)
    done = send(world.clients[client], job, view["id"], data)
    assert done.json()["complete"], done.text
    return str(view["id"])


def listed(caller: Caller, job: str) -> Json:
    """The shelf of a job as the caller reads it."""
    found: Json = caller.ok("GET", f"/v1/jobs/{job}/shelf")
    return found


def code(answer: Response) -> tuple[int, str]:
    """The status and code of a problem."""
    return answer.status_code, answer.json()["code"]


def parts(world: World) -> list[str]:
    """The server's files of uploads that have not ended."""
    return [path.name for path in (world.context.store.root / "parts").iterdir()]
