"""A model that is taken away answers as the network of training does, bit for bit."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from shared.aggregation_spec import AggregationSpec
from shared.components import TaskKind
from tests.support import small
from tests.support.takeaway import TASKS, Home, home
from worker.data.loader import Split
from worker.models.network import Batch
from worker.takeaway import Classified, Drawn, Model, Sample, TakeawayError, Written, load
from worker.takeaway.export import export
from worker.takeaway.form import BASE, CARD, CONFIG, WEIGHTS
from worker.takeaway.samples import ImageLike
from worker.training.batches import in_order

pytestmark = pytest.mark.unit
ROOT = Path(__file__).parents[2]
COMBINATIONS = [(f, t) for f in ("flava", "vilt") for t in ("full", "lora")]


@pytest.fixture(scope="module", params=COMBINATIONS, ids="-".join)
def taken(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Home, Path, Model]:
    """A client's machine, and its model taken to a place of its own."""
    family, trainable = request.param
    spec = small.family_spec(family, trainable).model_copy(update={"seed": 7, "clients": ("c01",)})
    there = home(tmp_path_factory.mktemp("home"), spec)
    out = tmp_path_factory.mktemp("away") / "model"
    export(there.wish(out), there.source)
    return there, out, load(out)


@pytest.mark.parametrize("low_rank", ["ffa", "fedsa"])
def test_factors_that_never_travelled_are_taken_away_too(low_rank: str, tmp_path: Path) -> None:
    changes = {"seed": 7, "clients": ("c01",), "aggregation": AggregationSpec(low_rank=low_rank)}
    there = home(tmp_path, small.family_spec("flava", "lora").model_copy(update=changes))
    export(there.wish(tmp_path / "model"), there.source)
    model, wanted = load(tmp_path / "model"), whole(there.data["vqa"].test)
    with torch.no_grad():
        assert torch.equal(model.network("vqa")("vqa", wanted), there.loaded()("vqa", wanted))


def test_a_model_of_bfloat16_is_asked_in_bfloat16(tmp_path: Path) -> None:
    training = {**small.SPEC["training"], "precision": "bfloat16"}
    there = home(tmp_path, small.spec(training=training, clients=["c01"]))
    export(there.wish(tmp_path / "model"), there.source)
    wanted = whole(there.data["vqa"].test)
    with torch.no_grad():
        known = there.loaded()("vqa", wanted)
        assert torch.equal(load(tmp_path / "model").network("vqa")("vqa", wanted), known)
    config = json.loads((tmp_path / "model" / CONFIG).read_text())
    assert config.pop("precision") == "bfloat16"
    (tmp_path / "model" / CONFIG).write_text(json.dumps(config))
    assert load(tmp_path / "model").config.precision == "auto", "of an export that lacks it"


def samples(there: Home, task: str, split: str = "test") -> list[Sample]:
    """The rows of a client's split, as somebody asks them afterwards."""
    rows = there.file.splits(task)[split]  # type: ignore[index]  # one of three words
    images = [row.image.path if row.image else None for row in rows]
    where = there.file.directory
    reads = there.spec.tasks[task].modalities
    return [
        Sample(where / image if image else None, row.text if "text" in reads else None, row.domain)
        for row, image in zip(rows, images, strict=True)
    ]


def whole(split: Split) -> Batch:
    [batch] = in_order(split, len(split))
    return batch


def same(a: torch.Tensor | None, b: torch.Tensor | None) -> bool:
    return a is b if a is None or b is None else torch.equal(a, b)


@pytest.mark.parametrize("task", TASKS)
def test_samples_are_read_as_in_training(taken: tuple[Home, Path, Model], task: str) -> None:
    there, _, model = taken
    wanted = whole(there.data[task].test)
    found = model.batch(task, samples(there, task))
    assert same(found.images, wanted.images)
    assert same(found.tokens, wanted.tokens)
    assert torch.equal(found.domains, wanted.domains)


@pytest.mark.parametrize("task", TASKS)
def test_outputs_are_the_trained_networks_bit_for_bit(
    taken: tuple[Home, Path, Model], task: str
) -> None:
    there, _, model = taken
    batch = whole(there.data[task].test)
    asked = replace(model.batch(task, samples(there, task)), targets=batch.targets)
    with torch.no_grad():
        assert torch.equal(model.network(task)(task, asked), there.loaded()(task, batch))


@pytest.mark.parametrize("task", TASKS)
def test_answers_are_what_the_trained_network_says(
    taken: tuple[Home, Path, Model], task: str
) -> None:
    there, _, model = taken
    batch, network = whole(there.data[task].test), there.loaded()
    answers = model.predict_all(task, samples(there, task))
    assert len(answers) == len(batch)
    with torch.no_grad():
        match there.spec.tasks[task].kind:
            case TaskKind.TEXT_GENERATION:
                ids = network.generate(task, batch)
                words = [network.base.tokenizer.decode(line[1:].tolist()) for line in ids]
                assert [a.text for a in answers if isinstance(a, Written)] == words
            case TaskKind.IMAGE_GENERATION:
                pixels = (network(task, batch) * 255).round()
                images = [a.image for a in answers if isinstance(a, Drawn)]
                assert {image.size for image in images} == {(64, 64)}
                found = torch.tensor(np.stack([np.array(image) for image in images]))
                assert torch.equal(found, pixels.permute(0, 2, 3, 1).to(torch.uint8))
            case _:
                logits, classes = network(task, batch), there.spec.tasks[task].classes
                labels = [classes[i] for i in logits.argmax(1).tolist()]
                assert [a.label for a in answers if isinstance(a, Classified)] == labels
                shares = [
                    list(a.probabilities.values()) for a in answers if isinstance(a, Classified)
                ]
                assert shares == torch.softmax(logits.double(), 1).tolist()


ASK = """
import json, sys
from worker.takeaway import load
model = load(sys.argv[1])
found = {}
for task, rows in json.load(sys.stdin).items():
    found[task] = [vars(model.predict(task, **row)) for row in rows]
print(json.dumps(found, default=lambda image: image.tobytes().hex()))
"""


@pytest.mark.parametrize(
    "taken", [("flava", "lora"), ("vilt", "full")], indirect=True, ids="-".join
)
def test_a_fresh_process_elsewhere_needs_the_directory_alone(
    taken: tuple[Home, Path, Model], tmp_path: Path
) -> None:
    there, out, model = taken
    moved = shutil.copytree(out, tmp_path / "moved" / "a model")
    asked, wanted = {}, {}
    for task in TASKS:
        rows = []
        for n, sample in enumerate(samples(there, task)[:2]):
            row = {name: value for name, value in vars(sample).items() if value is not None}
            if sample.image:
                assert isinstance(sample.image, Path)
                row["image"] = Path(shutil.copy(sample.image, tmp_path / f"{task}-{n}.png")).name
            rows.append(row)
        asked[task] = rows
        wanted[task] = [vars(model.predict(task, **vars(s))) for s in samples(there, task)[:2]]
    hidden = [out, there.work_dir, there.file.directory]
    for path in hidden:
        path.rename(path.with_name(f"{path.name} is away"))
    try:
        found = fresh(ASK, asked, tmp_path, str(moved))
    finally:
        for path in hidden:
            path.with_name(f"{path.name} is away").rename(path)
    assert found == json.loads(json.dumps(wanted, default=lambda image: image.tobytes().hex()))


def fresh(code: str, asked: Mapping[str, Sequence[object]], where: Path, *more: str) -> object:
    """What a new interpreter prints, in that directory and with no way to the hub."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code, *more],
        input=json.dumps(asked), cwd=where, env=env, capture_output=True, text=True,
        timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_images_may_be_paths_bytes_or_pillows(taken: tuple[Home, Path, Model]) -> None:
    there, _, model = taken
    path = samples(there, "digits")[0].image
    assert isinstance(path, Path)
    given: list[ImageLike] = [path, str(path), path.read_bytes(), Image.open(path)]
    answers = [model.predict("digits", image=each) for each in given]
    assert all(answer == answers[0] for answer in answers)


def test_models_on_two_devices_share_no_weights(taken: tuple[Home, Path, Model]) -> None:
    models = [load(taken[1], device=device) for device in ("cpu", "meta")]
    bases = [model.network("vqa").base.backbone.model for model in models]
    here, there = (set(map(id, base.parameters())) for base in bases)
    assert not here & there


def test_beams_are_those_of_the_trained_network(taken: tuple[Home, Path, Model]) -> None:
    there, _, model = taken
    batch, network = whole(there.data["vqa"].test), there.loaded()
    ids = network.generate("vqa", batch, beams=3)
    words = [network.base.tokenizer.decode(line[1:].tolist()) for line in ids]
    found = model.predict_all("vqa", samples(there, "vqa"), beams=3)
    assert [a.text for a in found if isinstance(a, Written)] == words


def test_the_directory_holds_these_files_and_the_same_again(
    taken: tuple[Home, Path, Model], tmp_path: Path
) -> None:
    there, out, _ = taken
    names = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
    base = ("config.json", "model.safetensors", "preprocessor_config.json",
            "tokenizer.json", "tokenizer_config.json")  # fmt: skip
    assert names == {CARD, CONFIG, WEIGHTS, *(f"{BASE}/{name}" for name in base)}
    export(there.wish(tmp_path / "again"), there.source)
    for name in names:
        assert (tmp_path / "again" / name).read_bytes() == (out / name).read_bytes(), name


def test_each_variant_can_be_taken(taken: tuple[Home, Path, Model], tmp_path: Path) -> None:
    there, _, _ = taken
    batch = whole(there.data["digits"].test)
    for variant in there.models:
        out = tmp_path / variant
        assert export(there.wish(out, variant=variant), there.source).variant is variant
        with torch.no_grad():
            found = load(out).network("digits")("digits", batch)
            assert torch.equal(found, there.loaded(variant)("digits", batch))


def test_without_its_base_a_model_says_what_it_needs(
    taken: tuple[Home, Path, Model], tmp_path: Path
) -> None:
    there, out, model = taken
    light = tmp_path / "light"
    export(there.wish(light, with_base=False), there.source)
    assert not (light / BASE).exists()
    image, text = samples(there, "vqa")[0].image, "what is it"
    for found in (load(light), load(light, base=out / BASE)):
        answer = found.predict("vqa", image=image, text=text)
        assert answer == model.predict("vqa", image=image, text=text)
    digest = model.config.base_digest
    assert digest in (light / CARD).read_text()
    wrong = json.loads((light / CONFIG).read_text()) | {"base": None}
    (light / CONFIG).write_text(json.dumps(wrong))
    with pytest.raises(TakeawayError, match=f"exported without its base: .* digest {digest}"):
        load(light)
