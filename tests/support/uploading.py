"""Uploads of a scripted client: two components, and what is left of their bytes."""

from pathlib import Path

from tests.support.scripted import Json, World, component_bytes, wish

GOOD = component_bytes(1, 2, 3)
OTHER = component_bytes(4, 5, 6)
BOTH = {"proj": GOOD, "head.digits": OTHER}


def training(world: World) -> Json:
    """A training assignment of c1."""
    world.plan(world.launch())
    claim = world.clients["c1"].claim()
    assert claim is not None
    return claim


def announce(world: World, claim: Json, data: bytes = GOOD, name: str = "proj") -> Json:
    """The upload of one component."""
    view: Json = world.clients["c1"].ok("POST", "/v1/uploads", json=wish(claim, {name: data}))
    return view


def parts(world: World) -> list[Path]:
    """The files of uploads that are not complete."""
    return list((world.context.store.root / "parts").iterdir())
