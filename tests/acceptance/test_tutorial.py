"""The commands of docs/tutorial.md, run as they stand there, but for the installing."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = [pytest.mark.acceptance, pytest.mark.long, pytest.mark.timeout(900)]
ROOT = Path(__file__).parents[2]
INSTALLS = ("git clone", "make environment", "source")


def commands() -> str:
    """The blocks of the page, one behind the other."""
    text = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
    lines = [line.removeprefix("    ") for line in text.splitlines() if line.startswith("    ")]
    return "\n".join(line for line in lines if not line.startswith(INSTALLS)) + "\n"


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[dict[str, str]]:
    """An environment in which `tapestry` is this checkout's; its stack is ended at last."""
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    command = tmp_path / "bin" / "tapestry"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m cli "$@"\n')
    command.chmod(0o755)
    path = f"{command.parent}{os.pathsep}{os.environ['PATH']}"
    env = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)}
    try:
        yield env
    finally:
        subprocess.run(["tapestry", "down"], cwd=tmp_path, env=env, capture_output=True, check=True)


def test_every_command_does_what_the_page_says(tmp_path: Path, shell: dict[str, str]) -> None:
    done = subprocess.run(
        ["bash", "-euo", "pipefail"],
        input=commands(),
        cwd=tmp_path,
        env=shell,
        text=True,
        capture_output=True,
        timeout=840,
        check=False,
    )
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
