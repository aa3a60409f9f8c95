"""`tapestry watch` while the real API is killed, is away, and comes back."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from cli.stack import ports
from cli.stack.processes import Child, Command, Processes
from shared.api_client import ApiClient
from tests.support.scripted import DEAD_REDIS, World, make_settings, make_world, offer

pytestmark = pytest.mark.integration
ROOT = Path(__file__).parents[2]


@dataclass
class Api:
    """The API in a process of its own, always at the same address."""

    processes: Processes
    env: dict[str, str]
    log: Path
    child: Child | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.env['TAPESTRY_PORT']}"

    def start(self) -> None:
        command = Command("the API", [sys.executable, "-m", "server.main"], self.env, ROOT)
        self.child = self.processes.start(command, self.log)
        with ApiClient(self.url, "none") as api:
            while not api.ready():
                assert not self.child.ended, self.child.failure()

    def kill(self) -> None:
        assert self.child is not None
        self.child.process.kill()
        self.processes.stop(self.child)


@pytest.fixture
def world(database_url: str, tmp_path: Path) -> Iterator[World]:
    """The same app in this process: what happens while the other one is away."""
    world = make_world(make_settings(database_url, tmp_path / "artifacts", DEAD_REDIS))
    with world.http:
        world.add_client("c1", offer())
        world.add_client("c2", offer())
        yield world


@pytest.fixture
def api(database_url: str, tmp_path: Path, world: World) -> Iterator[Api]:
    assert world
    env = {
        "TAPESTRY_DATABASE_URL": database_url,
        "TAPESTRY_REDIS_URL": DEAD_REDIS,
        "TAPESTRY_ARTIFACTS_DIR": str(tmp_path / "artifacts"),
        "TAPESTRY_PORT": str(ports.free_port()),
    }
    with Processes() as processes:
        found = Api(processes, env, tmp_path / "api.log")
        found.start()
        yield found


@pytest.fixture
def watch(api: Api, world: World, tmp_path: Path) -> Callable[..., "subprocess.Popen[str]"]:
    key = tmp_path / "viewer.key"
    key.write_text(world.viewer.key)

    def watch(job: str, *more: str) -> "subprocess.Popen[str]":
        there = ["--url", api.url, "--key-file", str(key)]
        return subprocess.Popen(
            [sys.executable, "-m", "cli", "watch", job, *there, *more],
            cwd=ROOT,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    return watch


def test_no_event_is_lost_or_told_twice(
    api: Api, world: World, watch: Callable[..., "subprocess.Popen[str]"]
) -> None:
    job = world.launch()
    with watch(job, "--json") as watching:
        assert watching.stdout is not None
        assert watching.stderr is not None
        first = [watching.stdout.readline()]
        world.plan(job)
        api.kill()
        assert "away since" in watching.stderr.readline()
        world.train("c1", 1.0)
        world.operator.ok("POST", f"/v1/jobs/{job}/cancel")
        world.advance(job)
        api.start()
        assert f"{api.url} is back after" in watching.stderr.readline()
        rest = watching.stdout.readlines()
        assert watching.wait() == 1
        assert watching.stderr.read().startswith("tapestry: the job ended cancelled: ")
    told = [json.loads(line)["id"] for line in [*first, *rest]]
    happened = world.viewer.ok("GET", f"/v1/jobs/{job}/events")["items"]
    assert told == [event["id"] for event in happened]
    assert happened[-1]["kind"] == "job.cancelled"


def test_a_key_that_was_revoked_meanwhile_ends_it(
    api: Api, world: World, watch: Callable[..., "subprocess.Popen[str]"]
) -> None:
    job = world.launch()
    with watch(job) as watching:
        assert watching.stdout is not None
        assert watching.stderr is not None
        assert "scripted: planning" in watching.stdout.readline()
        api.kill()
        assert "away since" in watching.stdout.readline()
        world.execute("UPDATE api_keys SET revoked_at = now() WHERE scope = 'viewer'")
        api.start()
        assert watching.wait() == 4
        assert "Send a valid key" in watching.stderr.read()


def test_it_gives_up_when_told_to(
    api: Api, world: World, watch: Callable[..., "subprocess.Popen[str]"]
) -> None:
    with watch(world.launch(), "--give-up", "1s") as watching:
        assert watching.stdout is not None
        assert watching.stderr is not None
        assert "scripted: planning" in watching.stdout.readline()
        api.kill()
        assert watching.wait() == 3
        assert "cannot be reached" in watching.stderr.read()
