"""What the server's processes measure of themselves while a job runs, and who reads it."""

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import psycopg
import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from cli.stack.ports import free_port
from server.aggregation import Average
from server.auth import Principal, Watchers, create_key
from server.columns import Scope
from server.jobs.advance import advance
from server.timer import Loop
from server.watching.requests import UNROUTED
from shared.states import AssignmentState, JobState
from tests.conftest import Databases
from tests.support.patience import wait_for
from tests.support.scripted import Caller, World, component_bytes, sha
from worker.watching import METERS

pytestmark = pytest.mark.integration

DOCS = Path(__file__).parents[3] / "docs"
Samples = dict[str, float]


def parsed(page: str) -> Samples:
    """The samples of a page by name and labels, as in `tapestry_jobs{state=running}`."""
    found = {}
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            labels = ",".join(f"{k}={v}" for k, v in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


def scrape(world: World, caller: Caller | None = None) -> Samples:
    answer = (caller or world.viewer)("GET", "/metrics")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/plain; version=")
    return parsed(answer.text)


def series(samples: Samples, name: str) -> set[str]:
    return {each for each in samples if each.partition("{")[0] == name}


def test_what_postgres_holds_is_said_while_a_job_runs(pair: World) -> None:
    before = scrape(pair)
    assert before["tapestry_database_up"] == 1
    assert series(before, "tapestry_jobs") == {f"tapestry_jobs{{state={s}}}" for s in JobState}
    assert before["tapestry_artifacts"] == before["tapestry_oldest_wait_seconds{kind=train}"] == 0
    job = pair.launch()
    assert scrape(pair)["tapestry_jobs{state=planning}"] == 1
    pair.plan(job)
    pair.train("c1", 1.0)
    pair.execute("UPDATE assignments SET created_at = now() - interval '1 hour'")
    running = scrape(pair)
    assert running["tapestry_jobs{state=running}"] == 1
    assert running["tapestry_rounds{phase=plan,state=published}"] == 1
    assert running["tapestry_rounds{phase=train,state=open}"] == 1
    assert running["tapestry_assignments{kind=train,state=accepted}"] == 1
    assert running["tapestry_assignments{kind=train,state=queued}"] == 1
    assert running["tapestry_oldest_wait_seconds{kind=plan}"] == 0
    assert running["tapestry_artifacts"] == pair.value("SELECT count(*) FROM artifacts")
    assert running["tapestry_artifact_bytes"] == pair.value("SELECT sum(n_bytes) FROM artifacts")
    assert running["tapestry_clients"] == 2
    assert running["tapestry_clients_present"] == 2
    assert running["tapestry_outbox_waiting"] > 0
    pair.execute("UPDATE assignments SET not_before = now() - interval '30 minutes'")
    assert scrape(pair)["tapestry_oldest_wait_seconds{kind=train}"] // 60 == 30
    pair.operator.ok("POST", f"/v1/jobs/{job}/pause")
    assert scrape(pair)["tapestry_oldest_wait_seconds{kind=train}"] == 0  # nobody may claim it
    assert series(running, "tapestry_assignments") == series(before, "tapestry_assignments")


def test_a_suspect_assignment_waits_since_its_lease_was_missed(pair: World) -> None:
    pair.plan(pair.launch())
    assert pair.clients["c1"].claim()
    pair.train("c2", 1.0)
    pair.execute(
        "UPDATE assignments SET state = 'suspect', created_at = now() - interval '2 hours', "
        "not_before = 'epoch', lease_until = now() - interval '5 minutes' WHERE state = 'leased'"
    )
    found = scrape(pair)
    assert found[f"tapestry_assignments{{kind=train,state={AssignmentState.SUSPECT}}}"] == 1
    assert found["tapestry_oldest_wait_seconds{kind=train}"] // 60 == 5
    pair.execute("UPDATE assignments SET state = 'leased' WHERE state = 'suspect'")


def test_requests_are_counted_by_route_and_nobody_outside_makes_series(pair: World) -> None:
    pair.viewer("GET", "/v1/jobs")
    pair.viewer("GET", f"/v1/jobs/{uuid4()}")
    pair.clients["c1"].claim()  # the gate answers by itself
    known = scrape(pair)
    jobs = "tapestry_http_requests_total{method=GET,route=/v1/jobs,status=200}"
    one = "tapestry_http_requests_total{method=GET,route=/v1/jobs/{job_id},status=404}"
    claim = "tapestry_http_requests_total{method=POST,route=/v1/assignments:claim,status=204}"
    assert (known[jobs], known[one], known[claim]) == (1, 1, 1)
    for odd in ("/v1/nothing", "/v1/jobs/../x", "/metrics/", "/v1/jobs/%0A"):
        pair.http.get(f"{odd}{uuid4()}")
        pair.viewer("GET", f"{odd}{uuid4()}")
        pair.viewer(f"M{uuid4().hex[:6]}", f"{odd}{uuid4()}")
    new = {each for each in scrape(pair) if "route=" in each} - set(known)
    templates = {found[1] for each in new if (found := re.search(r"route=([^,]*?)(,|}$)", each))}
    assert templates <= {UNROUTED, "/v1/jobs/{job_id}", "/metrics"}
    methods = {found[1] for each in new if (found := re.search(r"method=([^,}]*)", each))}
    assert methods <= {"GET", "(other)"}


def test_bytes_and_refused_uploads_are_counted(pair: World) -> None:
    pair.plan(pair.launch())
    claim = pair.clients["c1"].claim()
    assert claim is not None
    name, *_ = claim["components"]
    data = component_bytes(1, 2, float("nan"))
    before = scrape(pair)
    assert pair.clients["c1"].upload(claim, {name: data}).status_code == 422
    after = scrape(pair)
    received = "tapestry_http_received_bytes_total{route=/v1/uploads/{upload_id}}"
    assert after[received] - before[received] == len(data)
    assert after["tapestry_uploads_refused_total{code=not_finite}"] == 1
    start = claim["manifest"][name]
    answer = pair.clients["c1"]("GET", f"/v1/artifacts/{start}")
    sent = "tapestry_http_sent_bytes_total{route=/v1/artifacts/{sha256}}"
    assert sha(answer.content) == start
    assert scrape(pair)[sent] == len(answer.content)


@contextmanager
def postgres_away(databases: Databases, url: str) -> Iterator[None]:
    """The database takes nobody, and has sent away whom it had."""
    name = url.rpartition("/")[2]
    address = databases.server.url("postgres").replace("postgresql+psycopg:", "postgresql:")
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false".encode())
        query = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
        connection.execute(query, (name,))
        try:
            yield
        finally:
            connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true".encode())


def test_without_postgres_a_scrape_says_so_instead_of_failing(
    world: World, databases: Databases, database_url: str
) -> None:
    assert scrape(world)["tapestry_database_up"] == 1
    with postgres_away(databases, database_url):
        found = scrape(world)
        assert found["tapestry_database_up"] == 0
        assert not series(found, "tapestry_jobs")  # nothing is said of what nobody knows
        assert series(found, "tapestry_http_requests_total")
        assert world.viewer("GET", "/v1/jobs").status_code == 503  # for the metrics alone
        assert world.operator("GET", "/metrics").status_code == 503  # it has not read them yet
        assert world.http.get("/metrics").status_code == 503
    assert scrape(world)["tapestry_database_up"] == 1


def test_a_key_that_was_revoked_reads_no_metrics_later(
    world: World, databases: Databases, database_url: str
) -> None:
    with world.context.sessions.begin() as session:
        caller = Caller(world.http, create_key(session, Scope.VIEWER))
    scrape(world, caller)
    prefix = caller.key.split("_")[1]
    world.execute("UPDATE api_keys SET revoked_at = now() WHERE prefix = :p", p=prefix)
    assert caller("GET", "/metrics").status_code == 401
    with postgres_away(databases, database_url):
        assert caller("GET", "/metrics").status_code == 503


def test_a_client_reads_no_metrics_without_postgres_either(
    pair: World, databases: Databases, database_url: str
) -> None:
    assert pair.clients["c1"]("GET", "/metrics").status_code == 403
    with postgres_away(databases, database_url):
        assert pair.clients["c1"]("GET", "/metrics").status_code == 503


def test_the_keys_that_watch_most_are_remembered_longest() -> None:
    watchers = Watchers("/metrics")
    principal = Principal(uuid4(), Scope.VIEWER, None)
    for number in range(20):
        watchers.remember("/metrics", "Bearer always", principal)
        watchers.remember("/metrics", f"Bearer once-{number}", principal)
        watchers.remember(
            "/metrics", f"Bearer worker-{number}", Principal(uuid4(), Scope.CLIENT, "c")
        )
        watchers.remember("/v1/jobs", f"Bearer elsewhere-{number}", principal)
    assert watchers.recall("/metrics", "bearer  always") == principal
    assert watchers.recall("/metrics", "Bearer once-19") == principal
    for key in ("once-0", "worker-19", "elsewhere-19", ""):
        assert watchers.recall("/metrics", f"Bearer {key}") is None
    assert watchers.recall("/v1/jobs", "Bearer always") is None


def test_the_coordinator_counts_its_averages_and_its_turns(pair: World) -> None:
    job = pair.trained()
    registry = pair.context.meters.registry
    pair.advance(job)
    assert registry.get_sample_value("tapestry_aggregations_total", {"end": "made"}) == 1
    assert registry.get_sample_value("tapestry_aggregation_seconds_count") == 1
    sizes = pair.value(
        "SELECT sum(n_bytes) FROM uploaded_components u JOIN assignments a "
        "ON a.id = u.assignment_id WHERE a.kind = 'train'"
    )
    assert registry.get_sample_value("tapestry_aggregated_bytes_total") == sizes
    for name in pair.clients:
        pair.train(name, 2.0)

    def fails(*_: object, **__: object) -> Average:
        raise OSError("the disk is gone")

    advance(replace(pair.context, aggregate=fails), UUID(job))
    assert registry.get_sample_value("tapestry_aggregations_total", {"end": "failed"}) == 1


def test_a_timer_counts_its_turns_and_the_steps_that_fail(world: World) -> None:
    meters = world.context.meters

    def value(name: str) -> float:
        return meters.registry.get_sample_value(name, {"timer": "test"}) or 0

    loop = Loop("test", (lambda: 1 / 0,), timedelta(milliseconds=1), meters)
    loop.start()
    wait_for(lambda: value("tapestry_timer_turn_seconds_count") >= 2)
    loop.stop()
    assert value("tapestry_timer_steps_failed_total") >= 2


def test_a_coordinator_s_metrics_are_read_at_its_own_port(world: World, tmp_path: Path) -> None:
    settings, port, log = world.context.settings, free_port(), tmp_path / "log"
    environment = {
        **os.environ,
        "TAPESTRY_DATABASE_URL": settings.database_url,
        "TAPESTRY_REDIS_URL": settings.redis_url,
        "TAPESTRY_ARTIFACTS_DIR": str(settings.artifacts_dir),
        "TAPESTRY_METRICS_PORT": str(port),
        "TAPESTRY_LOG": "json",
    }
    command = [sys.executable, "-m", "server.background"]
    with log.open("w") as file:
        process = subprocess.Popen(command, env=environment, stdout=file, stderr=file)
    try:
        wait_for(lambda: "metrics are at" in log.read_text())

        def turns() -> Samples:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
                return parsed(answer.read().decode())

        wait_for(lambda: turns().get("tapestry_timer_turn_seconds_count{timer=advance}", 0) > 0)
        found = turns()
        assert found["tapestry_database_up"] == 1
        assert found["tapestry_outbox_waiting"] == 0
        assert found["tapestry_database_connections{state=most}"] == 20
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(45) == 0
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert {line["process"] for line in lines} == {"coordinator"}
    assert lines[0]["message"] == "the coordinator begins"


def families(world: World) -> set[str]:
    """The names of all series that a process of ours has, as PromQL writes them."""
    pages = [world.viewer("GET", "/metrics").text, generate_latest(METERS.registry).decode()]
    names = set()
    for page in pages:
        for family in text_string_to_metric_families(page):
            suffixes = {"counter": ["_total"], "summary": ["_sum", "_count"]}.get(family.type, [""])
            if family.type == "histogram":
                suffixes = ["_bucket", "_sum", "_count"]
            names |= {f"{family.name}{suffix}" for suffix in suffixes}
    return names


def test_the_dashboard_asks_for_metrics_that_there_are(world: World) -> None:
    board = json.loads((DOCS / "grafana" / "tapestry.json").read_text(encoding="utf-8"))
    asked = [t["expr"] for panel in board["panels"] for t in panel.get("targets", ())]
    assert len(asked) > 30
    names = {name for expr in asked for name in re.findall(r"\b(?:tapestry|process)_\w+", expr)}
    assert names - families(world) - {"tapestry"} == set()
    ids = [panel["id"] for panel in board["panels"]]
    assert len(ids) == len(set(ids))


def test_the_page_names_every_metric_of_ours_and_no_other(world: World) -> None:
    page = (DOCS / "how-to" / "watching.md").read_text(encoding="utf-8")
    ours = {
        re.sub(r"_(bucket|sum|count)$", "", name)
        for name in families(world)
        if name.startswith("tapestry_")
    }
    named = set(re.findall(r"`(tapestry_\w+)`", page))
    assert named == ours
