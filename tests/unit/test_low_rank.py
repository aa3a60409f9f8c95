"""Averages of low-rank pairs, against products worked out by hand or by whole matrices."""

from collections.abc import Sequence

import numpy as np
import pytest

from server.aggregation.low_rank import (
    Factors,
    Matrix,
    distances,
    factor_mean,
    flora_na,
    svd,
)
from shared.low_rank import pairs
from tests.support import small
from worker.artifacts import catalogue

pytestmark = pytest.mark.unit


def clients(n: int, rank: int, out: int = 9, into: int = 7, alike: float = 0.0) -> list[Factors]:
    draw = np.random.default_rng(n + 10 * rank)
    a, b = draw.normal(size=(rank, into)), draw.normal(size=(out, rank))
    shares = draw.dirichlet(np.ones(n))
    return [
        Factors(
            float(share),
            alike * a + draw.normal(size=a.shape),
            alike * b + draw.normal(size=b.shape),
        )
        for share in shares
    ]


def mean_product(given: Sequence[Factors]) -> Matrix:
    products = [g.share * (g.b @ g.a) for g in given]
    return np.asarray(sum(products[1:], products[0]))


def relative_error(given: Sequence[Factors], a: Matrix, b: Matrix) -> float:
    rest, whole = distances(given, a, b)
    return rest / whole if whole else rest


def test_the_means_of_factors_have_another_product_by_hand() -> None:
    one, zero = np.array([[1.0]]), np.array([[-1.0]])
    given = [Factors(0.5, one, one), Factors(0.5, zero, zero)]
    a, b = factor_mean(given)
    assert (a.item(), b.item()) == (0.0, 0.0), "1 * 1 and -1 * -1 are both 1"
    assert relative_error(given, a, b) == 1.0
    a, b = svd(given)
    assert b.item() * a.item() == pytest.approx(1.0)
    assert b.item() > 0
    assert relative_error(given, a, b) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("n", [1, 2, 5])
@pytest.mark.parametrize("rank", [1, 3])
def test_svd_is_the_best_of_its_rank(n: int, rank: int) -> None:
    given = clients(n, rank)
    whole = mean_product(given)
    u, values, v = np.linalg.svd(whole)
    best = (u[:, :rank] * values[:rank]) @ v[:rank]
    a, b = svd(given)
    assert (a.shape, b.shape) == ((rank, 7), (9, rank))
    assert np.allclose(b @ a, best)
    rest = float(np.sqrt((values[rank:] ** 2).sum()) / np.linalg.norm(whole))
    assert relative_error(given, a, b) == pytest.approx(rest, abs=1e-9)


def test_svd_of_one_client_is_its_own_product() -> None:
    (given,) = clients(1, 3)
    a, b = svd([given])
    assert np.allclose(b @ a, given.b @ given.a)


def test_a_layer_narrower_than_its_rank_gets_zeros() -> None:
    given = clients(1, 4, out=2, into=3)
    a, b = svd(given)
    assert (a.shape, b.shape) == ((4, 3), (2, 4))
    assert np.allclose(b @ a, mean_product(given))
    assert not a[2:].any()


@pytest.mark.parametrize("n", [2, 3, 6])
@pytest.mark.parametrize("alike", [0.0, 1.0, 4.0])
def test_flora_na_lies_between_the_means_and_the_best(n: int, alike: float) -> None:
    given = clients(n, 3, alike=alike)
    errors = [relative_error(given, *how(given)) for how in (svd, flora_na, factor_mean)]
    assert errors == sorted(errors)
    assert errors[1] < errors[2], "its weights gain something"


def test_flora_na_by_hand() -> None:
    # products 1 and 4: their mean is 2.5, which p and q reach, and the means' product is 1.5^2
    given = [Factors(0.5, np.array([[v]]), np.array([[v]])) for v in (1.0, 2.0)]
    a, b = flora_na(given)
    assert (b @ a).item() == pytest.approx(2.5)
    assert relative_error(given, *factor_mean(given)) == pytest.approx(0.25 / 2.5)


def test_products_that_are_all_zero_have_no_error() -> None:
    given = [Factors(1.0, np.ones((2, 3)), np.zeros((4, 2)))]
    for how in (svd, flora_na, factor_mean):
        a, b = how(given)
        assert not (b @ a).any()
        assert relative_error(given, a, b) == 0.0


def test_pairs_are_found_by_name() -> None:
    names = {
        "q.lora_A.default.weight", "q.lora_B.default.weight", "query.a", "query.b",
        "alone.lora_A.default.weight", "bias", "lone.b",
    }  # fmt: skip
    assert list(pairs(names)) == [
        ("q.lora_A.default.weight", "q.lora_B.default.weight"),
        ("query.a", "query.b"),
    ]


@pytest.mark.parametrize("family", ["flava", "vilt"])
def test_every_low_rank_tensor_of_a_real_network_is_in_a_pair(family: str) -> None:
    network = small.network(small.family_spec(family, "lora"))
    found = 0
    for spec in catalogue(network).components.values():
        named = {tensor for pair in pairs(spec.tensors) for tensor in pair}
        assert named == {n for n in spec.tensors if ".lora_" in n or n.endswith((".a", ".b"))}
        found += len(named)
    assert found > 0
