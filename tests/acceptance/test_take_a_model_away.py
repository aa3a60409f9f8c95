"""`tapestry export` with a client's key, then `tapestry predict` about an image, all for real."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from uuid import UUID

import pytest

from cli.stack.stack import Stack
from shared.api_client import ApiClient
from shared.states import JOB_TERMINAL, JobState
from tests.support import federation
from worker.data.client_file import ClientFile
from worker.takeaway import Sample, Written, load
from worker.takeaway.form import CARD

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(600)]
ROOT = Path(__file__).parents[2]


def tapestry(where: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "cli", *arguments]
    return subprocess.run(
        command, cwd=where, env=env, capture_output=True, text=True, timeout=240, check=False
    )


def finished(api: ApiClient, name: str) -> UUID:
    job = api.submit(federation.job(name), name).id
    end = time.monotonic() + 240
    while (now := api.job(job)).state not in JOB_TERMINAL:
        assert time.monotonic() < end, (now.state, now.round)
        time.sleep(0.2)
    assert now.state is JobState.SUCCEEDED, now.failure
    return job


def test_a_clients_key_takes_the_model_away_and_it_answers(
    stack: Stack, client_files: list[Path], tmp_path: Path
) -> None:
    place = tmp_path / "a place"  # where the stack's note lies, as if it had been started there
    (place / ".tapestry").mkdir(parents=True)
    (place / ".tapestry" / "local").symlink_to(stack.settings.state)
    with stack.client() as api:
        job = finished(api, "taken-away")
        scores = [row for row in api.report(job).scores if row.client == "c01"]
    done = tapestry(place, "export", str(job), "--client", "c01", "--out", "mine")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("mine: the distilled model of client c01, for digits, vqa\n")
    card = (place / "mine" / CARD).read_text()
    for row in scores:
        numbers = f"| {row.score.value:.4f} | {row.score.reference:.4f} |"
        assert any(row.task in line and numbers in line for line in card.splitlines())
    assert not re.search(r"\bc02\b", card), "another client is nobody's business"
    check_answers(place, client_files[0])
    check_scores(place, client_files[0], next(
        row.score.metrics["exact_match"] for row in scores
        if (row.task, row.variant) == ("vqa", "distilled")
    ))  # fmt: skip


def check_answers(place: Path, client_file: Path) -> None:
    """The command says what three lines of Python say, far from the stack."""
    away = shutil.copytree(place / "mine", place.parent / "away" / "mine").parent
    file = ClientFile.read(client_file)
    row = file.splits("vqa")["test"][0]
    assert row.image is not None
    assert row.image.path is not None
    image = shutil.copy(file.directory / row.image.path, away / "photo.png")
    ask = ("predict", "mine", "--task", "vqa", "--image", "photo.png", "--text", row.text)
    done = tapestry(away, *ask, "--json")
    assert done.returncode == 0, done.stderr
    wanted = load(away / "mine").predict("vqa", image=image, text=row.text)
    assert isinstance(wanted, Written)
    assert json.loads(done.stdout) == {"task": "vqa", "text": wanted.text}


def check_scores(place: Path, client_file: Path, exact_match: float) -> None:
    """On the client's test split it is as good as the job's evaluation found."""
    file = ClientFile.read(client_file)
    rows = file.splits("vqa")["test"]
    samples = [Sample(file.directory / str(r.image and r.image.path), r.text) for r in rows]
    model = load(place / "mine")
    words = model.network("vqa").base.tokenizer
    length = model.config.tasks["vqa"].task.max_target_tokens + 1
    ids = words.encode_target([row.target for row in rows], length)
    truth = [words.decode(line[1:].tolist()) for line in ids]
    texts = [vars(answer)["text"] for answer in model.predict_all("vqa", samples)]
    right = [float(a == b) for a, b in zip(texts, truth, strict=True)]
    assert sum(right) / len(right) == exact_match


def test_another_clients_key_and_a_job_of_others_are_refused(
    stack: Stack, client_files: list[Path], tmp_path: Path
) -> None:
    with stack.client() as api:
        job = api.submit(federation.job("not-taken"), "not-taken").id
        api.cancel(job)
    keys, url = stack.settings.state / "keys", stack.url
    command = ("export", str(job), "--client-file", str(client_files[2]), "--out", "x",
               "--work-dir", str(stack.settings.state / "worker-1"), "--url", url)  # fmt: skip
    said = {
        "c03": (1, f"client c03 has no part in a job {job}"),
        "admin": (4, "a key with scope client"),
    }
    for key, (code, sentence) in said.items():
        done = tapestry(tmp_path, *command, "--key-file", str(keys / f"{key}.key"))
        assert done.returncode == code
        assert done.stderr.startswith("tapestry: ")
        assert sentence in done.stderr
    assert list(tmp_path.iterdir()) == []
