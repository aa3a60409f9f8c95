"""A coordinator or an API that is killed at any point changes nothing of any outcome.

Every eighth point at its first hit, behind the one commit and before another; `make crash-points`
has all of them, their second hit too, and each point alone.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from shared.crash_points import API_POINTS, COORDINATOR_POINTS
from tests.support.disturbed import Disturbed, disturbed

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(1800)]

WITHIN_S = 1200  # of a machine that others use; alone it takes a tenth


@pytest.fixture(scope="module")
def stack(server_directory: Path, client_files: list[Path]) -> Iterator[Disturbed]:
    with disturbed(server_directory, client_files) as running:
        yield running


@pytest.mark.parametrize(
    ("name", "points"), [("coordinator", COORDINATOR_POINTS), ("api", API_POINTS)]
)
def test_a_server_killed_at_one_point_after_the_other_changes_no_outcome(
    stack: Disturbed, name: str, points: Sequence[str]
) -> None:
    stack.server(name, [f"{point}:1" for point in points[::8]], WITHIN_S)
    stack.check()
