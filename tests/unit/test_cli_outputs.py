"""The command's process: outputs that are closed, and Ctrl-C before it has begun."""

import builtins
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from cli import __main__ as command
from cli.output import SafeConsole, write_whole

pytestmark = pytest.mark.unit
ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("closed", [">&-", "2>&-"])
def test_what_would_go_to_an_output_that_is_closed_goes_nowhere(
    closed: str, tmp_path: Path
) -> None:
    line = f"exec '{sys.executable}' -m cli down --state '{tmp_path}' {closed}"
    done = subprocess.run(["sh", "-c", line], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("command", ["jobs --help", "", "down --help"])
def test_who_has_read_enough_of_a_table_or_of_help_is_content(command: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "cli", *command.split()],
            cwd=ROOT,
            stdout=writer,
            stderr=subprocess.PIPE,
            check=False,
        )
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_table_s_reader_who_has_gone_is_told_by_the_error() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    out = os.fdopen(writer, "w")
    with pytest.raises(BrokenPipeError):
        SafeConsole(file=out).print("a line")
    os.dup2(os.open(os.devnull, os.O_WRONLY), writer)
    out.close()


def test_what_is_no_file_is_written_into(tmp_path: Path) -> None:
    pipe, target, link = tmp_path / "pipe", tmp_path / "target", tmp_path / "link"
    os.mkfifo(pipe)
    with ThreadPoolExecutor() as pool:
        read = pool.submit(pipe.read_text)
        write_whole(pipe, "a page")
        assert read.result() == "a page"
    assert pipe.is_fifo()
    target.write_text("before")
    link.symlink_to(target)
    write_whole(link, "after")
    assert link.is_symlink()
    assert target.read_text() == "after"


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
