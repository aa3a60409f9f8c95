"""The how-to's scrape configuration and the dashboard, by a real Prometheus over a real job."""

import json
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from cli.stack import ports
from cli.stack.processes import Processes
from cli.stack.stack import Stack
from shared.keys import KeyCreate
from tests.support import documents, federation
from tests.support.patience import wait_for

PROMETHEUS = shutil.which("prometheus")
pytestmark = [
    pytest.mark.acceptance,
    pytest.mark.long,
    pytest.mark.timeout(600),
    pytest.mark.skipif(PROMETHEUS is None, reason="needs prometheus (apt install prometheus)"),
]
ROOT = Path(__file__).parents[2]
# What a job in which nothing goes wrong has nothing of.
OF_FAULTS = {"Refused uploads"}


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack whose processes all have metrics."""
    place = tmp_path_factory.mktemp("watched")
    files = federation.write(place / "clients")
    settings = federation.stack_settings(place, files, metrics_port=ports.free_port())
    with Processes() as own, Stack(own, settings) as running:
        running.wait_for_offers()
        yield running


def configured(stack: Stack, place: Path) -> Path:
    """The how-to's own configuration with this stack's addresses and key."""
    page = documents.read(ROOT / "docs" / "how-to" / "watching.md")
    [text] = [block for block in page.blocks if block.startswith("scrape_configs:")]
    found = yaml.safe_load(text)
    api, others = found["scrape_configs"]
    key = place / "prometheus.key"
    with stack.client() as client:
        key.write_text(client.create_key(KeyCreate(scope="viewer"), str(uuid.uuid4())).key)
    api["authorization"]["credentials_file"] = str(key)
    api["static_configs"][0]["targets"] = [stack.url.removeprefix("http://")]
    first = stack.settings.metrics_port
    assert first is not None
    others["static_configs"][0]["targets"] = [f"127.0.0.1:{first + n}" for n in range(4)]
    found["global"] = {"scrape_interval": "1s"}
    path = place / "prometheus.yml"
    path.write_text(yaml.safe_dump(found))
    return path


@pytest.fixture
def prometheus(watched: Stack, tmp_path: Path) -> Iterator[httpx.Client]:
    """One that reads the stack's metrics."""
    assert PROMETHEUS is not None
    where = f"127.0.0.1:{ports.free_port()}"
    files = [f"--config.file={configured(watched, tmp_path)}", f"--storage.tsdb.path={tmp_path}/db"]
    log = tmp_path / "log"
    with (
        log.open("wb") as out,
        subprocess.Popen(
            [PROMETHEUS, *files, f"--web.listen-address={where}"], stdout=out, stderr=out
        ) as child,
        httpx.Client(base_url=f"http://{where}/api/v1") as client,
    ):
        try:
            wait_for(lambda: child.poll() is None and up(client) == 5, why=log.read_text)
            yield client
        finally:
            child.terminate()


def up(client: httpx.Client) -> int:
    """How many processes it reads; none while it starts."""
    try:
        return sum(float(each["value"][1]) == 1 for each in asked(client, "up"))
    except (httpx.TransportError, httpx.HTTPStatusError):
        return 0


def asked(client: httpx.Client, query: str) -> list[dict[str, Any]]:
    answer = client.get("/query", params={"query": query}).raise_for_status().json()
    assert answer["status"] == "success", (query, answer)
    found: list[dict[str, Any]] = answer["data"]["result"]
    return found


def panels() -> list[tuple[str, str]]:
    """What the dashboard asks, each with its panel's title."""
    board = json.loads((ROOT / "docs" / "grafana" / "tapestry.json").read_text(encoding="utf-8"))
    return [(each["title"], t["expr"]) for each in board["panels"] for t in each.get("targets", ())]


def test_every_panel_shows_what_a_job_did(watched: Stack, prometheus: httpx.Client) -> None:
    with watched.client() as api:
        job = api.submit(federation.job("watched", rounds={"count": 3}), str(uuid.uuid4())).id
        wait_for(lambda: api.job(job).state == "succeeded", within_s=300)
    wait_for(lambda: asked(prometheus, 'max(tapestry_jobs{state="succeeded"}) == 1'))
    for title, query in panels():
        shown = asked(prometheus, f"last_over_time(({query})[5m:1s])")
        assert bool(shown) != (title in OF_FAULTS or "deaths" in query), (title, query, shown)
    for counted in ("aggregations", "outbox_sent", "worker_assignments", "worker_trainer_starts"):
        assert asked(prometheus, f"sum(increase(tapestry_{counted}_total[1h])) > 0"), counted
