"""A timer that is told to end finishes its step and begins no other."""

import threading
from datetime import timedelta

import pytest

from server.timer import Loop

pytestmark = pytest.mark.unit


def test_no_other_step_begins_once_it_is_told_to_end() -> None:
    running, go_on, second = threading.Event(), threading.Event(), threading.Event()

    def first() -> None:
        running.set()
        assert go_on.wait(10)

    loop = Loop("test", (first, second.set), timedelta(milliseconds=1))
    loop.start()
    assert running.wait(10)
    loop.end()
    go_on.set()
    loop.stop()
    assert not second.is_set()
