"""The command line: one sentence and a non-zero exit for every error, and quick to start."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.main import app
from cli.stack import settings
from cli.stack.errors import StackError
from cli.stack.settings import StackSettings, client_files

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


def refused(*arguments: str) -> str:
    """The one sentence that the command ends with."""
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == 1
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


def test_clients_are_dealt_out_to_workers(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        write_client(tmp_path, name, f"client: {name}")
    files = client_files(tmp_path)
    shares = StackSettings(tmp_path, tmp_path, files, n_workers=2).shares()
    assert [sorted(share) for share in shares] == [["a", "c"], ["b"]]
    assert len(StackSettings(tmp_path, tmp_path, files, n_workers=9).shares()) == 3
    assert StackSettings(tmp_path, tmp_path).shares() == []


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
