"""The paper's ten patterns of clients at its dimensions, on both backbones: sizes and names."""

import pytest

from shared.components import TaskKind
from shared.model_spec import Family
from tests.support import paper
from worker.models.network import Network

pytestmark = pytest.mark.unit

_CLASSIFIES = {TaskKind.IMAGE_CLASSIFICATION, TaskKind.TEXT_CLASSIFICATION}
CLIENTS = [(family, i) for family in sorted(paper.PATTERNS) for i in range(10)]


def share_sent(network: Network) -> float:
    """What the whole state dict of the client's network is, in units of what it sends."""
    whole: int = sum(tensor.numel() for tensor in network.state_dict().values())
    sent = sum(p.numel() for c in network.components for p in network.tensors(c).values())
    return whole / sent


@pytest.mark.parametrize(("family", "pattern"), CLIENTS)
def test_a_client_sends_a_fraction_of_its_network(family: Family, pattern: int) -> None:
    network = paper.client(family, pattern)
    kinds = {network.spec.tasks[task].kind for task in paper.PATTERNS[family][pattern]}
    if kinds <= _CLASSIFIES:
        assert share_sent(network) >= 50
    elif kinds == {TaskKind.TEXT_GENERATION}:
        assert share_sent(network) >= 20


@pytest.mark.parametrize(("family", "pattern"), CLIENTS)
def test_a_client_has_the_components_of_its_modalities_only(family: Family, pattern: int) -> None:
    network = paper.client(family, pattern)
    modalities = {
        str(modality)
        for task in paper.PATTERNS[family][pattern]
        for modality in network.spec.tasks[task].modalities
    }
    others = {"image", "text"} - modalities
    named = [name.split(".") for name in network.components]
    assert not [name for name in named if set(name) & others]
