"""What a taken model, its directory and its export refuse: one sentence each, with the remedy."""

import json
import shutil
import struct
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from shared.artifacts import ArtifactStore, file_digest
from shared.results import Variant
from shared.states import JobState
from tests.support import small
from tests.support.takeaway import JOB, Home, home
from worker.models.base import load_base
from worker.models.network import Network
from worker.personal_files import StateError
from worker.takeaway import Model, Sample, TakeawayError, load
from worker.takeaway.export import export
from worker.takeaway.form import BASE, CARD, CONFIG, WEIGHTS

pytestmark = pytest.mark.unit


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return home(tmp_path_factory.mktemp("home"), small.spec(clients=("c01",)))


@pytest.fixture(scope="module")
def out(there: Home, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("away") / "model"
    export(there.wish(directory), there.source)
    return directory


@pytest.fixture(scope="module")
def model(out: Path) -> Model:
    return load(out)


@pytest.fixture
def copy(out: Path, tmp_path: Path) -> Path:
    """The exported directory, to be changed."""
    return shutil.copytree(out, tmp_path / "copy")


def png(mode: str = "RGB") -> bytes:
    file = BytesIO()
    Image.new(mode, (16, 16)).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize(
    ("task", "given", "sentence"),
    [
        ("none", {}, "no task 'none' in this model: choose digits, drawing, reviews, titles or"),
        ("vqa", {"image": png()}, "task 'vqa' reads image and text: add the text"),
        ("vqa", {"text": "what"}, "task 'vqa' reads image and text: add the image"),
        ("digits", {"image": png(), "text": "x"}, "task 'digits' reads no text: leave it out"),
        ("titles", {"text": " \n"}, "the text is empty: write one"),
        ("titles", {"text": "a\0b"}, "characters that are no text: remove them"),
        ("titles", {"text": "\ud800"}, "characters that are no text: remove them"),
        ("reviews", {"text": "x"}, "task 'reviews' has domains: name one, films or tweets"),
        ("reviews", {"text": "x", "domain": "news"}, "no domain 'news' here: choose films or"),
        ("digits", {"image": "absent.png"}, "the image 'absent.png' cannot be read: give a whole"),
        ("digits", {"image": b"no image"}, "the image cannot be read: give a whole file"),
        ("digits", {"image": png()[:45]}, "the image cannot be read: give a whole file"),
        ("digits", {"image": png("I;16")}, "more than 8 bits in a channel: convert it to 8 bits"),
        ("titles", {"text": "x", "beams": 0}, "0 beams are too few: ask for 1 or more"),
        ("digits", {"image": png(), "beams": 2}, "cannot be answered by 2 beams: leave them out"),
    ],
)  # fmt: skip
def test_a_wrong_question_names_the_remedy(
    model: Model, task: str, given: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(TakeawayError) as refused:
        model.predict(task, **given)
    assert sentence in str(refused.value)
    assert "\n" not in str(refused.value)


def test_no_samples_are_no_answers(model: Model) -> None:
    assert model.predict_all("vqa", []) == []


def test_the_words_of_the_tokenizer_are_plain_text_in_a_question(model: Model) -> None:
    [ids] = model.batch("titles", [Sample(text="a [SEP] b")]).tokens  # type: ignore[misc]
    words = model.network("titles").base.tokenizer
    assert ids.tolist().count(words.end_id) == 1


def test_transparent_and_turned_images_are_read_as_in_training(model: Model) -> None:
    clear = Image.new("RGBA", (16, 16), (0, 0, 0, 0))
    white = Image.new("RGB", (16, 16), "white")
    assert model.predict("digits", image=clear) == model.predict("digits", image=white)


def change_config(**changes: Any) -> Callable[[Path], None]:
    def change(copy: Path) -> None:
        config = json.loads((copy / CONFIG).read_text())
        (copy / CONFIG).write_text(json.dumps(config | changes))

    return change


def change_weights(change: Callable[[dict[str, torch.Tensor]], object]) -> Callable[[Path], None]:
    """Other tensors, with their right digest."""

    def changed(copy: Path) -> None:
        tensors = load_file(copy / WEIGHTS)
        change(tensors)
        save_file(tensors, copy / WEIGHTS)
        change_digest(copy)

    return changed


def change_digest(copy: Path) -> None:
    weights = {"file": WEIGHTS, "sha256": file_digest(copy / WEIGHTS)}
    change_config(weights={"distilled": weights})(copy)


def flip(copy: Path) -> None:
    content = bytearray((copy / WEIGHTS).read_bytes())
    content[-1] ^= 1
    (copy / WEIGHTS).write_bytes(content)


def other_base(copy: Path) -> None:
    path = copy / BASE / "model.safetensors"
    tensors = load_file(path)
    next(iter(tensors.values())).add_(1)
    save_file(tensors, path, metadata={"format": "pt"})


NAME = "head.digits/layers.0.bias"


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda copy: (copy / CONFIG).unlink(), "is no exported model, for it has no config.json"),
        (change_config(format_version=9), "format_version: .*or install the version that exported"),
        (change_config(later=1), "later: is not a known field"),
        (change_config(weights={}), "answered by distilled, without weights: export the model"),
        (change_config(weights={"distilled": {"file": "../x", "sha256": "0" * 64}}), "file"),
        (lambda copy: (copy / WEIGHTS).unlink(), "model.safetensors cannot be read"),
        (flip, "is damaged or of another export: export the model again"),
        (lambda copy: shutil.rmtree(copy / BASE), None),
        (other_base, "has digest .*, but the model was trained on .*: restore that base"),
        (lambda copy: (copy / BASE / "tokenizer.json").unlink(), "has neither tokenizer.json nor"),
        (change_weights(lambda t: t.pop(NAME)), "'layers.0.bias' is missing; export the model"),
        (change_weights(lambda t: t.update({f"{NAME}x": t[NAME] + 1})), "'layers.0.biasx' is"),
        (change_weights(lambda t: t.update({NAME: t[NAME][1:]})), r"has shape \(15,\), the"),
        (change_weights(lambda t: t.update({NAME: t[NAME].half()})), "float16 and not float32"),
        (change_weights(lambda t: t.clear()), "component 'proj' is missing"),
    ],
)  # fmt: skip
def test_a_directory_that_is_not_whole_is_refused(
    copy: Path, spoil: Callable[[Path], object], sentence: str | None
) -> None:
    spoil(copy)
    if sentence is None:  # a random base is made again, and is the same
        assert load(copy).tasks
        return
    with pytest.raises(TakeawayError, match=sentence) as refused:
        load(copy)
    assert "\n" not in str(refused.value)


def test_a_file_that_is_no_safetensors_is_refused(copy: Path) -> None:
    (copy / WEIGHTS).write_bytes(struct.pack("<Q", 3) + b"{}x")
    change_digest(copy)
    with pytest.raises(TakeawayError, match=r"cannot be read .*: export the model again"):
        load(copy)


def left(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def test_an_export_writes_over_nothing(there: Home, tmp_path: Path) -> None:
    taken, file = tmp_path / "taken", tmp_path / "file"
    taken.mkdir()
    (taken / "mine.txt").write_text("precious")
    file.write_text("precious")
    for target in (taken, file):
        with pytest.raises(TakeawayError, match="is there and not empty: choose another --out"):
            export(there.wish(target), there.source)
    with pytest.raises(TakeawayError, match="absent is no directory: make it"):
        export(there.wish(tmp_path / "absent" / "model"), there.source)
    assert left(tmp_path) == ["file", "taken"]
    (tmp_path / "empty").mkdir()
    export(there.wish(tmp_path / "empty"), there.source)
    assert load(tmp_path / "empty").tasks
    assert left(tmp_path) == ["empty", "file", "taken"]


def test_an_export_that_fails_leaves_nothing(there: Home, tmp_path: Path) -> None:
    def fail(part: Path) -> None:
        (tmp_path / part.name).mkdir()  # what it is about to make is there already

    with pytest.raises(FileExistsError):
        export(there.wish(tmp_path / "model"), there.source, fail)
    shutil.rmtree(next(tmp_path.glob(".model.*")))
    nobody = replace(there.source, work_dir=tmp_path / "elsewhere")
    with pytest.raises(StateError, match=r"is not whole below .*elsewhere: .* by --work-dir"):
        export(there.wish(tmp_path / "model"), nobody)
    assert left(tmp_path) == []


def test_a_damaged_personal_state_is_refused(there: Home, tmp_path: Path) -> None:
    work = shutil.copytree(there.work_dir, tmp_path / "work")
    there_too = replace(there.source, work_dir=work)
    files = [path for path in (work / "personal").rglob("*") if len(path.name) == 64]
    for path in files:
        if path.name != there.api.view.state_digest:
            whole = path.read_bytes()
            path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(StateError, match="is damaged: restore it from a backup"):
        export(there.wish(tmp_path / "model"), there_too)
    assert left(tmp_path) == ["work"]


def test_a_job_without_a_personal_model_offers_the_engaged_one(there: Home, tmp_path: Path) -> None:
    before = there.api.view
    there.view_again(state_digest=None, state=JobState.RUNNING, scores=())
    try:
        with pytest.raises(TakeawayError, match="no personal model in this job, which is running: "
                           "wait for it, or pass --variant engaged"):  # fmt: skip
            export(there.wish(tmp_path / "model"), there.source)
        out = tmp_path / "engaged"
        assert export(there.wish(out, variant=Variant.ENGAGED), there.source).variant == "engaged"
        card = (out / CARD).read_text()
        assert "The job had not ended when this was exported: it was running." in card
        assert "No model of this job has been measured at this client." in card
        there.view_again(components=(), version=None)
        with pytest.raises(TakeawayError, match="has asked nothing of this client yet"):
            export(there.wish(tmp_path / "model"), there.source)
    finally:
        there.api.view = before


def test_what_the_personal_model_never_had_comes_from_the_server(
    there: Home, tmp_path: Path
) -> None:
    """As in a fork whose client has tasks that it had not in the parent."""
    work = shutil.copytree(there.work_dir, tmp_path / "work")
    (store,) = (work / "personal").glob(f"*/{JOB}")
    digest = there.api.view.state_digest
    assert digest is not None
    manifest = json.loads((store / digest[:2] / digest).read_text())
    for parts in manifest["models"].values():
        del parts["head.digits"]
    text = json.dumps(manifest).encode()
    changed = replace(there.source, work_dir=work)
    before = there.api.view
    there.view_again(state_digest=written(store, text))
    try:
        export(there.wish(tmp_path / "model"), changed)
    finally:
        there.api.view = before
    found = load(tmp_path / "model").network("digits")
    server, mine = there.models[Variant.ENGAGED], there.models[Variant.DISTILLED]
    assert torch.equal(found.tensors("head.digits")["layers.0.bias"],
                       server["head.digits"]["layers.0.bias"])  # fmt: skip
    assert torch.equal(found.tensors("proj")["bias"], mine["proj"]["bias"])
    assert there.api.downloaded[-1] == before.manifest["head.digits"].sha256


def written(store: Path, text: bytes) -> str:
    return ArtifactStore(store).write([text])


def test_a_domain_that_the_client_has_no_expert_of_is_unknown(tmp_path: Path) -> None:
    spec = small.spec(clients=("c01",))
    there = home(tmp_path / "home", spec)
    mine = spec.tasks["reviews"].components("reviews", spec.model.layers, ("films",))
    names = tuple(sorted(map(str, mine)))
    there.view_again(components=names)
    out = tmp_path / "model"
    config = export(there.wish(out), there.source)
    assert config.tasks["reviews"].known_domains == ("films",)
    assert set(config.tasks) == {"reviews"}
    model = load(out)
    answer = model.predict("reviews", text="it was good")
    assert answer == model.predict("reviews", text="it was good", domain="films")
    with pytest.raises(TakeawayError, match="knows no domain 'tweets' here: choose films"):
        model.predict("reviews", text="it was good", domain="tweets")
    network = Network(spec, load_base(spec.model), mine)
    assert network.components == names
