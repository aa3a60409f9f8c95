"""What a client without a personal state has after stage two, by each algorithm."""

import pytest
import torch

from shared.algorithms import NAMES
from shared.results import Variant
from tests.support import small
from worker.algorithm.method import NOBODY
from worker.algorithm.methods import method_of
from worker.models.network import State
from worker.training.trainer import Trainer

pytestmark = pytest.mark.unit

NEWCOMERS = {
    "ditto": (Variant.PERSONAL, Variant.POST_TRAINED),
    "fedper": (Variant.PERSONAL, Variant.POST_TRAINED),
    "local": (Variant.PERSONAL, Variant.POST_TRAINED),
    "tap": (Variant.PERSONAL, Variant.POST_TRAINED, Variant.DISTILLED),
    "tap-plus": (Variant.PERSONAL, Variant.POST_TRAINED, Variant.DISTILLED),
}
NO_SERVER = {"fedper", "local"}  # whose clients the server's model alone is nothing to


def equal(one: State, other: State) -> bool:
    return all(torch.equal(one[n][t], v) for n, ts in other.items() for t, v in ts.items())


@pytest.mark.parametrize("name", NAMES)
def test_a_newcomer_begins_stage_two_with_the_servers_model(name: str) -> None:
    job = small.spec(algorithm={"name": name, **small.MOVING.get(name, {})})
    network = small.network(job, ["digits"])
    method = method_of(Trainer("c09", job, network, small.data(job, ["digits"])))
    server = network.state()
    kept = method.personalize(server, NOBODY).personal
    models = method.final_models(server, kept)
    own = NEWCOMERS.get(name, (Variant.POST_TRAINED,))
    assert set(models) == {*own, *(() if name in NO_SERVER else (Variant.ENGAGED,))}
    assert Variant.PERSONAL not in models or equal(models[Variant.PERSONAL], server)
    assert not equal(models[own[-1]], server), "and trains it"
