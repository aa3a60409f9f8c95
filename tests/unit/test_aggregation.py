from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from server.aggregation import Contribution, aggregate, client_components, component_weight
from server.aggregation.average import PIECE_VALUES
from server.aggregation.files import open_component
from server.aggregation.norms import Change
from server.updates.validation import validate
from shared.artifacts import ArtifactError, ArtifactStore
from shared.components import parse
from shared.job_spec import JobSpec
from shared.messages import ClientOffer, ComponentSpec
from shared.tensor_file import component_layout
from worker.artifacts import component_spec, load_component, save_component

pytestmark = pytest.mark.unit


def mean(store: ArtifactStore, *given: tuple[str, float, torch.Tensor]) -> torch.Tensor:
    """The aggregate of one-tensor components."""
    spec = component_spec({"w": given[0][2]})
    sent = [Contribution(c, save_component(store, {"w": t}), weight) for c, weight, t in given]
    return load_component(store.path(aggregate(sent, spec, store).sha256), spec)["w"]


def test_the_mean_is_weighted_by_samples(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)
    found = mean(
        store, ("c1", 100, torch.tensor([1.0, 0.0])), ("c2", 300, torch.tensor([5.0, 4.0]))
    )
    assert found.tolist() == [4.0, 3.0]


def test_it_runs_over_pieces_and_tensors_of_any_size(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)
    long = torch.arange(PIECE_VALUES * 2 + 7, dtype=torch.float32)
    assert torch.equal(mean(store, ("a", 1, long), ("b", 1, long + 2)), long + 1)


@given(st.permutations(["c1", "c2", "c3", "c4"]))
def test_the_order_of_arrival_does_not_change_a_bit(order: list[str]) -> None:
    store = ArtifactStore(Path(_TEMPORARY))
    generator = torch.Generator().manual_seed(1)
    tensors = {c: torch.randn(50, generator=generator) for c in sorted(order)}
    weights = {"c1": 3.0, "c2": 7.0, "c3": 11.0, "c4": 0.1}
    spec = component_spec({"w": tensors["c1"]})
    sent = [Contribution(c, save_component(store, {"w": tensors[c]}), weights[c]) for c in order]
    assert aggregate(sent, spec, store) == aggregate(
        sorted(sent, key=lambda c: c.client), spec, store
    )


def test_it_is_the_float64_mean_rounded_once(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(2)
    parts = [torch.randn(1000, generator=generator) for _ in range(5)]
    found = mean(ArtifactStore(tmp_path), *((f"c{i}", i + 1.0, p) for i, p in enumerate(parts)))
    exact = sum((i + 1.0) / 15.0 * p.double().numpy() for i, p in enumerate(parts))
    assert np.array_equal(found.numpy(), np.asarray(exact).astype(np.float32))


def test_nobody_and_nothing_are_refused(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)
    spec = component_spec({"w": torch.ones(2)})
    sha = save_component(store, {"w": torch.ones(2)})
    for contributions in ([], [Contribution("c", sha, 0.0)]):
        with pytest.raises(ValueError, match="needs contributors"):
            aggregate(contributions, spec, store)


def test_another_layout_is_refused(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)
    sha = save_component(store, {"v": torch.ones(2)})
    with pytest.raises(ArtifactError, match="other tensors"):
        aggregate([Contribution("c", sha, 1.0)], component_spec({"w": torch.ones(2)}), store)
    assert not list((tmp_path / "parts").iterdir())


HUGE = float(np.finfo(np.float32).max)


@settings(deadline=None, max_examples=20)
@given(st.lists(st.floats(1e-3, 1e6), min_size=1, max_size=5))
def test_the_largest_values_have_a_finite_mean(weights: list[float]) -> None:
    store = ArtifactStore(Path(_TEMPORARY))
    huge = torch.tensor([HUGE, -HUGE])
    found = mean(store, *((f"c{i}", w, huge) for i, w in enumerate(weights)))
    assert torch.isfinite(found).all()


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_what_is_not_finite_is_never_published(tmp_path: Path, bad: float) -> None:
    """It cannot be uploaded; a damaged file may hold it all the same."""
    store = ArtifactStore(tmp_path)
    with pytest.raises(ArtifactError, match="not finite"):
        mean(store, ("a", 1, torch.tensor([1.0, bad])), ("b", 1, torch.tensor([1.0, -bad])))
    assert not list((tmp_path / "parts").iterdir())


def test_the_norm_of_a_change_is_exact_over_pieces(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)
    start = torch.zeros(PIECE_VALUES * 2 + 7)
    spec = component_spec({"w": start})
    base, moved = (save_component(store, {"w": t}) for t in (start, start + 3))
    assert norm(store, moved, base, spec) == pytest.approx(3 * len(start) ** 0.5)
    assert norm(store, base, base, spec) == 0
    huge = save_component(store, {"w": torch.full_like(start, HUGE)})
    far = norm(store, huge, base, spec)
    assert far is not None
    assert np.isfinite(far)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_what_starts_from_no_number_has_no_norm(tmp_path: Path, bad: float) -> None:
    store = ArtifactStore(tmp_path)
    base, moved = (save_component(store, {"w": torch.tensor([v])}) for v in (bad, 1.0))
    assert norm(store, moved, base, component_spec({"w": torch.zeros(1)})) is None


def norm(store: ArtifactStore, changed: str, base: str, spec: ComponentSpec) -> float | None:
    """As it is measured while an upload is checked."""
    layout = component_layout(spec)
    with store.path(changed).open("rb") as file, open_component(store, base, layout) as start:
        change = Change(start)
        validate(file, "w", spec, changed, change)
    return change.norm


@pytest.mark.parametrize("at", [-1, -9])
def test_one_wrong_bit_of_a_contribution_stops_the_average(tmp_path: Path, at: int) -> None:
    store = ArtifactStore(tmp_path)
    ones = torch.ones(PIECE_VALUES + 3)
    sha = save_component(store, {"w": ones})
    path = store.path(sha)
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match=f"{sha} is damaged"):
        aggregate([Contribution("c", sha, 1.0)], component_spec({"w": ones}), store)
    assert not list((tmp_path / "parts").iterdir())
    assert list(tmp_path.glob("??/*")) == [path], "no average is kept"


SPEC = JobSpec.model_validate(
    {
        "name": "weights",
        "algorithm": {"name": "tap"},
        "rounds": {"count": 1},
        "tasks": {
            "xray": {
                "kind": "image_classification",
                "modalities": ["image"],
                "classes": ["a", "b"],
            },
            "notes": {
                "kind": "text_classification",
                "modalities": ["text"],
                "classes": ["a", "b"],
                "domains": ["ward", "lab"],
            },
        },
        "clients": ["c1"],
    }
)
OFFER = ClientOffer.model_validate(
    {
        "tasks": {
            "xray": {"kind": "image_classification", "modalities": ["image"], "n_classes": 2,
                     "train": {"general": 10}, "validation": 1, "test": 1},
            "notes": {"kind": "text_classification", "modalities": ["text"], "n_classes": 2,
                      "train": {"lab": 30}, "validation": 1, "test": 1},
            "other": {"kind": "text_classification", "modalities": ["text"], "n_classes": 2,
                      "train": {"lab": 500}, "validation": 1, "test": 1},
        }
    }
)  # fmt: skip


@pytest.mark.parametrize(
    ("component", "weight"),
    [
        ("proj", 40),
        ("encoder.image", 10),
        ("encoder.text", 30),
        ("head.notes", 30),
        ("domain.mote.shared.0.general", 10),
        ("domain.mote.shared.0.lab", 30),
        ("domain.mote.text.0.ward", 0),
        ("head.other", 0),
    ],
)
def test_a_component_weighs_the_samples_that_trained_it(component: str, weight: int) -> None:
    assert component_weight(parse(component), SPEC, OFFER) == weight
    assert (parse(component) in client_components(SPEC, OFFER)) == (weight > 0)


@pytest.fixture(autouse=True, scope="module")
def _directory(tmp_path_factory: pytest.TempPathFactory) -> None:
    global _TEMPORARY  # noqa: PLW0603 - hypothesis takes no function-scoped fixture
    _TEMPORARY = str(tmp_path_factory.mktemp("store"))


_TEMPORARY = ""
