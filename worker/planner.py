"""Planning a job: the catalogue of its components, and version 0."""

from shared.artifacts import ArtifactStore
from shared.components import parse
from shared.messages import Claim, PlanResult
from worker.artifacts import catalogue, save_component
from worker.coordinator import Hold
from worker.models.base import load_base
from worker.models.network import Network


def plan(claim: Claim, cache: ArtifactStore, hold: Hold) -> PlanResult:
    """Build all components of the job from its seed, say what they are, keep them.

    Raises BaseError, ApiError.
    """
    network = Network(
        claim.spec, load_base(claim.spec.model), [parse(name) for name in claim.components]
    )
    hold.describe(catalogue(network))
    manifest = initial_version(network, cache)
    lease = claim.lease
    return PlanResult(
        lease_id=lease.id, attempt=lease.attempt, components=manifest, traffic=hold.traffic
    )


def initial_version(network: Network, store: ArtifactStore) -> dict[str, str]:
    """Keep version 0 of a network's components; returns its manifest."""
    return {name: save_component(store, network.tensors(name)) for name in network.components}
