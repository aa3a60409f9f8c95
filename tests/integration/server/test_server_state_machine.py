"""The server beside a reference: whatever happens in whatever order, every invariant holds.

The long form is `make state-machine`.
"""

from pathlib import Path

import pytest

from tests.support.machine.arena import arena
from tests.support.machine.base import Figures
from tests.support.machine.play import play

pytestmark = pytest.mark.integration

_RUNS = 4


@pytest.mark.timeout(900)  # finding one costs a minute, making it small costs five more
def test_no_order_of_events_breaks_an_invariant(databases: object, tmp_path: Path) -> None:
    url = databases.create(migrated=False)  # type: ignore[attr-defined]  # conftest's own class
    figures = Figures()
    with arena(url, tmp_path / "artifacts") as made:
        play(made, figures, number=1, runs=_RUNS)
    databases.drop(url)  # type: ignore[attr-defined]  # conftest's own class
    assert figures.ends["runs"] >= _RUNS / 2, "most runs are whole"
    assert figures.checks["versions"] > _RUNS
    assert len(figures.faults) == 4
