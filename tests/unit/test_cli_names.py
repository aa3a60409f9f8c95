"""Names of others are shown and never run: escapes, markup, directions, quotes, emoji."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from rich.table import Table
from rich.text import Text
from typer.testing import CliRunner

from cli.main import app
from cli.output import SafeConsole
from server import examples
from shared.terminal import escaped, harmless, one_line
from tests.support.answering import answering

pytestmark = pytest.mark.unit
ROOT = Path(__file__).parents[2]
JOB = UUID(examples.JOB["id"])
OBEYED = "\x1b[31m\x1b]8;;http://there\x07\x9b2J\x00\r\x7f\u202e\u2066"
SHOWN = "[31m]8;;http://there2J"
NAMES = {
    "escapes": (f"red {OBEYED} job", f"red {SHOWN} job"),
    "markup": ("[bold red]job[/] :smile:", "[bold red]job[/] :smile:"),
    "open markup": ("[/nothing]", "[/nothing]"),
    "quotes": ('it\'s "one" `rm -rf` $(x)', 'it\'s "one" `rm -rf` $(x)'),
    "emoji": ("🫁 scans 👩‍⚕️", "🫁 scans 👩‍⚕️"),
    "script": ("<script>alert(1)</script>", "<script>alert(1)</script>"),
    "writing": ("легкие 肺 رئة", "легкие 肺 رئة"),
}
COMMANDS = {
    "jobs": (["jobs"], "/v1/jobs", "items.0.name"),
    "report": (["report", str(JOB)], f"/v1/jobs/{JOB}/report", "name"),
    "benefits": (["benefits", str(JOB)], f"/v1/jobs/{JOB}/benefits", "sentence"),
    "watch": (["watch", str(JOB)], f"/v1/jobs/{JOB}", "name"),
    "why": (["why", str(JOB)], f"/v1/jobs/{JOB}/waiting", "items.0.waiting.sentence"),
    "rounds": (["rounds", str(JOB)], f"/v1/jobs/{JOB}/attendance", "items.0.missing.0.reason"),
}
ANSWERS: dict[str, tuple[int, Any]] = {
    "/v1/jobs": (200, examples.JOBS),
    f"/v1/jobs/{JOB}/report": (200, examples.REPORT),
    f"/v1/jobs/{JOB}/benefits": (200, examples.BENEFITS),
    f"/v1/jobs/{JOB}": (200, {**examples.JOB_DETAIL, "state": "succeeded", "round": 0}),
    f"/v1/jobs/{JOB}/rounds": (200, {"items": []}),
    f"/v1/jobs/{JOB}/waiting": (200, examples.WAITING),
    f"/v1/jobs/{JOB}/attendance": (200, examples.ATTENDANCE),
}


def changed(answer: Any, path: str, value: str) -> Any:
    """The answer with another value at `a.0.b`."""
    whole = json.loads(json.dumps(answer))
    *parts, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    found = whole
    for part in parts:
        found = found[part]
    found[last] = value
    return whole


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[httpx.Request]:
    return answering(monkeypatch, ANSWERS)


@pytest.mark.usefixtures("asked")
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("command", COMMANDS)
def test_a_name_is_shown_as_it_is_and_obeyed_nowhere(
    command: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments, path, field = COMMANDS[command]
    given, shown = NAMES[name]
    monkeypatch.setitem(ANSWERS, path, (200, changed(ANSWERS[path][1], field, given)))
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert not set(result.stdout) & set(OBEYED) - set(SHOWN)
    for word in shown.split():  # a table may break a sentence
        assert word in result.stdout


@pytest.mark.usefixtures("asked")
def test_json_keeps_a_name_and_has_nothing_to_obey(monkeypatch: pytest.MonkeyPatch) -> None:
    given = f"red {OBEYED} 🫁"
    monkeypatch.setitem(ANSWERS, "/v1/jobs", (200, changed(examples.JOBS, "items.0.name", given)))
    said = CliRunner().invoke(app, ["jobs", "--json"]).stdout
    assert not set(said) & set(OBEYED) - set(SHOWN)
    assert "🫁" in said
    assert json.loads(said)["items"][0]["name"] == given


def test_a_terminal_gets_our_colours_and_not_those_of_others() -> None:
    there = io.StringIO()
    console = SafeConsole(file=there, force_terminal=True, color_system="standard", width=60)
    table = Table(title=f"t{OBEYED}")
    table.add_row(f"a{OBEYED}b", Text(f"c{OBEYED}", style="green"))
    console.print(table)
    said = there.getvalue()
    assert "\x1b[32mc" in said
    assert "\x1b[31m" not in said
    assert not set(said) & set(OBEYED) - set(SHOWN) - {"\x1b"}


def test_texts_are_harmless_lines() -> None:
    assert harmless(f"a\n{OBEYED}\u2028b") == f"a\n{SHOWN}b"
    assert one_line("a\n\n b\tc\x1b[0m \u2029d") == "a b c[0m d"
    assert escaped('{"a": "\x9b\u202e🫁"}\n') == '{"a": "\\u009b\\u202e🫁"}\n'


def tapestry(*arguments: str, **env: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "cli", *arguments],
        cwd=ROOT,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        timeout=120,
    )


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_a_terminal_that_lacks_a_letter_is_shown_another(encoding: str) -> None:
    done = tapestry("submit", "🫁é.yaml", PYTHONIOENCODING=encoding)
    assert done.returncode == 2
    assert done.stderr.startswith("tapestry: ")
    assert done.stderr.count("\n") == 1


def test_a_full_disk_and_a_reader_who_is_gone_are_no_tracebacks() -> None:
    command = [sys.executable, "-m", "cli"]
    full = ["sh", "-c", '"$@" > /dev/full', "sh", *command, "--help"]
    done = subprocess.run(full, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "tapestry: [Errno 28] No space left on device: free some disk space or check the path"
    ]
    gone = ["sh", "-c", '"$@" | true', "sh", *command, "--help"]
    done = subprocess.run(gone, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_json_is_json_in_whatever_encoding_it_goes_out(
    encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(io.BytesIO(), encoding=encoding))
    said = '{"name": "é 😀 日本\x9b"}'
    assert json.loads(escaped(said).encode(encoding)) == json.loads(said)
    assert ("é" in escaped(said)) == (encoding == "utf-8")
