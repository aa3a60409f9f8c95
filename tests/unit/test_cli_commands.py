"""The command line: one sentence and a non-zero exit for every error, and quick to start."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from cli import worker
from cli.connection import Connection
from cli.exits import UsageError
from cli.main import app
from cli.stack import settings
from cli.stack.errors import StackError
from cli.stack.settings import StackSettings, client_files
from cli.worker import WorkerWish, environment
from shared.exits import ExitCode

pytestmark = pytest.mark.unit
SPEC = """
name: x
algorithm: {name: tap}
rounds: {counts: 3}
tasks: {topics: {kind: text_classification, modalities: [text], classes: [a, b]}}
clients: [c01]
"""


@pytest.fixture(autouse=True)
def empty_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def refused(*arguments: str, code: ExitCode = ExitCode.USAGE) -> str:
    """The one sentence that the command ends with."""
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == code
    lines = result.stderr.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("tapestry: ")
    return lines[0]


def write_client(directory: Path, name: str, text: str) -> Path:
    path = directory / name / "client.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    return path


def test_without_an_api_the_remedy_is_named() -> None:
    assert "`tapestry up`" in refused("jobs")
    assert "--key-file" in refused("jobs", "--url", "http://127.0.0.1:1")


def test_a_missing_key_file_is_named() -> None:
    said = refused("jobs", "--url", "http://127.0.0.1:1", "--key-file", "absent.key")
    assert "absent.key cannot be read" in said


def test_a_wrong_spec_names_the_field_and_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "job.yaml").write_text(SPEC)
    said = refused("submit", "job.yaml", "--url", "http://127.0.0.1:1")
    assert "rounds.counts: is not a known field; did you mean count?" in said


def test_an_absent_spec_is_named() -> None:
    assert "absent.yaml: cannot be read" in refused("submit", "absent.yaml")


def test_a_directory_without_clients_is_refused(tmp_path: Path) -> None:
    assert "holds no client" in refused("up", "--clients", str(tmp_path))


def test_a_client_file_must_name_a_client_once(tmp_path: Path) -> None:
    write_client(tmp_path, "one", "client: c01")
    write_client(tmp_path, "two", "client: c01")
    with pytest.raises(StackError, match="both are client c01"):
        StackSettings(tmp_path, tmp_path, client_files(tmp_path))
    with pytest.raises(StackError, match="names no client"):
        settings.client_name(write_client(tmp_path, "three", "tasks: {}"))
    with pytest.raises(StackError, match="cannot be read"):
        settings.client_name(write_client(tmp_path, "four", "client: [c01"))


def test_a_worker_is_told_what_to_serve_and_with_which_keys(tmp_path: Path) -> None:
    there = ("--url", "http://127.0.0.1:1")
    client = str(write_client(tmp_path, "one", "client: c01"))
    assert "name the client files" in refused("worker", *there)
    assert "--planner alone" in refused("worker", "--planner", client, *there)
    assert "absent.yaml cannot be read" in refused("worker", "absent.yaml", *there, "--key", "k")
    assert "no key is known" in refused("worker", client, *there)
    assert "`tapestry up`" in refused("worker", client, "--key", "k")


def test_a_worker_without_its_packages_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "find_spec", lambda _: None)
    client = str(write_client(tmp_path, "one", "client: c01"))
    there = ("--url", "http://127.0.0.1:1", "--key", "k")
    said = refused("worker", client, *there, code=ExitCode.FAILED)
    assert "pip install '.[worker]'" in said


def test_a_worker_finds_the_local_stack_and_polls_when_asked_to(tmp_path: Path) -> None:
    local = tmp_path / ".tapestry" / "local"
    local.mkdir(parents=True)
    note = {"url": "http://127.0.0.1:7", "key_file": str(local / "keys" / "admin.key")}
    (local / "stack.json").write_text(json.dumps(note))
    files = (write_client(tmp_path, "a", "client: a"),)
    wish = WorkerWish(files, planner=False, broker=True, work_dir=tmp_path, keys_dir=None)
    given = {"TAPESTRY_REDIS_URL": "redis://there", "TAPESTRY_KEY": "an operator's", "HOME": "/"}
    nobody = Connection(None, None, None)
    env = environment(wish, nobody, given)
    assert env == {
        "HOME": "/",
        "TAPESTRY_REDIS_URL": "redis://there",
        "TAPESTRY_API_URL": "http://127.0.0.1:7",
        "TAPESTRY_KEYS_DIR": str(local / "keys"),
        "TAPESTRY_WORK_DIR": str(tmp_path),
        "TAPESTRY_CLIENT_FILES": str(tmp_path / "a" / "client.yaml"),
    }
    polling = environment(replace(wish, broker=False), nobody, given)
    assert env.items() - polling.items() == {("TAPESTRY_REDIS_URL", "redis://there")}


def test_the_local_stack_s_key_is_sent_to_no_other_api(tmp_path: Path) -> None:
    local = tmp_path / ".tapestry" / "local"
    local.mkdir(parents=True)
    (local / "admin.key").write_text("tap_1a2b3c4d_SECRET")
    note = {"url": "http://127.0.0.1:7", "key_file": str(local / "admin.key")}
    (local / "stack.json").write_text(json.dumps(note))
    for own in (None, "http://127.0.0.1:7", "http://127.0.0.1:7/"):
        with Connection(own, None, None).open() as api:
            assert api._http.headers["Authorization"] == "Bearer tap_1a2b3c4d_SECRET"
    with pytest.raises(UsageError, match="no key is known: pass --key-file"):
        Connection("http://127.0.0.1:8", None, None).open()


def test_clients_are_dealt_out_to_workers(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        write_client(tmp_path, name, f"client: {name}")
    files = client_files(tmp_path)
    shares = StackSettings(tmp_path, tmp_path, files, n_workers=2).shares()
    assert [sorted(share) for share in shares] == [["a", "c"], ["b"]]
    assert len(StackSettings(tmp_path, tmp_path, files, n_workers=9).shares()) == 3
    assert StackSettings(tmp_path, tmp_path).shares() == []


def options(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Every option of the command line, by command and name."""
    for name, each in getattr(command, "commands", {}).items():
        yield from options(each, (*path, name))
    for option in command.params:
        yield " ".join((*path, option.name or "")), option


def test_every_number_of_a_command_has_its_bounds() -> None:
    """What nobody can mean is a wrong option, and no traceback of what it does to something."""
    every = dict(options(get_command(app)))
    numbers = {name: of for name, of in every.items() if of.type_descriptor.annotation is int}
    assert {"fork number", "jobs limit", "up workers"} <= set(numbers)
    assert [name for name, of in numbers.items() if of.max is None] == []
    said = refused("jobs", "--limit", "1" + 20 * "0")
    assert "less than or equal to 1000000" in said


def test_a_port_in_use_is_refused_before_anything_starts(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(StackError, match=f"port {port} of 127.0.0.1 is in use"):
            StackSettings(tmp_path, tmp_path, port=port).check()


def test_a_full_disk_is_refused_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "NEEDED_BYTES", 10**18)
    with pytest.raises(StackError, match="free disk"):
        StackSettings(tmp_path, tmp_path).check()


def test_the_command_line_imports_nothing_heavy() -> None:
    code = "import sys, cli.main; print(*sys.modules)"
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root
    )
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert not loaded & {"torch", "transformers", "sqlalchemy", "fastapi", "celery", "numpy"}
    assert not loaded & {"server", "worker"}


def completed(words: str, at: int) -> tuple[set[str], set[str]]:
    """What a shell is offered for a word, and what was imported for it."""
    env = {
        **os.environ,
        "_TAPESTRY_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": str(at),
    }
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "cli"],
        capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2], env=env,
    )  # fmt: skip
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    return set(done.stdout.split()), {name.partition(".")[0] for name in loaded}


def test_a_shell_completes_commands_and_options_without_anything_heavy() -> None:
    offered, loaded = completed("tapestry re", 1)
    assert offered == {"register", "report", "results", "resume"}
    assert "cli" in loaded
    assert not loaded & {"torch", "transformers", "sqlalchemy", "fastapi", "celery", "numpy"}
    assert not loaded & {"server", "worker"}
    assert completed("tapestry keys create --sc", 3)[0] == {"--scope"}
    assert completed("tapestry keys create --scope o", 4)[0] == {"operator"}


def test_completion_is_installed_for_the_shell_that_is_named(tmp_path: Path) -> None:
    (tmp_path / ".bashrc").write_text("# mine\n")
    done = subprocess.run(
        ["bash", "-c", '"$0" -m cli --install-completion; echo $?', sys.executable],
        capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2],
        env={**os.environ, "HOME": str(tmp_path)},
    )  # fmt: skip
    assert done.stdout.splitlines()[-1] == "0", done.stdout + done.stderr
    (written,) = (path for path in tmp_path.rglob("*") if "complete_bash" in text_of(path))
    assert "_TAPESTRY_COMPLETE" in text_of(written)
    assert str(written) in text_of(tmp_path / ".bashrc")


def text_of(path: Path) -> str:
    return path.read_text() if path.is_file() else ""
