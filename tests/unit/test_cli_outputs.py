"""The command's process: outputs that are closed, and Ctrl-C before it has begun."""

import builtins
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cli import __main__ as command

pytestmark = pytest.mark.unit
ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("closed", [">&-", "2>&-"])
def test_what_would_go_to_an_output_that_is_closed_goes_nowhere(
    closed: str, tmp_path: Path
) -> None:
    line = f"exec '{sys.executable}' -m cli down --state '{tmp_path}' {closed}"
    done = subprocess.run(["sh", "-c", line], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_ctrl_c_ends_a_command_that_is_still_being_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    load = builtins.__import__

    def stopped(name: str, *more: Any) -> Any:
        if name == "cli.main":
            raise KeyboardInterrupt
        return load(name, *more)

    monkeypatch.setattr(builtins, "__import__", stopped)
    with pytest.raises(SystemExit) as ended:
        command.main()
    assert ended.value.code == 130
