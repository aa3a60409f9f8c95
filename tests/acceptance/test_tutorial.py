"""The commands of docs/tutorial.md, run as they stand there, but for the installing."""

import re
from pathlib import Path

import pytest

from tests.support.documents import ROOT
from tests.support.walking import shell

pytestmark = [pytest.mark.acceptance, pytest.mark.long, pytest.mark.timeout(900)]
INSTALLS = ("git clone", "make environment", "source")


def commands() -> str:
    """The blocks of the page, one behind the other."""
    text = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
    lines = [line.removeprefix("    ") for line in text.splitlines() if line.startswith("    ")]
    return "\n".join(line for line in lines if not line.startswith(INSTALLS)) + "\n"


def test_every_command_does_what_the_page_says(tmp_path: Path) -> None:
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    with shell(tmp_path) as here:
        done = here.walk(commands(), within_s=840)
    assert done.returncode == 0, done.stderr
    said = done.stdout
    assert "warning: client north: mail.csv line 43: body is empty" in said
    assert re.search(r"^the job can run", said, re.MULTILINE)
    for name in ("my first job", "each alone"):
        assert re.search(rf"{name}: succeeded, round 6 of 6", said)
    assert "distilled" in said
    assert re.search(r"^(complaint|order|question)$", said, re.MULTILINE)
    assert "http" in (tmp_path / "mine" / "report.html").read_text(encoding="utf-8")
    model = tmp_path / "mine" / "north-model"
    assert {"README.md", "config.json", "model.safetensors"} <= {f.name for f in model.iterdir()}
    assert said.endswith("the stack with the state in .tapestry/local has ended\n")
