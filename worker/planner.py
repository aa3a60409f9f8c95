"""Planning a job: the catalogue of its components, and version 0."""

from shared.artifacts import ArtifactStore
from shared.messages import Claim
from shared.results import PlanResult
from worker.artifacts import catalogue, known, save_component, travelling
from worker.models.base import load_base
from worker.models.network import Network
from worker.work import Computed


def plan(claim: Claim, cache: ArtifactStore) -> Computed:
    """Build all components of the job from its seed, say what they are, keep them.

    Raises BaseError, ArtifactError.
    """
    network = Network(claim.spec, load_base(claim.spec.model), known(claim.components))
    lease = claim.lease
    result = PlanResult(
        lease_id=lease.id, attempt=lease.attempt, components=initial_version(network, cache)
    )
    return Computed(result, catalogue(network))


def initial_version(network: Network, store: ArtifactStore) -> dict[str, str]:
    """Keep version 0 of a network's components; returns its manifest."""
    return {name: save_component(store, travelling(network, name)) for name in network.components}
