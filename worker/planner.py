"""Planning a job: the catalogue of its components, and version 0."""

import hashlib
from collections.abc import Mapping

from torch import Tensor

from shared.artifacts import ArtifactStore
from shared.dry_run import DryRunClaim, DryRunDescription
from shared.messages import Claim
from shared.results import PlanResult
from worker.artifacts import catalogue, component_chunks, known, save_component, travelling
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


def describe(claim: DryRunClaim) -> DryRunDescription:
    """Build all components as for a job, say what they are, keep nothing.

    Raises BaseError, ArtifactError.
    """
    network = Network(claim.spec, load_base(claim.spec.model), known(claim.components))
    return DryRunDescription(
        catalogue=catalogue(network),
        version={name: _sha256(travelling(network, name)) for name in network.components},
    )


def _sha256(tensors: Mapping[str, Tensor]) -> str:
    """The name that a component's file would have."""
    sha = hashlib.sha256()
    for chunk in component_chunks(tensors):
        sha.update(chunk)
    return sha.hexdigest()


def initial_version(network: Network, store: ArtifactStore) -> dict[str, str]:
    """Keep version 0 of a network's components; returns its manifest."""
    return {name: save_component(store, travelling(network, name)) for name in network.components}
