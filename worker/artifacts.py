"""Model states as files: one canonical file for each component, named by its hash."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from shared.artifacts import ArtifactError, ArtifactStore
from shared.components import Component, parse
from shared.job_spec import JobSpec
from shared.low_rank import pairs
from shared.messages import Catalogue, ComponentSpec, TensorSpec
from shared.tensor_file import component_layout
from worker.models.network import Network, State
from worker.models.parts import frozen_bytes


def component_spec(tensors: Mapping[str, Tensor], frozen: int = 0) -> ComponentSpec:
    """What the catalogue says about a component."""
    shapes = {name: TensorSpec(shape=tuple(t.shape)) for name, t in tensors.items()}
    return ComponentSpec(tensors=shapes, frozen_bytes=frozen)


def known(names: Iterable[str]) -> list[Component]:
    """The components of a claim. Raises ArtifactError for one of another version's catalogue."""
    return [_known(name) for name in names]


def _known(name: str) -> Component:
    try:
        return parse(name)
    except ValueError as error:
        raise ArtifactError(
            f"this worker knows no component {name!r}: bring it to the coordinator's version"
        ) from error


def catalogue(network: Network) -> Catalogue:
    """What every component of a network is."""
    return Catalogue(
        base_digest=network.base.digest,
        components={
            name: component_spec(travelling(network, name), frozen_bytes(network.part(name)))
            for name in network.components
        },
    )


def travelling(network: Network, component: str) -> dict[str, Tensor]:
    """The tensors of a component that the server has: all, or without what clients keep (fedsa)."""
    tensors = network.tensors(component)
    kept = own_factors(network.spec, tensors)
    return {name: tensor for name, tensor in tensors.items() if name not in kept}


def own_factors(spec: JobSpec, tensors: Collection[str]) -> frozenset[str]:
    """Which of a component's tensors each client keeps to itself: with `fedsa` every factor B."""
    return frozenset(b for _, b in pairs(tensors)) if keeps_factors(spec) else frozenset()


def keeps_factors(spec: JobSpec) -> bool:
    """Whether each client keeps something of its engaged model to itself."""
    return spec.aggregation.low_rank == "fedsa"


def save_state(store: ArtifactStore, state: State) -> dict[str, str]:
    """Keep each component of a state; returns the manifest component -> sha256."""
    return {name: save_component(store, tensors) for name, tensors in state.items()}


def save_component(store: ArtifactStore, tensors: Mapping[str, Tensor]) -> str:
    """Keep one component; returns its sha256."""
    return store.write(component_chunks(tensors))


def component_chunks(tensors: Mapping[str, Tensor]) -> Iterator[bytes]:
    """The bytes of a component's file."""
    yield component_layout(component_spec(tensors)).header
    for name in sorted(tensors):
        yield tensors[name].detach().contiguous().numpy().astype("<f4", copy=False).tobytes()


def load_state(
    paths: Mapping[str, Path], specs: Mapping[str, ComponentSpec]
) -> dict[str, dict[str, Tensor]]:
    """Read a state from its components' files. Raises ArtifactError."""
    return {name: load_component(path, specs[name]) for name, path in paths.items()}


def load_component(path: Path, spec: ComponentSpec) -> dict[str, Tensor]:
    """Read one component's file, which must have exactly these tensors. Raises ArtifactError."""
    expected = component_layout(spec)
    content = path.read_bytes()
    if len(content) != expected.n_bytes or not content.startswith(expected.header):
        raise ArtifactError(
            f"{path.name} has other tensors than this network: bring this worker to the "
            "coordinator's version, and give it the same base"
        )
    return {
        name: torch.from_numpy(
            np.frombuffer(content, "<f4", tensor.n_values, expected.offsets[name]).copy()
        ).view(tensor.shape)
        for name, tensor in spec.tensors.items()
    }


def load_server_state(paths: Mapping[str, Path], network: Network) -> State:
    """What the server has, whole: factors that clients keep are zero, as they begin.

    Raises ArtifactError.
    """
    specs = {name: component_spec(travelling(network, name)) for name in paths}
    found = load_state(paths, specs)
    return {
        name: {
            tensor: found[name][tensor] if tensor in found[name] else torch.zeros(values.shape)
            for tensor, values in network.tensors(name).items()
        }
        for name in paths
    }


def network_specs(network: Network, components: Iterable[str]) -> dict[str, ComponentSpec]:
    """The specs of some of a network's components, as it needs them."""
    return {name: component_spec(network.tensors(name)) for name in components}
