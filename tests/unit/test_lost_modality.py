"""A client whose images are gone: what it reads, trains and keeps."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image

from server.aggregation import client_components
from shared.components import Modality
from shared.job_spec import JobSpec
from shared.results import Variant
from tests.support import small
from tests.support.changing import JOB, SPEC, VQA, bench, lines, write_client
from worker.algorithm.method import NOBODY, Personal
from worker.algorithm.methods import method_of
from worker.data.agreement import agreed
from worker.data.client_file import ClientFile, offer
from worker.data.loader import Decoding, load_task
from worker.data.sources import DataError
from worker.doctor.examine import Reading, examine
from worker.models.base import load_base
from worker.models.network import Network, State
from worker.state import PersonalStore
from worker.training.evaluation import evaluate
from worker.training.trainer import Trainer
from worker.workbench import Workbench

pytestmark = pytest.mark.unit

IMAGE, TEXT = Modality.IMAGE, Modality.TEXT
TASKS = ("vqa",)
JOB_SPEC = small.spec(clients=["c01"], tasks={"vqa": small.SPEC["tasks"]["vqa"]})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A client's directory."""
    write_client(tmp_path)
    return tmp_path


def lose_images(folder: Path) -> Workbench:
    """The images are removed, the client file says so, and the worker is started again."""
    for image in folder.glob("*.png"):
        image.unlink()
    return started_with(folder, "text")


def started_with(folder: Path, *modalities: str) -> Workbench:
    """A worker that is started with that in its client file."""
    described = yaml.safe_load((folder / "client.yaml").read_text())
    described["tasks"]["vqa"]["modalities"] = list(modalities)
    (folder / "client.yaml").write_text(yaml.safe_dump(described))
    return bench(folder)


def read(bench: Workbench, *modalities: Modality) -> Any:
    claimed = {"vqa": modalities} if modalities else None
    return bench.data(JOB, SPEC, load_base(SPEC.model), claimed)["vqa"]


def test_the_data_are_the_same_but_for_the_images(folder: Path) -> None:
    before = read(bench(folder), IMAGE, TEXT)
    images = {path.name: path.read_bytes() for path in folder.glob("*.png")}
    after = read(lose_images(folder), TEXT)
    assert before.train.images is not None
    assert after.train.images is None
    assert after.train.tokens.equal(before.train.tokens)
    assert after.train.target_texts == before.train.target_texts
    for name, content in images.items():
        (folder / name).write_bytes(content)
    again = started_with(folder, "image", "text")
    assert read(again, IMAGE, TEXT).digests == before.digests
    Image.effect_noise((16, 16), 99).convert("RGB").save(folder / "3.png")
    with pytest.raises(DataError, match="not those that the job began with"):
        read(again, IMAGE, TEXT)


def test_nothing_but_the_lost_modality_may_be_different(folder: Path) -> None:
    read(bench(folder), IMAGE, TEXT)
    serving = lose_images(folder)
    file = folder / "vqa.jsonl"
    file.write_text(file.read_text().replace("a 3", "a 9"))
    with pytest.raises(DataError, match="not those that the job began with"):
        read(serving, TEXT)


def test_an_assignment_that_still_wants_images_fails_with_the_remedy(
    folder: Path,
) -> None:
    serving = lose_images(folder)
    says = "reads image for task 'vqa', which the client file does not have any more; start the wor"
    with pytest.raises(DataError, match=says):
        read(serving, IMAGE, TEXT)


def test_an_assignment_may_ask_for_less_than_the_client_has(folder: Path) -> None:
    serving = bench(folder)
    narrow, whole = read(serving, TEXT), read(serving, IMAGE, TEXT)
    assert narrow.train.images is None
    assert whole.train.images is not None
    assert read(serving, TEXT) is narrow
    assert set(narrow.digests["train"]) < set(whole.digests["train"])


@pytest.mark.parametrize("named", [True, False])
def test_the_same_question_about_two_images_is_no_repetition_while_rows_name_them(
    tmp_path: Path, named: bool
) -> None:
    for n, split in enumerate(("train", "validation", "test")):
        rows = [{"text": "what is it", "target": f"a {i}"} for i in range(3)]
        if named:
            rows = [{**row, "image": f"{n}{i}.png"} for i, row in enumerate(rows)]
        lines(tmp_path / f"{split}.jsonl", rows)
    task = {"kind": "text_generation", "modalities": ["text"]}
    task |= {split: f"{split}.jsonl" for split in ("train", "validation", "test")}
    described = {"client": "c01", "tasks": {"vqa": task}}
    (tmp_path / "client.yaml").write_text(yaml.safe_dump(described))
    file, base = ClientFile.read(tmp_path / "client.yaml"), load_base(JOB_SPEC.model)
    decoding = Decoding(base.tokenizer, base.image_size, 12)
    if named:
        data = load_task(file, "vqa", JOB_SPEC.tasks["vqa"], decoding)
        assert len(data.train) == 3
    else:
        with pytest.raises(DataError, match="is also in the train split"):
            load_task(file, "vqa", JOB_SPEC.tasks["vqa"], decoding)
    card = examine(file, JOB_SPEC, Reading())
    assert card.sound == named


@pytest.mark.parametrize(
    ("own", "fits"), [(["text"], True), (["image"], True), (["image", "text"], True)]
)
def test_a_client_may_have_less_than_the_job_reads(
    folder: Path,
    own: list[str],
    fits: bool,
) -> None:
    described = {"client": "c01", "tasks": {"vqa": {**VQA, "modalities": own}}}
    file = ClientFile.model_validate(described).below(folder)
    assert (list(agreed(file, "vqa", SPEC.tasks["vqa"]).modalities) == own) == fits


def test_a_client_may_not_have_more_than_the_job_reads(folder: Path) -> None:
    file = ClientFile.read(folder / "client.yaml")
    text_only = small.spec(
        tasks={"vqa": {"kind": "text_generation", "modalities": ["text"]}}
    ).tasks["vqa"]
    with pytest.raises(DataError, match="modalities image, text but the job asks for text"):
        agreed(file, "vqa", text_only)


def trainer(*modalities: Modality) -> Trainer:
    read = JOB_SPEC.read_with({"vqa": modalities})
    layers = read.model.layers
    network = Network(read, load_base(read.model), read.tasks["vqa"].components("vqa", layers))
    return Trainer("c01", JOB_SPEC, network, small.data(read, TASKS))


def test_the_network_of_what_is_left_has_no_trace_of_images() -> None:
    narrow = trainer(TEXT)
    assert not any("image" in name for name in narrow.network.components)
    state, losses = narrow.local_steps(narrow.network.state(), 1, "engaged")
    changed = {
        name
        for name, tensors in narrow.network.state().items()
        for tensor, values in tensors.items()
        if not values.equal(trainer(TEXT).network.state()[name][tensor])
    }
    assert changed == set(state), "each of its components gets a gradient"
    assert narrow.component_sets["vqa"] == set(state)
    assert set(losses) == {"vqa"}


def test_a_question_without_its_image_is_still_scored_as_the_job_asks() -> None:
    scores = [
        evaluate(at, at.network.state(), "test")["vqa"]
        for at in (trainer(IMAGE, TEXT), trainer(TEXT))
    ]
    assert [score.metric for score in scores] == ["exact_match", "exact_match"]
    assert scores[0].reference == scores[1].reference
    assert set(scores[0].intervals) == set(scores[1].intervals)


def part(state: State, names: Any) -> State:
    return {name: state[name] for name in names}


def test_a_task_that_reads_something_else_is_not_decided_about_until_it_is_measured() -> None:
    whole, narrow = trainer(IMAGE, TEXT), trainer(TEXT)
    server = whole.network.state()
    first = method_of(whole).round(server, NOBODY, 1)
    assert [d.replaced for d in first.decisions] == [True]
    assert first.personal.reads == {"vqa": (IMAGE, TEXT)}
    left = part(server, narrow.network.components)
    kept = Personal(
        {Variant.PERSONAL: part(first.personal.model or {}, left)},
        first.personal.losses,
        first.personal.reads,
    )
    second = method_of(narrow).round(left, kept, 2)
    assert second.decisions == ()
    assert second.personal.reads == {"vqa": (TEXT,)}
    plain, _ = narrow.local_steps(kept.model or {}, 2, "personal")
    assert _same(second.personal.model or {}, plain), "Z goes on from itself"
    third = method_of(narrow).round(left, second.personal, 3)
    assert [d.personal_loss for d in third.decisions] == [second.personal.losses["vqa"]]
    back = method_of(whole).round(server, third.personal.completed(server), 4)
    assert back.decisions == ()
    assert set(back.personal.model or {}) == set(server)


def _same(one: State, other: State) -> bool:
    return set(one) == set(other) and all(
        values.equal(other[name][tensor])
        for name, tensors in one.items()
        for tensor, values in tensors.items()
    )


def test_a_task_that_was_away_begins_as_at_the_first_time() -> None:
    whole = trainer(IMAGE, TEXT)
    server = whole.network.state()
    back = method_of(whole).round(server, Personal({Variant.PERSONAL: server}, {}, {}), 3)
    assert [(d.personal_loss, d.replaced) for d in back.decisions] == [(None, True)]


def test_a_state_on_the_disk_knows_what_its_losses_are_of(tmp_path: Path) -> None:
    narrow = trainer(TEXT)
    store = PersonalStore(tmp_path)
    saved = method_of(narrow).round(narrow.network.state(), NOBODY, 1).personal
    digest = store.save(saved)
    specs = dict.fromkeys(narrow.network.components)
    assert store.manifest(digest).reads == {"vqa": (TEXT,)}
    assert set(specs) == set(store.manifest(digest).models[Variant.PERSONAL])


def test_the_offer_says_what_is_left(folder: Path) -> None:
    lose_images(folder)
    offered = offer(ClientFile.read(folder / "client.yaml"))
    assert offered.tasks["vqa"].modalities == (TEXT,)
    spec = JobSpec.model_validate({**SPEC.model_dump(), "clients": ["c01"]})
    assert not any("image" in str(c) for c in client_components(spec, offered))
