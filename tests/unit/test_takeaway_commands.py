"""`tapestry export` and `tapestry predict`: what they print, end with and leave behind."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest
from PIL import Image

from cli.connection import Connection, local_client
from cli.exits import UsageError
from cli.takeaway import Client, _options
from shared.exits import ExitCode
from tests.support import small
from tests.support.takeaway import Home, home
from worker.takeaway import Classified, Model, Sample, load
from worker.takeaway.__main__ import _as_json, main
from worker.takeaway.export import export

pytestmark = pytest.mark.unit
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return home(tmp_path_factory.mktemp("home"), small.spec(clients=("c01",)))


@pytest.fixture(scope="module")
def out(there: Home, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("away") / "model"
    export(there.wish(directory), there.source)
    return directory


def tapestry(where: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    env = {**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "cli", *arguments]
    return subprocess.run(
        command, cwd=where, env=env, capture_output=True, text=True, timeout=240, check=False
    )


def printed(done: "subprocess.CompletedProcess[str]") -> str:
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def refused(done: "subprocess.CompletedProcess[str]", code: ExitCode) -> str:
    assert done.returncode == code
    [line] = done.stderr.splitlines()
    assert line.startswith("tapestry: ")
    return line


def test_a_question_about_an_image_is_answered(out: Path, tmp_path: Path) -> None:
    Image.effect_noise((20, 30), 90).save(tmp_path / "x.png")
    question = "what is it?"
    wanted = load(out).predict("vqa", image=tmp_path / "x.png", text=question)
    asked = ("predict", str(out), "--task", "vqa", "--image", "x.png", "--text", question)
    assert printed(tapestry(tmp_path, *asked)) == f"{vars(wanted)['text']}\n"


@pytest.fixture
def ask(out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """The worker's part of `tapestry predict`, in this process and the test's directory."""
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (16, 16), "red").save("x.png")

    def ask(*arguments: str) -> None:
        given = [str(out) if word == "MODEL" else word for word in arguments]
        monkeypatch.setattr(sys, "argv", ["worker.takeaway", "predict", *given])
        main()

    return ask


def size(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size


def test_images_are_drawn_and_classes_are_listed(
    ask: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    ask("MODEL", "--image=x.png", "--task=drawing", "--out=y.png")
    assert capsys.readouterr().out == "drawn to y.png\n"
    assert size(Path("y.png")) == (64, 64)
    ask("MODEL", "--image=x.png", "--task=digits")
    first, *shares = capsys.readouterr().out.splitlines()
    assert shares[0].endswith(f"  {first}")
    assert sum(float(line.split()[0]) for line in shares) == pytest.approx(1, abs=2e-4)


def test_a_name_is_shown_and_never_run(
    ask: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    named = Classified("\x1b[31mred", {"\x1b[31mred": 0.75, "blue\x9b": 0.25})
    monkeypatch.setattr(Model, "predict_all", lambda *_: [named])
    ask("MODEL", "--image=x.png", "--task=digits")
    assert capsys.readouterr().out == "[31mred\n  0.7500  [31mred\n  0.2500  blue\n"
    ask("MODEL", "--image=x.png", "--task=digits", "--json")
    told = capsys.readouterr().out
    assert json.loads(told)["label"] == named.label
    assert "\x1b" not in told


ROWS = """\
{"image": "x.png", "text": "what", "target": "red"}

{"image": "none.png", "text": "what"}
[1]
{"image": 3, "text": "a"}
{"image": "x.png", "text": "is it"}
"""


def test_rows_are_answered_line_by_line(
    ask: Callable[..., None], out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    rows = ROWS.replace("[1]", "[" * 100_000)
    (tmp_path / "rows.jsonl").write_text(rows, encoding="utf-8-sig")
    monkeypatch.chdir(ROOT)  # images lie beside the rows, wherever one is
    with pytest.raises(SystemExit) as ended:
        ask("MODEL", "--task=vqa", f"--rows={tmp_path / 'rows.jsonl'}")
    assert ended.value.code == ExitCode.FAILED
    told = capsys.readouterr()
    assert told.err.startswith("3 of 5 lines were not answered: correct what")
    found = [json.loads(line) for line in told.out.splitlines()]
    assert [row["line"] for row in found] == [1, 3, 4, 5, 6]
    samples = [Sample(tmp_path / "x.png", text) for text in ("what", "is it")]
    wanted = [vars(answer)["text"] for answer in load(out).predict_all("vqa", samples)]
    assert [found[0]["text"], found[4]["text"]] == wanted
    assert "none.png' cannot be read" in found[1]["error"]
    assert found[2]["error"] == "the line is no JSON object: correct it"
    assert found[3]["error"] == "image is not text: write it in quotes"


def test_many_images_are_drawn_into_a_directory(
    ask: Callable[..., None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "rows.jsonl").write_text('{"image": "x.png"}\n' * 2)
    with pytest.raises(SystemExit):
        ask("MODEL", "--task=drawing", "--rows=rows.jsonl", "--out=drawn")
    assert "drawn is no directory: make it" in capsys.readouterr().err
    (tmp_path / "drawn").mkdir()
    ask("MODEL", "--task=drawing", "--rows=rows.jsonl", "--out=drawn")
    said = [json.loads(line)["image"] for line in capsys.readouterr().out.splitlines()]
    assert said == ["drawn/000001.png", "drawn/000002.png"]
    assert {size(Path(path)) for path in said} == {(64, 64)}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["absent"], "absent is no exported model"),
        (["MODEL", "--task=titles", "--rows=x.png"], "can't decode"),
        (["MODEL", "--task=titles", "--text= "], "the text is empty: write one"),
        (["MODEL"], "the model has 5 tasks: pass --task digits, drawing, reviews, titles or vqa"),
        (["MODEL", "--task=digits", "--image=a b.png"], "'a b.png' cannot be read"),
        (["MODEL", "--task=drawing", "--image=x.png"], "say where to by --out"),
        (["MODEL", "--task=drawing", "--image=x.png", "--out=y.what"], "another --out, such as"),
        (["MODEL", "--task=titles", "--text=x", "--out=y"], "leave --out away"),
        (["MODEL", "--task=titles", "--text=-x", "--rows=r"], "leave --image, --text"),
        (["MODEL", "--task=titles", "--rows=absent.jsonl"], "absent.jsonl"),
    ],
)
def test_a_wrong_question_ends_with_one_sentence(
    ask: Callable[..., None], tmp_path: Path, arguments: list[str], sentence: str,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    with pytest.raises(SystemExit) as ended:
        ask(*arguments)
    assert ended.value.code == ExitCode.USAGE
    [line] = capsys.readouterr().err.splitlines()
    assert sentence in line
    assert [path.name for path in tmp_path.iterdir()] == ["x.png"]


def test_the_only_task_need_not_be_named(
    ask: Callable[..., None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tasks = {"titles": small.SPEC["tasks"]["titles"]}
    there = home(tmp_path / "home", small.spec(tasks=tasks, clients=("c01",)))
    export(there.wish(tmp_path / "m"), there.source)
    ask("m", "--text=-dashes first")
    wanted = load("m").predict("titles", text="-dashes first")
    assert capsys.readouterr().out == f"{vars(wanted)['text']}\n"


def test_what_was_exported_is_told_as_json(there: Home, tmp_path: Path) -> None:
    wish = there.wish(tmp_path / "m")
    told = json.loads(_as_json(export(wish, there.source), wish.out))
    assert told["directory"] == str(tmp_path / "m")
    assert (told["job"], told["client"]) == (str(wish.job), "c01")
    assert set(told["tasks"].values()) == {told["variant"]}
    assert set(told["tasks"]) == set(load(tmp_path / "m").config.tasks)


def export_command(there: Home, url: str, out: Path) -> list[str]:
    file = there.file.directory / "client.yaml"
    (out.parent / "key").write_text("tap_none")
    return [
        sys.executable, "-m", "cli", "export", str(uuid4()), "--client-file", str(file),
        "--work-dir", str(there.work_dir), "--key-file", str(out.parent / "key"),
        "--url", url, "--out", str(out),
    ]  # fmt: skip


def test_without_an_api_nothing_is_exported(there: Home, tmp_path: Path) -> None:
    command = export_command(there, "http://127.0.0.1:1", tmp_path / "model")
    done = tapestry(tmp_path, *command[3:])
    assert "cannot be reached" in refused(done, ExitCode.AWAY)
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


def test_a_stopped_export_leaves_nothing(there: Home, tmp_path: Path) -> None:
    """It waits for an API that takes the connection and never answers."""
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        command = export_command(there, url, tmp_path / "model")
        with subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True) as running:
            end = time.monotonic() + 120
            while not list(tmp_path.glob(".model.*.part")):
                assert running.poll() is None, running.stderr and running.stderr.read()
                assert time.monotonic() < end
                time.sleep(0.05)
            running.send_signal(signal.SIGTERM)
            assert running.wait(60) == 128 + signal.SIGTERM
            assert running.stderr is not None
            assert running.stderr.read() == "tapestry: stopped\n"
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


def test_the_client_is_found_in_the_place_of_a_stack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    local = Connection(None, None, None)
    with pytest.raises(UsageError, match="no stack runs here"):
        Client("c01", None, None).environment(local)
    state = tmp_path / ".tapestry" / "local"
    (tmp_path / "c01").mkdir()
    state.mkdir(parents=True)
    (tmp_path / "c01" / "client.yaml").write_text("client: c01")
    place = {"file": str(tmp_path / "c01" / "client.yaml"), "work_dir": "/w"}
    note = {"url": "http://u", "key_file": "keys/admin.key", "clients": {"c01": place}}
    (state / "stack.json").write_text(json.dumps(note))
    assert Client("c01", None, None).environment(local) == {
        "TAPESTRY_API_URL": "http://u",
        "TAPESTRY_KEYS_DIR": "keys",
        "TAPESTRY_CLIENT_FILES": place["file"],
        "TAPESTRY_WORK_DIR": "/w",
    }
    with pytest.raises(UsageError, match=r"no client c09: choose one of its own \(c01\)"):
        local_client("c09")
    with pytest.raises(UsageError, match="is of client c01, not c02"):
        Client("c02", Path("c01/client.yaml"), None).environment(local)
    with pytest.raises(UsageError, match="name the client by --client-file"):
        Client(None, None, None).environment(local)
    shutil.rmtree(state)


def test_options_are_one_word_each() -> None:
    found = _options(text="-x y", beams=None, json=True, without_base=False, out=Path("a b"))
    assert found == ["--text=-x y", "--json", "--out=a b"]
