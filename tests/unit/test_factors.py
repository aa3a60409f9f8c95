"""Components with low-rank pairs, averaged from file to file."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from server.aggregation import Average, Contribution, aggregate
from server.aggregation.average import PIECE_VALUES
from shared.aggregation_spec import LowRankAggregation
from shared.artifacts import ArtifactError, ArtifactStore
from worker.artifacts import component_spec, load_component, save_component

pytestmark = pytest.mark.unit

A, B = "q.lora_A.default.weight", "q.lora_B.default.weight"
OVER: tuple[LowRankAggregation, ...] = ("svd", "flora_na")
State = dict[str, Tensor]


def one(value: float) -> State:
    """A pair of single values beside a tensor of its own."""
    return {A: torch.tensor([[value]]), B: torch.tensor([[value]]), "norm": torch.tensor([value])}


def averaged(
    directory: Path, low_rank: LowRankAggregation, *given: tuple[float, State]
) -> tuple[State, Average]:
    store = ArtifactStore(directory, durable=False)
    spec = component_spec(given[0][1])
    sent = [
        Contribution(f"c{n}", save_component(store, tensors), weight)
        for n, (weight, tensors) in enumerate(given)
    ]
    average = aggregate(sent, spec, store, low_rank)
    return load_component(store.open_path(average.sha256), spec), average


@pytest.mark.parametrize("low_rank", OVER)
def test_the_product_is_the_mean_of_the_products_by_hand(
    low_rank: LowRankAggregation, tmp_path: Path
) -> None:
    """Weights 1 and 3 of 1 x 1 and 2 x 2: their mean is 13 / 4."""
    found, average = averaged(tmp_path, low_rank, (1, one(1.0)), (3, one(2.0)))
    assert (found[B] @ found[A]).item() == pytest.approx(13 / 4)
    assert found["norm"].item() == 7 / 4, "what is no pair is averaged"
    assert average.relative_error == pytest.approx(0, abs=1e-9)


def test_averaged_apart_the_factors_miss_it_by_what_is_noted(tmp_path: Path) -> None:
    found, average = averaged(tmp_path, "factors", (1, one(1.0)), (3, one(2.0)))
    assert (found[B] @ found[A]).item() == (7 / 4) ** 2
    assert average.relative_error == pytest.approx((13 / 4 - (7 / 4) ** 2) / (13 / 4))


def test_the_error_is_of_all_pairs_together(tmp_path: Path) -> None:
    """A second pair without an error, ten times as large: 3 / 16 of hypot(13 / 4, 100)."""
    given = []
    for weight, value in ((1, 1.0), (3, 2.0)):
        more = {"v.a": torch.full((1, 2), 10.0), "v.b": torch.tensor([[8.0], [6.0]]) / 2**0.5}
        given.append((weight, {**one(value), **more}))
    _, average = averaged(tmp_path, "factors", *given)
    assert average.relative_error == pytest.approx(3 / 16 / np.hypot(13 / 4, 100), rel=1e-6)


def product(tensors: State, a: str, b: str) -> Tensor:
    return tensors[b].flatten(1) @ tensors[a].flatten(1)


@pytest.mark.parametrize("low_rank", OVER)
def test_pairs_lie_anywhere_in_a_file_of_many_pieces(
    low_rank: LowRankAggregation, tmp_path: Path
) -> None:
    """One begins in one piece and ends in the next; a convolution is a matrix, too."""
    draw = torch.Generator().manual_seed(3)
    shapes = {
        "a": (PIECE_VALUES - 17,), "k.lora_A.default.weight": (2, 3, 4, 4),
        "k.lora_B.default.weight": (5, 2, 1, 1), A: (3, 40), B: (50, 3), "z": (PIECE_VALUES,),
    }  # fmt: skip
    given = [
        (n + 1.0, {name: torch.randn(shape, generator=draw) for name, shape in shapes.items()})
        for n in range(3)
    ]
    found, average = averaged(tmp_path, low_rank, *given)
    for pair in ((A, B), ("k.lora_A.default.weight", "k.lora_B.default.weight")):
        whole = sum((w / 6 * product(tensors, *pair) for w, tensors in given), torch.zeros(()))
        rank = len(found[pair[0]])
        best = float(torch.linalg.svdvals(whole)[rank:].square().sum().sqrt())
        rest = float((whole - product(found, *pair)).norm())
        assert rest >= best - 1e-4
        if low_rank == "svd":
            assert rest == pytest.approx(best, rel=1e-4)
    for name in ("a", "z"):
        wanted = sum(w / 6 * t[name].double() for w, t in given)
        assert torch.equal(found[name], torch.as_tensor(wanted).float())
    assert 0 < (average.relative_error or 0) < 1


def test_without_a_whole_pair_there_is_no_error(tmp_path: Path) -> None:
    halves = {A: torch.ones(2, 3), "odd.a": torch.ones(2, 2), "odd.b": torch.ones(4, 3)}
    found, average = averaged(
        tmp_path, "svd", (1, halves), (1, {n: 3 * t for n, t in halves.items()})
    )
    assert average.relative_error is None
    assert all(torch.equal(found[name], 2 * tensor) for name, tensor in halves.items())


def test_pairs_that_become_too_large_for_float32_stop_it(tmp_path: Path) -> None:
    """By svd the value 9e76 of the product is sqrt(2) times 3e38 in each, and a row of four."""
    huge = {A: torch.full((1, 4), 3e38), B: torch.full((2, 1), 3e38)}
    with pytest.raises(ArtifactError, match="not finite"):
        averaged(tmp_path, "svd", (1, huge), (1, huge))
    assert not list((tmp_path / "parts").iterdir())


@pytest.mark.parametrize("low_rank", ["factors", *OVER])
def test_a_damaged_file_stops_it_and_nothing_stays(
    low_rank: LowRankAggregation, tmp_path: Path
) -> None:
    store, tensors = ArtifactStore(tmp_path, durable=False), one(1.0)
    sha256 = save_component(store, tensors)
    path = store.open_path(sha256)
    for value in (2.0, float("nan")):
        path.write_bytes(path.read_bytes()[:-4] + np.float32(value).tobytes())
        with pytest.raises(ArtifactError, match=r"damaged|not finite"):
            aggregate([Contribution("c1", sha256, 1.0)], component_spec(tensors), store, low_rank)
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == [path]
