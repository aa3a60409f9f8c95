"""Dry runs as an operator and a planner have them made."""

from typing import Any

from shared.dry_run import DryRunView
from tests.support.scripted import SHA, Json, World, component_spec, job_spec, sha


def ask(world: World, spec: Json | None = None, **more: Any) -> DryRunView:
    """Ask for a dry run of the spec, or of a job of all clients."""
    wanted = job_spec(sorted(world.clients)) if spec is None else spec
    return DryRunView.model_validate(
        world.operator.ok("POST", "/v1/jobs:dry-run", json=wanted, **more)
    )


def again(world: World, found: DryRunView, **params: float) -> DryRunView:
    """What is now said of it."""
    answer = world.viewer.ok("GET", f"/v1/dry-runs/{found.id}", params=params)
    return DryRunView.model_validate(answer)


def claim(world: World) -> Json | None:
    """Have the planner claim the next one; None where none waits."""
    claimed: Json | None = world.planner.ok("POST", "/v1/dry-runs:claim")
    return claimed


def description(components: list[str], **changes: str) -> Json:
    """Each component has three values and begins as bytes of its own."""
    return {
        "catalogue": {
            "base_digest": SHA,
            "components": {name: component_spec().model_dump() for name in components},
        },
        "version": {name: sha(name.encode()) for name in components} | changes,
    }


def describe(world: World, found: DryRunView, **changes: str) -> None:
    """Have the planner claim it and describe it."""
    claimed = claim(world)
    assert claimed is not None
    assert claimed["id"] == str(found.id)
    body = description(claimed["components"], **changes)
    world.planner.ok("PUT", f"/v1/dry-runs/{found.id}/description", json=body)
