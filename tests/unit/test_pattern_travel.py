"""Of each of the paper's ten patterns every tensor travels to the client and back, bit for bit.

Run with the paper's LoRA and layers on small random bases (tests/support/patterns.py).
"""

from collections.abc import Mapping
from pathlib import Path

import pytest

from server.aggregation import Contribution, aggregate
from server.updates.validation import validate
from shared.artifacts import ArtifactError, ArtifactStore
from shared.messages import ComponentSpec
from shared.model_spec import Family
from tests.support import paper, patterns
from tests.support.patterns import Client, changed, client, everyone, same
from worker.artifacts import catalogue, load_component, load_state, network_specs, save_state
from worker.models.network import State
from worker.planner import initial_version

pytestmark = pytest.mark.unit

each_client = pytest.mark.parametrize(("family", "pattern"), patterns.CLIENTS)
each_family = pytest.mark.parametrize("family", sorted(paper.PATTERNS))


def delivered(at: Client, manifest: Mapping[str, str], store: ArtifactStore) -> State:
    """What the client's network holds after it has loaded its part of a version."""
    specs = network_specs(at.network, at.network.components)
    at.network.load(load_state({n: store.open_path(manifest[n]) for n in specs}, specs))
    return at.network.state()


@each_client
def test_version_0_arrives_whole_and_all_of_it_trains(
    family: Family, pattern: int, tmp_path: Path
) -> None:
    store, at, planned = (
        ArtifactStore(tmp_path, durable=False),
        client(family, pattern),
        everyone(family),
    )
    manifest = initial_version(planned.at(planned.start), store)
    arrived = delivered(at, manifest, store)
    assert same(arrived, {name: planned.start[name] for name in at.network.components})
    trained, _ = at.trainer().local_steps(arrived, 1, "engaged")
    sent = save_state(store, trained)
    assert sent.keys() == arrived.keys()
    assert not [name for name in sent if sent[name] == manifest[name]]
    assert same(delivered(at, sent, store), trained)


@each_family
def test_a_round_of_all_patterns_carries_every_tensor_there_and_back(
    family: Family, tmp_path: Path
) -> None:
    """As the server does it: uploads checked against the catalogue, then averaged."""
    store, planned = ArtifactStore(tmp_path, durable=False), everyone(family)
    manifest = initial_version(planned.at(planned.start), store)
    specs = catalogue(planned.network).components
    given: dict[str, list[Contribution]] = {name: [] for name in specs}
    for pattern, at in enumerate(everybody(family)):
        start = delivered(at, manifest, store)
        assert all(start[name].keys() == specs[name].tensors.keys() for name in start)
        trained, _ = at.trainer().local_steps(start, 1, "engaged")
        for name, sha256 in save_state(store, trained).items():
            with store.open_path(sha256).open("rb") as file:
                validate(file, name, specs[name], sha256)
            given[name].append(Contribution(f"c{pattern:02}", sha256, 1.0))
    assert not [name for name, contributions in given.items() if not contributions]
    version = {name: aggregate(given[name], specs[name], store).sha256 for name in specs}
    averaged = delivered(planned, version, store)
    assert changed(averaged, planned.start) == set(specs)
    for at in everybody(family):
        assert same(delivered(at, version, store), {n: averaged[n] for n in at.network.components})


def everybody(family: Family) -> list[Client]:
    """A client of each pattern."""
    return [client(family, pattern) for pattern in range(len(paper.PATTERNS[family]))]


@each_client
def test_a_state_with_a_tensor_too_few_or_too_many_is_refused(family: Family, pattern: int) -> None:
    at = client(family, pattern)
    for name, tensors in at.start.items():
        gone, *others = tensors
        few = {t: tensors[t] for t in others}
        many = {**tensors, "another": tensors[gone]}
        with pytest.raises(ValueError, match=rf"tensor of {name} '{gone}' is missing"):
            at.network.load({**at.start, name: few})
        with pytest.raises(ValueError, match=rf"tensor of {name} 'another' is extra"):
            at.network.load({**at.start, name: many})
    with pytest.raises(ValueError, match="component 'proj' is missing"):
        at.network.load({n: t for n, t in at.start.items() if n != "proj"})


@each_client
def test_a_file_with_a_tensor_too_few_or_too_many_is_refused(
    family: Family, pattern: int, tmp_path: Path
) -> None:
    store, at = ArtifactStore(tmp_path, durable=False), client(family, pattern)
    manifest = save_state(store, at.start)
    for name, spec in network_specs(at.network, at.network.components).items():
        gone, *others = spec.tensors
        few = {t: spec.tensors[t] for t in others}
        many = {**spec.tensors, "another": spec.tensors[gone]}
        for tensors in (few, many):
            with pytest.raises(ArtifactError, match="has other tensors than this network"):
                load_component(store.open_path(manifest[name]), ComponentSpec(tensors=tensors))
