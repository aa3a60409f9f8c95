"""docs/how-to/http-api.md against a real API: its requests and its program, as they stand there."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import documents
from tests.support.documents import ROOT
from tests.support.scripted import World, job_spec
from tests.support.serving import served

pytestmark = pytest.mark.integration
PAGE = documents.read(ROOT / "docs" / "how-to" / "http-api.md")
[PROGRAM] = [block for block in PAGE.blocks if block.startswith("import ")]
SHELL = [block for block in PAGE.blocks if block != PROGRAM]
ADDRESS, KEY = "http://127.0.0.1:8000", Path(".tapestry/local/keys/admin.key")


@pytest.fixture
def env(pair: World, tmp_path: Path) -> dict[str, str]:
    """What commands find here: the key, and an example that is a job for the API's clients."""
    example = tmp_path / "examples" / "jobs" / "demo.yaml"
    example.parent.mkdir(parents=True)
    example.write_text(json.dumps(job_spec(["c1", "c2"])))
    commands = tmp_path / "bin"
    commands.mkdir()
    (commands / "python3").symlink_to(sys.executable)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    (tmp_path / KEY).parent.mkdir(parents=True)
    (tmp_path / KEY).write_text(pair.operator.key)
    return {**os.environ, "PYTHONPATH": str(ROOT), "PATH": path}


@pytest.fixture
def shell(pair: World) -> Iterator[list[str]]:
    """What the page has for a shell, with where this API is in the place of the page's."""
    assert ADDRESS in SHELL[0]
    assert str(KEY) in SHELL[0]
    with served(pair.http.app, lifespan="off") as url:
        yield [SHELL[0].replace(ADDRESS, url), *SHELL[1:]]


def run(place: Path, env: dict[str, str], command: list[str], given: str) -> str:
    done = subprocess.run(
        command, input=given, cwd=place, env=env, text=True, capture_output=True, timeout=120,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def _first(text: str) -> tuple[Any, int]:
    """The first JSON value of a text, and where it ends."""
    found: tuple[Any, int] = json.JSONDecoder().raw_decode(text)
    return found


def test_every_request_and_the_program_do_what_the_page_says(
    pair: World, env: dict[str, str], shell: list[str], tmp_path: Path
) -> None:
    bash = ["bash", "-euo", "pipefail"]
    said = run(tmp_path, env, bash, "\necho; echo ---\n".join([*shell, 'echo "$JOB"']))
    _, _, _, refused, rounds, events, clients, *rest = said.split("\n---\n")
    attendance, unchanged, partial, table, job = rest
    assert json.loads(refused)["code"] == "invalid"
    assert json.loads(rounds)["items"] == []
    (everything, end), (newest, _) = map(_first, (events, events[_first(events)[1] :]))
    first, *_ = everything["items"]
    assert first["kind"] == "job.submitted"
    assert newest["items"] == [each for each in everything["items"] if "job." in each["kind"]][::-1]
    streamed = events[end:]
    assert f"id: {first['id']}\ndata: " in streamed
    page = [json.loads((tmp_path / "clients.json").read_text()), json.loads(clients)]
    assert [item["id"] for each in page for item in each["items"]] == ["c1", "c2"]
    assert json.loads(attendance) == {"items": [], "next": None}
    assert table.strip() == "round,client,engaged"
    assert unchanged.strip() == "status 304"
    assert [set(item) for item in json.loads(partial)["items"]] == [{"id", "state"}]
    [launched] = pair.viewer.ok("GET", "/v1/jobs")["items"]
    assert launched["id"] == job.strip()

    pair.operator.ok("POST", f"/v1/jobs/{launched['id']}/cancel")
    pair.advance(launched["id"])
    program = f"{shell[0]}\npython3 - <<'END'\n{PROGRAM}\nEND\n"
    told = run(tmp_path, env, bash, program)
    assert "job.submitted" in told.splitlines()[0]
    assert told.splitlines()[-1] == "cancelled"
    assert len(pair.viewer.ok("GET", "/v1/jobs")["items"]) == 1, "one key launches one job"
