"""Traces: an assignment is one, over its claim, the worker's phases and its requests."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from uuid import UUID

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from server.timer import advance_safely
from shared import tracing
from shared.api_client import ApiClient
from shared.artifacts import ArtifactStore
from shared.results import TrainResult
from tests.support.scripted import World, component_bytes
from tests.support.serving import served
from worker.attempt import Member
from worker.host import Host
from worker.spent import Spent
from worker.supervision import Report
from worker.trainer_process import TrainerProcess
from worker.work import Computed, Request
from worker.workplace import Workplace

pytestmark = pytest.mark.integration


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    """What the processes trace: all of them are this one."""
    kept = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    tracing.use(provider)
    yield kept
    tracing.use(None)


@pytest.fixture
def traced(spans: InMemorySpanExporter, pair: World) -> World:
    """The app, made while traces are on, with two clients."""
    spans.clear()
    return pair


class Scripted(TrainerProcess):
    """A training process that knows its answer: it takes part in no trace by itself."""

    def __init__(self, cache: ArtifactStore) -> None:
        self._cache = cache

    def compute(self, request: Request, on_progress: Report) -> Computed:
        claim, spent = request.claim, Spent()
        for phase in ("load", "train", "replace", "train"):
            with spent.phase(phase):
                on_progress(0.5)
        made = {name: self._cache.write([component_bytes(1, 1, 1)]) for name in claim.components}
        held = {"lease_id": claim.lease.id, "attempt": claim.lease.attempt}
        return Computed(TrainResult(**held, components=made, losses={}), spent=spent)


def named(spans: InMemorySpanExporter, name: str) -> ReadableSpan:
    [found] = [span for span in spans.get_finished_spans() if span.name == name]
    return found


def test_an_assignment_is_one_trace_from_its_claim_to_its_result(
    traced: World, spans: InMemorySpanExporter, tmp_path: Path
) -> None:
    job = traced.launch()
    traced.plan(job)
    spans.clear()
    cache = ArtifactStore(tmp_path / "cache", durable=False)
    with (
        served(traced.http.app, lifespan="off") as url,
        ApiClient(url, traced.clients["c1"].key) as api,
    ):
        member = Member(api, Workplace("c1", cache, tmp_path))
        Host({"c1": member}, Scripted(cache)).work("c1")
    root = named(spans, "assignment train")
    assert root.attributes is not None
    assert root.attributes["tapestry.job"] == job
    assert root.attributes["tapestry.round"] == "1"
    trace = root.context.trace_id
    of_it = [span for span in spans.get_finished_spans() if span.context.trace_id == trace]
    claim = named(spans, "POST /v1/assignments:claim")
    assert root.parent is not None
    assert root.parent.span_id == claim.context.span_id
    below = sorted(s.name for s in of_it if s.parent and s.parent.span_id == root.context.span_id)
    phases = ["load", "pull", "replace", "train", "train", "upload"]
    result = "POST /v1/assignments/{assignment_id}/result"
    assert below == sorted([*phases, result])
    upload = named(spans, "upload")
    sent = named(spans, "PATCH /v1/uploads/{upload_id}")
    assert sent.parent is not None
    assert (sent.parent.span_id, sent.context.trace_id) == (upload.context.span_id, trace)


def test_an_average_is_below_the_advance_that_made_it(
    traced: World, spans: InMemorySpanExporter
) -> None:
    job = traced.trained()
    spans.clear()
    advance_safely(traced.context, UUID(job))
    outer, inner = named(spans, "advance"), named(spans, "aggregate")
    assert inner.parent is not None
    assert inner.parent.span_id == outer.context.span_id
    assert inner.attributes == {"tapestry.job": job, "tapestry.round": "1"}


def test_scrapes_health_and_idle_claims_are_not_traced(
    traced: World, spans: InMemorySpanExporter
) -> None:
    traced.http.get("/healthz")
    traced.viewer("GET", "/metrics")
    assert traced.clients["c1"].claim() is None
    [idle] = spans.get_finished_spans()
    assert not tracing.is_worthwhile(idle.attributes or {})
    assert tracing.is_worthwhile({"http.response.status_code": 204, "http.route": "/v1/x"})


def test_without_traces_nothing_is_named(pair: World) -> None:
    pair.plan(pair.launch())
    answer = pair.clients["c1"]("POST", "/v1/assignments:claim")
    assert answer.status_code == 200
    assert tracing.HEADER not in answer.headers


class Collector(BaseHTTPRequestHandler):
    """Hears spans, as an OpenTelemetry collector does."""

    heard: list[ExportTraceServiceRequest]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.path == "/v1/traces":
            self.heard.append(ExportTraceServiceRequest.FromString(body))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


SENDER = """
from shared import tracing
tracing.set_up("worker")
with tracing.span("assignment train", job="j1"), tracing.span("pull"):
    print(tracing.headers()["traceparent"])
"""


def test_spans_reach_a_collector_by_the_standard_variables() -> None:
    heard: list[ExportTraceServiceRequest] = []
    kind = type("Hearing", (Collector,), {"heard": heard})
    with HTTPServer(("127.0.0.1", 0), kind) as collector:
        threading.Thread(target=collector.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{collector.server_port}"
        environment = {**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": address}
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", SENDER],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        collector.shutdown()
    assert done.returncode == 0, done.stderr
    [resource] = [spans for request in heard for spans in request.resource_spans]
    services = [
        a.value.string_value for a in resource.resource.attributes if a.key == "service.name"
    ]
    assert services == ["tapestry-worker"]
    found = {span.name: span for scope in resource.scope_spans for span in scope.spans}
    assert set(found) == {"assignment train", "pull"}
    assert found["pull"].parent_span_id == found["assignment train"].span_id
    version, trace, parent, _ = done.stdout.strip().split("-")
    assert (version, trace) == ("00", found["pull"].trace_id.hex())
    assert parent == found["pull"].span_id.hex()
