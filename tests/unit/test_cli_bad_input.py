"""Whatever is given, each command ends with one sentence, the right exit code and no traceback."""

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.main import app
from shared.exits import ExitCode
from tests.support.refusing import JOB, OF_THE_API, OF_THE_MACHINE, free_port, refused, workplace

pytestmark = pytest.mark.unit


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    workplace(tmp_path, monkeypatch)
    return tmp_path


@pytest.mark.parametrize("command", [*OF_THE_API, *OF_THE_MACHINE])
def test_an_option_that_there_is_not(command: str) -> None:
    said = refused([*command.split(), "--bogus"], ExitCode.USAGE)
    assert "No such option: --bogus" in said
    assert f"{command} --help`" in said


WITH_A_JOB = [name for name, arguments in OF_THE_API.items() if JOB in arguments]


@pytest.mark.parametrize("given", ["", "x", JOB[:-1], "'; drop table jobs; --", "\x1b[31m", "😀"])
@pytest.mark.parametrize("command", [*WITH_A_JOB, "export"])
def test_an_id_that_is_none(command: str, given: str) -> None:
    arguments = OF_THE_API.get(command, ["export", JOB, "--out", "x", "--client", "c"])
    refused([given if each == JOB else each for each in arguments], ExitCode.USAGE)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "127.0.0.1:8000",
        "ftp://there",
        "http://",
        "http://[::1",
        "http://a:b",
        "x y",
        "http://\x1b",
    ],
)
def test_an_address_that_is_none(url: str) -> None:
    refused(["jobs", "--url", url, "--key-file", "a.key"], ExitCode.USAGE)


FILES: dict[str, Callable[[Path], object]] = {
    "absent": lambda _: None,
    "a directory": Path.mkdir,
    "in no directory": lambda path: path.parent.write_text("a file"),
    "a loop": lambda path: path.symlink_to(path),
    "empty": Path.touch,
    "bytes": lambda path: path.write_bytes(bytes(range(256))),
    "zeros": lambda path: path.write_bytes(b"\0" * 5000),
    "a text": lambda path: path.write_text("just \x1b[31mwords"),
    "a list": lambda path: path.write_text("[1, 2]"),
    "half": lambda path: path.write_text('{"name": '),
    "deep": lambda path: path.write_text("[" * 20_000),
    "no day": lambda path: path.write_text("name: 2026-13-45"),
    "a number as a key": lambda path: path.write_text("1: 2"),
    "two keys": lambda path: path.write_text("tap_a_b\ntap_c_d\n"),
    "a letter": lambda path: path.write_text("tap_1a2b3c4d_\u00fc"),
}
USES = {
    "submit": ["submit", "BAD"],
    "fork": ["fork", JOB, "--round", "1", "--spec", "BAD"],
    "worker": ["worker", "BAD", "--key-file", "a.key", "--url", "http://127.0.0.1:1"],
    "export": ["export", JOB, "--out", "x", "--client-file", "BAD"],
    "key": ["jobs", "--url", "http://127.0.0.1:1", "--key-file", "BAD"],
}


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("use", USES)
def test_a_file_that_is_not_what_it_should_be(place: Path, use: str, file: str) -> None:
    name = "bad/file" if file == "in no directory" else "bad"
    FILES[file](place / name)
    if use == "key" and file in {"half", "deep", "a list"}:
        (place / name).write_text("several words")
    refused([name if each == "BAD" else each for each in USES[use]], ExitCode.USAGE)


def test_a_file_that_is_wrong_in_a_process_of_the_workers(place: Path) -> None:
    (place / "bad.yaml").write_text("client: c01\ntasks: {}\n")
    for file in ("nope.yaml", "a.key", "bad.yaml"):
        assert file in refused(["doctor", file], ExitCode.USAGE)
    assert "is no exported model" in refused(["predict", "nodir"], ExitCode.USAGE)
    there = ["--url", f"http://127.0.0.1:{free_port()}", "--key-file", "a.key"]
    refused(["shelf", "get", JOB, "--client-file", "bad.yaml", *there], ExitCode.USAGE)


@pytest.mark.parametrize("directory", ["absent", "a.key", "."])
def test_a_directory_without_clients(directory: str) -> None:
    refused(["up", "--clients", directory], ExitCode.USAGE)


def test_a_state_that_is_no_directory() -> None:
    refused(["up", "--state", "a.key"], ExitCode.USAGE)
    refused(["up", "--state", "a.key", "--detach"], ExitCode.USAGE)


@pytest.mark.parametrize(
    "arguments",
    [
        ["wach", JOB],
        ["--bogus"],
        ["watch", JOB, "again"],
        ["watch", JOB, "--give-up", "soon"],
        ["jobs", "--limit", "0"],
        ["jobs", "--limit", "many"],
        ["jobs", "--state", "lost"],
        ["jobs", "--url"],
        ["fork", JOB, "--round", "-1", "--spec", "job.json"],
        ["fork", JOB, "--spec", "job.json"],
        ["distil", JOB, "--weight", "x", "--url", "http://127.0.0.1:1", "--key", "k"],
        ["up", "--port", "70000"],
        ["up", "--workers", "0"],
        ["up", "--demo", "--clients", "."],
        ["up", "--json"],
        ["submit", "job.json", "--idempotency-key", "two words"],
        ["submit", "job.json", "--idempotency-key", "\u00e9"],
        ["predict"],
        ["predict", "x", "--beams", "0"],
        ["worker", "--planner", "job.json"],
        ["export", JOB, "--out", "x"],
        ["export", JOB, "--out", "x", "--variant", "best"],
        ["keys", "creat"],
    ],
)
def test_options_that_cannot_be(arguments: list[str]) -> None:
    refused(arguments, ExitCode.USAGE)


def test_without_a_command_the_help_says_which_there_are() -> None:
    for arguments in ([], ["keys"]):
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == ExitCode.USAGE
        assert "Usage:" in result.stdout
