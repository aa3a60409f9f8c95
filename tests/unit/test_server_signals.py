"""A server process that is told to end does so, also inside a callback that swallows exceptions."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit
ROOT = Path(__file__).parents[2]
TOLD_IN_A_CALLBACK = """
import os, signal, sys, weakref
from server.signals import exit_on_signals

exit_on_signals()
something = type("Something", (), {})()
told = weakref.ref(something, lambda _: os.kill(os.getpid(), signal.SIGTERM))
del something
sys.exit("it goes on")
"""


def test_sigterm_in_a_callback_ends_the_process() -> None:
    command = [sys.executable, "-c", TOLD_IN_A_CALLBACK]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
