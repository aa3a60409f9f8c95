"""What the doctor says about a client's data: numbers, and sentences with the remedy."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image
from typer.testing import CliRunner

from cli.doctor import examined
from cli.main import app
from shared.job_spec import JobSpec
from shared.readiness import Card
from tests.support import small
from worker.data.client_file import ClientFile
from worker.data.tokenizer import SPECIAL, Tokenizer
from worker.doctor.examine import Reading, examine

pytestmark = pytest.mark.unit

SPLITS = ("train", "validation", "test")
MOOD: dict[str, Any] = {
    "kind": "text_classification", "modalities": ["text"], "classes": ["bad", "good"],
}  # fmt: skip
SIGHT: dict[str, Any] = {"kind": "image_generation", "modalities": ["image"]}


def tokenizer(folder: Path) -> Tokenizer:
    (folder / "words.txt").write_text("\n".join([*SPECIAL, "word", "other"]))
    return Tokenizer.from_vocabulary(folder / "words.txt")


def client(folder: Path, task: dict[str, Any], **rows: list[dict[str, str]]) -> ClientFile:
    for split in SPLITS:
        lines = "".join(json.dumps(row) + "\n" for row in rows[split])
        (folder / f"{split}.jsonl").write_text(lines)
    described = {"client": "c01", "tasks": {"t": task | {s: f"{s}.jsonl" for s in SPLITS}}}
    (folder / "client.yaml").write_text(yaml.safe_dump(described))
    return ClientFile.read(folder / "client.yaml")


def moods(first: int, n: int, label: str = "") -> list[dict[str, str]]:
    return [
        {"text": f"word {i}", "label": label or ("bad", "good")[i % 2]}
        for i in range(first, first + n)
    ]


def said(card: Card, severity: str) -> list[str]:
    prefix = "client c01: task 't' "
    return [f.sentence.removeprefix(prefix) for f in card.findings if f.severity == severity]


def test_sound_data_are_counted_and_nothing_is_said(tmp_path: Path) -> None:
    file = client(tmp_path, MOOD, train=moods(0, 20), validation=moods(20, 4), test=moods(30, 6))
    card = examine(file, None, Reading(tokenizer(tmp_path)))
    assert card.sound
    assert card.findings == ()
    train = card.tasks["t"].train
    assert (train.samples, train.classes) == (20, {"bad": 10, "good": 10})
    assert train.text_tokens is not None
    assert (train.text_tokens.least, train.text_tokens.most) == (4, 4)
    assert (card.tasks["t"].validation.samples, card.tasks["t"].test.samples) == (4, 6)


@pytest.mark.parametrize(
    ("change", "severity", "says"),
    [
        ({"test": [*moods(30, 6), *moods(0, 2)]}, "error",
         "has 2 samples in two splits; remove them from one"),
        ({"test": [{"text": "Word, 3!", "label": "good"}]}, "warning",
         "has 1 samples of validation and test that look like training samples"),
        ({"train": moods(0, 20, "bad")}, "warning",
         "has no training sample of 1 of 2 classes, 'good' first; add some, or remove the class"),
        ({"train": moods(0, 20, "bad")}, "warning",
         "is tested on 'good', of which it has no training sample; add some"),
        ({"train": [*moods(0, 42, "bad"), *moods(50, 2, "good")], "validation": moods(60, 2)},
         "warning", "has 42 training samples of 'bad' and 2 of 'good'; accuracy will say little"),
        ({"train": moods(0, 4)}, "warning", "trains on 4 samples only; add some"),
        ({"train": [*moods(0, 20), *moods(0, 1)]}, "warning",
         "has 1 samples more than once in a split"),
        ({"train": [*moods(0, 20), {"text": "word " * 50, "label": "bad"}]}, "warning",
         "has 1 texts that are too long and lose their end; raise model.max_text_tokens"),
        ({"train": [*moods(0, 20), {"text": " ", "label": "bad"}]}, "error",
         "client c01: train.jsonl line 21: text is empty; fill it in or remove the row"),
    ],
)  # fmt: skip
def test_each_trouble_has_its_sentence(
    tmp_path: Path, change: dict[str, Any], severity: str, says: str
) -> None:
    rows = {"train": moods(0, 20), "validation": moods(20, 4), "test": moods(70, 6), **change}
    card = examine(client(tmp_path, MOOD, **rows), None, Reading(tokenizer(tmp_path)))
    assert any(sentence.startswith(says) for sentence in said(card, severity)), card.findings
    assert card.sound == (severity != "error")


def test_every_row_that_cannot_be_used_is_counted_and_the_first_are_told(tmp_path: Path) -> None:
    wrong = [{"text": f"word {i}", "label": "ugly"} for i in range(100, 112)]
    rows = {"train": [*moods(0, 20), *wrong], "validation": moods(20, 4), "test": moods(70, 6)}
    refusing = examine(client(tmp_path, MOOD, **rows), None, Reading())
    assert (refusing.tasks["t"].skipped, refusing.sound) == (12, False)
    assert len(said(refusing, "error")) == 6
    assert said(refusing, "error")[-1] == "has 7 more rows that cannot be used"
    skipping = examine(client(tmp_path, MOOD | {"on_error": "skip"}, **rows), None, Reading())
    assert (skipping.tasks["t"].skipped, skipping.sound) == (12, True)
    assert skipping.tasks["t"].train.samples == 20


def picture(path: Path, seed: int, size: tuple[int, int]) -> dict[str, str]:
    Image.effect_noise((8, 8), 90 + seed).resize(size).save(path)
    return {"image": path.name}


def test_images_are_measured_and_copies_that_were_scaled_are_found(tmp_path: Path) -> None:
    train = [picture(tmp_path / f"{i}.png", i, (200, 40)) for i in range(12)]
    Image.open(tmp_path / "3.png").resize((400, 80)).save(tmp_path / "copy.jpg", quality=95)
    test = [picture(tmp_path / "t.png", 50, (32, 32)), {"image": "copy.jpg"}]
    validation = [picture(tmp_path / "v.png", 60, (32, 32))]
    (tmp_path / "bad.png").write_text("no image")
    file = client(
        tmp_path, SIGHT, train=[*train, {"image": "bad.png"}], validation=validation, test=test
    )
    card = examine(file, None, Reading())
    widths = card.tasks["t"].train.widths
    assert widths is not None
    assert (widths.least, widths.most, card.tasks["t"].skipped) == (200, 200, 1)
    assert card.tasks["t"].near == 1
    assert "the image 'bad.png' cannot be read" in said(card, "error")[0]
    shape = "has images of about 200x40 pixels, which are made square; cut them beforehand"
    assert any(sentence.startswith(shape) for sentence in said(card, "warning"))


def job(**task: Any) -> JobSpec:
    return small.spec(clients=["c01"], tasks={"t": MOOD | task})


def test_against_a_job(tmp_path: Path) -> None:
    rows = {"train": moods(0, 20), "validation": moods(20, 4), "test": moods(70, 6)}
    file = client(tmp_path, MOOD, **rows)
    assert examine(file, job(), Reading()).sound
    other = examine(file, job(classes=["bad", "good", "best"]), Reading())
    [sentence] = said(other, "error")
    assert sentence == (
        "has classes bad, good but the job asks for bad, good, best; make the client file and the "
        "job agree"
    )
    foreign = job().model_copy(update={"clients": ("c02",)})
    assert "c01: is not among the job's clients" in examine(file, foreign, Reading()).findings[
        0
    ].sentence.removeprefix("client ")


def test_the_command_shows_tables_and_ends_with_one_where_something_must_be_done(
    tmp_path: Path,
) -> None:
    rows = {"train": moods(0, 20), "validation": moods(20, 4), "test": moods(70, 6)}
    client(tmp_path, MOOD, **rows)
    path = str(tmp_path / "client.yaml")
    sound = CliRunner().invoke(app, ["doctor", path])
    assert sound.exit_code == 0, sound.output
    assert "bad 10, good 10" in sound.output
    client(tmp_path, MOOD, **{**rows, "test": moods(0, 4)})
    ill = CliRunner().invoke(app, ["doctor", path, "--json"])
    assert ill.exit_code == 1
    assert json.loads(ill.output)["cards"][0]["tasks"]["t"]["shared"] == 4
    wrong = CliRunner().invoke(app, ["doctor", str(tmp_path / "nowhere.yaml")])
    assert wrong.exit_code == 2
    assert "cannot be read" in wrong.output


def test_cards_come_from_their_process_whatever_the_locale(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONUTF8", "0")
    monkeypatch.setenv("PYTHONIOENCODING", "latin-1")
    names = ("fragé", "日本")
    rows = {
        split: [{**row, "label": names[i % 2]} for i, row in enumerate(moods(first, n))]
        for split, first, n in (("train", 0, 20), ("validation", 20, 4), ("test", 70, 6))
    }
    client(tmp_path, {**MOOD, "classes": [*names]}, **rows)
    [card] = examined([tmp_path / "client.yaml"], None).cards
    assert card.tasks["t"].train.classes == dict.fromkeys(names, 10)


def test_another_question_about_an_image_is_no_repetition(tmp_path: Path) -> None:
    task = {"kind": "text_generation", "modalities": ["image", "text"]}

    def asked(split: str, seed: int, *questions: str) -> list[dict[str, str]]:
        seen = picture(tmp_path / f"{split}.png", seed, (16, 16))
        return [{**seen, "text": question, "target": "no"} for question in questions]

    rows = {
        "train": asked("train", 0, "what is it", "is it red"),
        "validation": asked("validation", 20, "is it red"),
        "test": asked("test", 40, "is it red", "Is it  RED", "what is it"),
    }
    card = examine(client(tmp_path, task, **rows), None, Reading()).tasks["t"]
    assert (card.train.repeated, card.test.repeated) == (0, 1)
