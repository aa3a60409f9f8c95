"""Averages beside the coordinator's timers: a few at once, and their errors are only logged."""

import threading
from functools import partial

import pytest

from server.aggregation.beside import AtOnce, Beside

pytestmark = pytest.mark.unit


def fail() -> None:
    raise ValueError("a bug")


def test_it_is_busy_while_as_many_run_as_may() -> None:
    goes_on = threading.Event()
    with Beside() as beside:
        while not beside.busy:
            beside.run(partial(goes_on.wait, 60))
        goes_on.set()
    assert not beside.busy


def test_an_error_is_logged_and_leaves_room(caplog: pytest.LogCaptureFixture) -> None:
    with Beside() as beside:
        beside.run(fail)
    assert "a round could not be averaged" in caplog.text
    assert not beside.busy


def test_at_once_raises() -> None:
    with pytest.raises(ValueError, match="a bug"):
        AtOnce().run(fail)
    assert not AtOnce.busy
