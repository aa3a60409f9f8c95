"""A whole local stack over the small federation, for each process of pytest-xdist."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.stack.processes import Processes
from cli.stack.settings import StackSettings
from cli.stack.stack import Stack
from tests.support import federation


@pytest.fixture(scope="session")
def client_files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return federation.write(tmp_path_factory.mktemp("a federation"))


@pytest.fixture(scope="session")
def stack(server_directory: Path, client_files: list[Path]) -> Iterator[Stack]:
    settings = StackSettings(
        state=server_directory / "acceptance",
        logs=server_directory / "acceptance-logs",
        client_files=tuple(client_files),
        durable=False,
    )
    with Processes() as own, Stack(own, settings) as running:
        running.wait_for_offers()
        yield running
