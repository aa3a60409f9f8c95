"""A whole local stack over the small federation, for each process of pytest-xdist."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.stack.processes import Processes
from cli.stack.stack import Stack
from tests.support import federation


@pytest.fixture(scope="session")
def client_files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return federation.write(tmp_path_factory.mktemp("a federation"))


@pytest.fixture(scope="session")
def stack(server_directory: Path, client_files: list[Path]) -> Iterator[Stack]:
    settings = federation.stack_settings(server_directory / "acceptance", client_files)
    with Processes() as own, Stack(own, settings) as running:
        running.wait_for_offers()
        yield running
