"""The README's stack of one's own: its commands as they stand there, over a shortened job."""

import json
import re
from pathlib import Path

import pytest

from cli.demo.preparing import EXAMPLE
from shared import spec_files
from shared.job_spec import JobSpec
from tests.support import documents
from tests.support.documents import ROOT
from tests.support.walking import shell

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(900)]
JOB = ROOT / "examples" / "jobs" / "demo.yaml"
SHORTER = {"count: 14": "count: 2", "local_steps: 10": "local_steps: 2", "steps: 15": "steps: 2"}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory with a space in its path, in which the packages need not be downloaded again."""
    place = tmp_path / "a place"
    (place / ".tapestry").mkdir(parents=True)
    cache = ROOT / ".tapestry" / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    (place / ".tapestry" / "cache").symlink_to(cache)
    return place


def commands() -> str:
    """The block that begins with the stack of the demonstration."""
    page = documents.read(ROOT / "README.md")
    [block] = [block for block in page.blocks if block.startswith("tapestry up --demo")]
    return f"{block}\n"


def test_the_job_is_the_demonstrations() -> None:
    assert JOB.read_bytes() == (EXAMPLE / "tap.yaml").read_bytes()
    assert "tapestry submit examples/jobs/demo.yaml" in commands()


@pytest.mark.long
def test_every_client_of_the_job_is_hosted_by_the_stack_of_the_demonstration(place: Path) -> None:
    spec = spec_files.load(JobSpec, JOB)
    with shell(place) as here:
        up = here.run("tapestry", "up", "--demo", "--detach", "--json")
        assert up.returncode == 0, up.stderr
        told = json.loads(up.stdout)
        assert set(told["clients"]) == set(spec.clients)
        page = here.run("tapestry", "page", "--json")
        assert json.loads(page.stdout)["link"].startswith(f"{told['url']}/signin#tap_")
        listed = here.run("tapestry", "clients").stdout.splitlines()[1:]
        assert {line.split()[0] for line in listed if "there" in line} == set(spec.clients)
        tried = here.run("tapestry", "submit", str(JOB), "--dry-run", "--json")
        assert json.loads(tried.stdout)["verdict"] == "can_run", tried.stderr
        down = here.run("tapestry", "down", "--json")
        assert json.loads(down.stdout) == {"state": ".tapestry/local", "ended": True}


@pytest.mark.long
def test_every_command_does_what_the_page_says(place: Path) -> None:
    text = JOB.read_text()
    for long, short in SHORTER.items():
        assert long in text
        text = text.replace(long, short)
    (place / "examples" / "jobs").mkdir(parents=True)
    (place / "examples" / "jobs" / "demo.yaml").write_text(text)
    with shell(place) as here:
        done = here.walk(commands(), within_s=840)
    assert done.returncode == 0, done.stderr
    said = done.stdout
    assert re.search(r"http://127\.0\.0\.1:\d+/signin#tap_\w+", said)
    assert "demo-tap: succeeded, round 2 of 2" in said
    assert "skill" in (place / "out.html").read_text(encoding="utf-8")
    assert {"report.json", "losses.csv"} <= {path.name for path in (place / "results").iterdir()}
    assert re.search(r"^(acq|crude|earn|grain|interest|money-fx|ship|trade)$", said, re.MULTILINE)
    assert said.endswith("the stack with the state in .tapestry/local has ended\n")
