"""A guarded model that is taken away answers each task by the variant that was chosen for it."""

import json
from pathlib import Path

import pytest
import torch

from shared.artifacts import file_digest
from shared.results import Variant
from shared.states import JobState
from tests.support import small
from tests.support.takeaway import TASKS, Home, home
from worker.takeaway import Model, TakeawayError, load
from worker.takeaway.export import export
from worker.takeaway.form import CARD, CONFIG, WEIGHTS
from worker.takeaway.tables import plain
from worker.training.batches import in_order

pytestmark = pytest.mark.unit

D, P, T = Variant.DISTILLED, Variant.PERSONAL, Variant.POST_TRAINED
CHOSEN = {"digits": P, "drawing": D, "reviews": T, "titles": P}  # none for vqa, as if it was away
GUARD = {"name": "tap", "guard": True}


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Home:
    spec = small.spec(clients=("c01",), algorithm=GUARD)
    return home(tmp_path_factory.mktemp("home"), spec, CHOSEN)


@pytest.fixture(scope="module")
def out(there: Home, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("away") / "model"
    export(there.wish(directory), there.source)
    return directory


@pytest.fixture(scope="module")
def model(out: Path) -> Model:
    return load(out)


def outputs(there: Home, task: str, model: Model | Variant) -> torch.Tensor:
    """What the taken model, or the trained network with a variant's state, gives for a task."""
    split = there.data[task].test
    [batch] = in_order(split, len(split))
    network = there.loaded(model) if isinstance(model, Variant) else model.network(task)
    with torch.no_grad():
        found: torch.Tensor = network(task, batch)
    return found


@pytest.mark.parametrize("task", TASKS)
def test_each_task_is_answered_by_the_variant_that_was_chosen(
    there: Home, model: Model, task: str
) -> None:
    chosen = CHOSEN.get(task, D)
    assert torch.equal(outputs(there, task, model), outputs(there, task, chosen))
    for other in {D, P, T} - {chosen}:
        assert not torch.equal(outputs(there, task, model), outputs(there, task, other))


def test_answers_are_those_of_the_chosen_variants_own_export(
    there: Home, model: Model, tmp_path: Path
) -> None:
    for task, domain in (("reviews", "films"), ("titles", None)):
        out = tmp_path / task
        export(there.wish(out, variant=CHOSEN[task], with_base=False), there.source)
        alone = load(out).predict(task, text="it was good", domain=domain)
        assert model.predict(task, text="it was good", domain=domain) == alone


def test_variants_share_the_frozen_base(tmp_path: Path) -> None:
    spec = small.family_spec("flava", "lora").model_copy(update={"clients": ("c01",)})
    there = home(tmp_path, spec, {"digits": P, "vqa": T})
    export(there.wish(tmp_path / "model"), there.source)
    first, *others = load(tmp_path / "model").networks.values()
    frozen = {p.data_ptr() for p in first.parameters() if not p.requires_grad}
    assert frozen
    assert len(others) == 2, "the tasks that nothing is chosen for are answered by the newest"
    for network in others:
        assert {p.data_ptr() for p in network.parameters() if not p.requires_grad} == frozen
        assert not {p.data_ptr() for p in network.trainable} & {
            p.data_ptr() for p in first.trainable
        }


def test_the_directory_names_the_weights_of_each_task(out: Path, model: Model) -> None:
    config = model.config
    assert config.variant is Variant.GUARDED
    assert {task: taken.variant for task, taken in config.tasks.items()} == {**CHOSEN, "vqa": D}
    files = {variant: f"model-{variant}.safetensors" for variant in (D, P, T)}
    assert {variant: weights.file for variant, weights in config.weights.items()} == files
    assert {path.name for path in out.glob("*.safetensors")} == set(files.values())
    for weights in config.weights.values():
        assert file_digest(out / weights.file) == weights.sha256


def test_the_card_says_which_model_answers_which_task(out: Path, model: Model) -> None:
    card = (out / CARD).read_text()
    assert ": the guarded model of client c01" in card
    assert f"| titles | {plain('text_generation')} | text |  | general | personal |" in card
    assert f"| reviews | guarded: {plain(T)} (this one) | accuracy | 0.8125 |" in card
    assert f"| reviews | {plain(T)} | accuracy | 0.8125 |" in card
    for weights in model.config.weights.values():
        assert f"| {plain(weights.file)}, sha256 | {weights.sha256} |" in card
        assert f"Components of `{weights.file}`" in card


def test_a_variant_may_be_taken_all_the_same(there: Home, tmp_path: Path) -> None:
    config = export(there.wish(tmp_path / "model", variant=P), there.source)
    assert {taken.variant for taken in config.tasks.values()} == {P}
    assert [weights.file for weights in config.weights.values()] == [WEIGHTS]


def test_all_tasks_of_one_variant_are_one_file(tmp_path: Path) -> None:
    spec = small.spec(clients=("c01",), algorithm=GUARD)
    there = home(tmp_path, spec, dict.fromkeys(spec.tasks, P))
    config = export(there.wish(tmp_path / "model"), there.source)
    assert {variant: each.file for variant, each in config.weights.items()} == {P: WEIGHTS}
    assert config.variant is Variant.GUARDED


def test_a_damaged_file_of_several_is_named(there: Home, tmp_path: Path) -> None:
    out = tmp_path / "model"
    export(there.wish(out), there.source)
    path = out / json.loads((out / CONFIG).read_text())["weights"]["personal"]["file"]
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(TakeawayError, match=r"model-personal\.safetensors is damaged"):
        load(out)


@pytest.mark.parametrize(
    ("algorithm", "remedy"),
    [
        ({"name": "tap"}, "pass --variant .*, or run a job of algorithm tap with guard: true"),
        ({"name": "local"}, "pass --variant .*, or run a job of algorithm tap with guard: true"),
        (GUARD, "which is running: wait for it, or pass --variant distilled, engaged, personal or"),
    ],
)
def test_a_guarded_model_that_is_not_there_is_refused_with_the_remedy(
    algorithm: dict[str, object], remedy: str, tmp_path: Path
) -> None:
    there = home(tmp_path, small.spec(clients=("c01",), algorithm=algorithm))
    there.view_again(state=JobState.RUNNING)
    wish = there.wish(tmp_path / "model", variant=Variant.GUARDED)
    with pytest.raises(TakeawayError, match=f"client c01 has no guarded model.*{remedy}") as said:
        export(wish, there.source)
    assert "\n" not in str(said.value)
    assert not (tmp_path / "model").exists()
