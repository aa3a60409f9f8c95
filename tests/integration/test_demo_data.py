"""The demo's data as they are made and loaded: counts, splits that share nothing, vocabulary.

Made once per checkout, in the ignored `.tapestry/` directory; the packages are downloaded then.
"""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from shared import spec_files
from shared.job_spec import JobSpec
from worker.data.client_file import ClientFile, offer
from worker.data.loader import Decoding, load_task
from worker.data.rows import Row
from worker.data.tokenizer import VOCABULARY, Tokenizer, words

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "demo"
CACHE = ROOT / ".tapestry" / "cache"
ALGORITHMS = ("tap", "fedavg", "local")
N_TRAIN = {
    ("c01", "shapes-vqa"): 160,
    ("c02", "shapes"): 120,
    ("c02", "shapes-vqa"): 160,
    ("c03", "shapes-vqa"): 160,
    ("c04", "shapes"): 120,
    ("c05", "digits"): 80,
    ("c05", "pictures"): 80,
    ("c06", "digits"): 80,
    ("c06", "pictures"): 80,
    ("c07", "topics"): 120,
    ("c08", "topics"): 120,
    ("c09", "headlines"): 120,
    ("c10", "headlines"): 120,
    ("c11", "sentiment"): 120,
    ("c12", "sentiment"): 120,
}


def run(script: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, EXAMPLE / script, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=280)


@pytest.fixture(scope="module")
def federation(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("demo with a space") / "clients"
    done = run("prepare.py", "--out", out, "--cache", CACHE)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(out)
    return out


@pytest.fixture(scope="module")
def clients(federation: Path) -> dict[str, ClientFile]:
    paths = sorted(federation.glob("*/client.yaml"))
    return {path.parent.name: ClientFile.read(path) for path in paths}


@cache
def job(algorithm: str) -> JobSpec:
    return spec_files.load(JobSpec, EXAMPLE / f"{algorithm}.yaml")


def samples(clients: dict[str, ClientFile]) -> Iterator[tuple[str, str, str, Row]]:
    """Client, task, split and row of everything."""
    for name, file in clients.items():
        for task in file.tasks:
            for split, rows in file.splits(task).items():
                for row in rows:
                    yield name, task, split, row


def content(file: ClientFile, row: Row) -> object:
    """What makes it the same sample: the pixels, whatever is asked about them, or the text."""
    image = file.image(row, "here")
    return " ".join(row.text.casefold().split()) if image is None else (image.size, image.tobytes())


def test_counts(clients: dict[str, ClientFile]) -> None:
    offers = {name: offer(file).tasks for name, file in clients.items()}
    found = {(name, task): o.n_train for name, tasks in offers.items() for task, o in tasks.items()}
    assert found == N_TRAIN
    assert {(o.validation, o.test) for tasks in offers.values() for o in tasks.values()} == {
        (60, 150)
    }


def test_no_sample_is_anywhere_twice(clients: dict[str, ClientFile]) -> None:
    counts = Counter(content(clients[name], row) for name, _, _, row in samples(clients))
    assert counts.most_common(1)[0][1] == 1


def test_test_splits_have_the_distribution_of_training(clients: dict[str, ClientFile]) -> None:
    """Class shares of a client's training and test splits differ by rounding only."""
    shares: dict[tuple[str, str, str], Counter[str]] = {}
    for name, task, split, row in samples(clients):
        if row.label:
            shares.setdefault((name, task, split), Counter())[f"{row.domain} {row.label}"] += 1
    for (name, task, split), train in shares.items():
        if split == "train":
            test = shares[name, task, "test"]
            for label in train | test:
                assert abs(train[label] / train.total() - test[label] / 150) < 0.015, (name, label)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_split_loads_under_the_specs(clients: dict[str, ClientFile], algorithm: str) -> None:
    spec = job(algorithm)
    assert list(spec.clients) == list(clients)
    tokenizer = Tokenizer.from_vocabulary(VOCABULARY)
    used = set()
    for name, file in clients.items():
        for task in file.tasks:
            used.add(task)
            data = load_task(file, task, spec.tasks[task], Decoding(tokenizer, 32, 40))
            assert len(data.train) == N_TRAIN[name, task]
            assert (len(data.validation), len(data.test)) == (60, 150)
    assert used == set(spec.tasks)


def test_the_specs_differ_in_name_and_algorithm_only() -> None:
    rest = [job(a).model_dump(exclude={"name", "algorithm"}) for a in ALGORITHMS]
    assert rest[0] == rest[1] == rest[2]
    assert [job(a).algorithm.name for a in ALGORITHMS] == list(ALGORITHMS)


def test_no_target_is_cut(clients: dict[str, ClientFile]) -> None:
    tokenizer, tasks = Tokenizer.from_vocabulary(VOCABULARY), job("tap").tasks
    for _, task, _, row in samples(clients):
        if row.target:
            ids = tokenizer.encode_target([row.target], tasks[task].max_target_tokens + 1)
            assert tokenizer.decode(ids[0].tolist()) == row.target


def test_the_vocabulary_covers_the_test_splits(clients: dict[str, ClientFile]) -> None:
    tokenizer = Tokenizer.from_vocabulary(VOCABULARY)
    known, unknown = set(tokenizer.vocabulary), 1
    found, whole, tokens, missing = 0, 0, 0, 0
    for _, _, split, row in samples(clients):
        if split == "test" and row.text:
            spoken = words(row.text)
            found += len(spoken)
            whole += sum(word in known for word in spoken)
            ids = tokenizer.encode([row.text], 200)
            tokens += int((ids != tokenizer.pad_id).sum())
            missing += int((ids == unknown).sum())
    assert whole / found > 0.85
    assert missing / tokens < 0.001


def test_the_vocabulary_is_made_again_byte_for_byte(federation: Path, tmp_path: Path) -> None:
    assert federation.is_dir()  # so the packages are there
    done = run("make_vocabulary.py", "--cache", CACHE, "--out", tmp_path / "made.txt")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "made.txt").read_bytes() == VOCABULARY.read_bytes()


def test_preparing_again_changes_nothing_and_leaves_nothing(federation: Path) -> None:
    before = (federation / "c01" / "client.yaml").stat().st_mtime_ns
    assert run("prepare.py", "--out", federation, "--cache", CACHE).returncode == 0
    assert (federation / "c01" / "client.yaml").stat().st_mtime_ns == before
    assert [path.name for path in federation.parent.iterdir()] == ["clients"]


def test_two_at_once_make_the_same(federation: Path, tmp_path: Path) -> None:
    assert federation.is_dir()
    script, out = str(EXAMPLE / "prepare.py"), str(tmp_path / "both")
    made = [sys.executable, script, "--out", out, "--cache", str(CACHE)]
    children = [subprocess.Popen(made, stdout=subprocess.DEVNULL) for _ in range(2)]
    assert [child.wait(timeout=120) for child in children] == [0, 0]
    assert contents(tmp_path / "both") == contents(federation)
    assert [path.name for path in tmp_path.iterdir()] == ["both"]


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_a_directory_of_somebody_else_is_left_alone(federation: Path, tmp_path: Path) -> None:
    assert federation.is_dir()
    (tmp_path / "mine.txt").write_text(json.dumps("mine"), encoding="utf-8")
    done = run("prepare.py", "--out", tmp_path, "--cache", CACHE)
    assert done.returncode != 0
    assert "holds something else; choose a new or an empty directory" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_without_a_network_one_sentence_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "PIP_CONFIG_FILE": "/dev/null",
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(tmp_path),
        "PIP_NO_CACHE_DIR": "1",
    }.items():
        monkeypatch.setenv(name, value)
    done = run("prepare.py", "--out", tmp_path / "out", "--cache", tmp_path / "cache")
    assert done.returncode != 0
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: the demo's data cannot be downloaded (")
    assert "connect to a package index, or put easy_vqa-1.0-py3-none-any.whl" in line
    assert not (tmp_path / "out").exists()
    assert list((tmp_path / "cache" / "packages").iterdir()) == []
