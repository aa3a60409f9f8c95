"""FFA-LoRA and FedSA-LoRA: which factors a client trains, sends and keeps."""

from pathlib import Path
from typing import Any

import pytest
import torch

from server.aggregation import Contribution, aggregate
from shared.algorithms import NAMES
from shared.artifacts import ArtifactStore
from shared.low_rank import pairs
from shared.results import Variant
from tests.support import small
from worker.algorithm.method import NOBODY, Outcome
from worker.algorithm.methods import method_of
from worker.artifacts import catalogue, load_server_state, network_specs, save_state
from worker.models.network import State
from worker.planner import initial_version
from worker.state import PersonalStore
from worker.training.trainer import Trainer

pytestmark = pytest.mark.unit

TASKS = ("digits", "reviews", "vqa")
LORA = {**small.SPEC["model"], "trainable": "lora", "lora": {"dropout": 0}}


def trainer(low_rank: str, client: str = "c01", name: str = "tap", **changes: Any) -> Trainer:
    algorithm = {"name": name, **small.MOVING.get(name, {})}
    job = small.spec(model=LORA, aggregation={"low_rank": low_rank}, algorithm=algorithm, **changes)
    return Trainer(client, job, small.network(job, TASKS), small.data(job, TASKS))


def begun(at: Trainer, store: ArtifactStore) -> State:
    """Version 0 as the client reads it."""
    manifest = initial_version(at.network, store)
    paths = {name: store.open_path(sha256) for name, sha256 in manifest.items()}
    return load_server_state(paths, at.network)


def factors(state: State) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """All As, all Bs."""
    found = [(n, pair) for n, part in state.items() for pair in pairs(part)]
    first, second = ({f"{n}/{pair[i]}": state[n][pair[i]] for n, pair in found} for i in range(2))
    return first, second


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def n_bytes(at: Trainer) -> int:
    specs = catalogue(at.network).components.values()
    return sum(t.n_bytes for spec in specs for n, t in spec.tensors.items() if _low_rank(n))


def _low_rank(name: str) -> bool:
    return ".lora_" in name or name.endswith((".a", ".b"))


def test_ffa_trains_and_sends_half_and_all_clients_have_the_same_a() -> None:
    at, other, paper = trainer("ffa"), trainer("ffa", "c02"), trainer("factors")
    named = {n: p for n, p in at.network.named_parameters() if ".lora_A." in n or n.endswith(".a")}
    theirs = dict(other.network.named_parameters())
    assert named
    assert not [n for n, p in named.items() if p.requires_grad]
    assert all(torch.equal(p, theirs[n]) for n, p in named.items())
    before = {n: p.clone() for n, p in named.items()}
    outcome = method_of(at).round(at.network.state(), NOBODY, 1)
    assert all(torch.equal(p, before[n]) for n, p in named.items())
    assert outcome.engaged is not None
    sent = {n for part in outcome.engaged.values() for n in part if _low_rank(n)}
    assert sent
    assert all(".lora_B." in n or n.endswith(".b") for n in sent)
    assert n_bytes(at) < 0.7 * n_bytes(paper)


def test_with_ffa_the_mean_of_b_is_the_mean_of_the_products(tmp_path: Path) -> None:
    """What the clients' layers add, on average, is what the averaged layer adds."""
    store, given = ArtifactStore(tmp_path, durable=False), {}
    clients = [trainer("ffa", client) for client in ("c01", "c02")]
    for at in clients:
        engaged = method_of(at).round(at.network.state(), NOBODY, 1).engaged
        assert engaged is not None
        given[at.client] = engaged
    name = next(n for n in given["c01"] if n.startswith("block"))
    spec = catalogue(clients[0].network).components[name]
    shares = [
        Contribution(client, save_state(store, {name: state[name]})[name], 1.0)
        for client, state in given.items()
    ]
    average = aggregate(shares, spec, store)
    made = load_server_state({name: store.open_path(average.sha256)}, clients[0].network)[name]
    assert average.relative_error is None
    for tensor in (t for t in spec.tensors if ".lora_B." in t):
        a = clients[0].network.part(name).get_parameter(tensor.replace("lora_B", "lora_A"))
        products = [state[name][tensor] @ a for state in given.values()]
        assert torch.allclose(made[tensor] @ a, (products[0] + products[1]) / 2, atol=1e-6)


def test_fedsa_sends_a_and_keeps_b(tmp_path: Path) -> None:
    at = trainer("fedsa", name="fedavg")
    server = begun(at, ArtifactStore(tmp_path, durable=False))
    assert not any(b.any() for b in factors(server)[1].values())
    outcome = method_of(at).round(server, NOBODY, 1)
    assert outcome.engaged is not None
    specs = catalogue(at.network).components
    assert {n: set(part) for n, part in outcome.engaged.items()} == {
        n: set(spec.tensors) for n, spec in specs.items()
    }
    assert not [t for part in outcome.engaged.values() for t in part if ".lora_B." in t]
    kept = outcome.personal.models[Variant.ENGAGED]
    assert any(b.any() for b in factors(kept)[1].values())


def test_fedsa_goes_on_with_the_servers_a_and_its_own_b(tmp_path: Path) -> None:
    at = trainer("fedsa", name="fedavg")
    server = begun(at, ArtifactStore(tmp_path, durable=False))
    kept = method_of(at).round(server, NOBODY, 1).personal
    models = method_of(at).final_models(server, kept)
    first, second = factors(models[Variant.ENGAGED])
    assert same(first, factors(server)[0])
    assert same(second, factors(kept.models[Variant.ENGAGED])[1])
    again = method_of(at).round(server, kept, 2)
    plain, _ = trainer("factors", name="fedavg").local_steps(models[Variant.ENGAGED], 2, "engaged")
    assert same(factors(again.personal.models[Variant.ENGAGED])[1], factors(plain)[1])


@pytest.mark.parametrize("name", NAMES)
def test_with_fedsa_every_algorithm_goes_through_all_of_a_job(name: str, tmp_path: Path) -> None:
    """Personal states on the disk between any two steps, as in the service."""
    at, store = trainer("fedsa", name=name), ArtifactStore(tmp_path / "s", durable=False)
    server, method = begun(at, store), method_of(at)
    specs = network_specs(at.network, at.network.components)
    files, personal = PersonalStore(tmp_path / "p"), NOBODY

    def kept(outcome: Outcome) -> Outcome:
        nonlocal personal
        personal = files.load(files.save(outcome.personal), specs)
        return outcome

    for number in (1, 2):
        engaged = kept(method.round(server, personal, number)).engaged
        if engaged is not None:
            paths = {n: store.open_path(sha) for n, sha in save_state(store, engaged).items()}
            server = {**server, **load_server_state(paths, at.network)}
    if at.spec.algorithm.personalizes:
        kept(method.personalize(server, personal))
    for model in method.final_models(server, personal).values():
        at.network.load(model)
