"""What a server process counts. One set for each process; a scrape reads it.

Labels come from closed sets (states, kinds, route templates): nobody outside can make new series.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Summary,
    disable_created_metrics,
)
from prometheus_client.gc_collector import GCCollector
from prometheus_client.process_collector import ProcessCollector

# A series more for each, which nobody asks for.
disable_created_metrics()  # type: ignore[no-untyped-call]  # it has no types

Publish = Callable[[str, str, str], None]  # as server.outbox says

_REQUEST_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_AGGREGATION_BUCKETS = (0.1, 0.5, 1, 5, 15, 60, 300, 1800, 7200)


class Meters:
    """The counters of one process, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        GCCollector(registry=registry)
        build = Gauge("tapestry_build", "The version.", ["version"], registry=registry)
        build.labels(version("tapestry-fl")).set(1)

        self.requests = Counter(
            "tapestry_http_requests",
            "Requests that were answered.",
            ["route", "method", "status"],
            registry=registry,
        )
        self.request_seconds = Histogram(
            "tapestry_http_request_seconds",
            "From a request's head to the end of its answer; streams and waits take long.",
            ["route", "method"],
            buckets=_REQUEST_BUCKETS,
            registry=registry,
        )
        self.received_bytes = Counter(
            "tapestry_http_received_bytes", "Bytes of bodies.", ["route"], registry=registry
        )
        self.sent_bytes = Counter(
            "tapestry_http_sent_bytes", "Bytes of answers.", ["route"], registry=registry
        )
        self.uploads_refused = Counter(
            "tapestry_uploads_refused",
            "Uploads whose bytes were refused.",
            ["code"],
            registry=registry,
        )
        self.messages_sent = Counter(
            "tapestry_outbox_sent", "Messages that the broker took.", registry=registry
        )
        self.broker_away = Counter(
            "tapestry_outbox_broker_away",
            "Messages that the broker did not take.",
            registry=registry,
        )
        self.turn_seconds = Summary(
            "tapestry_timer_turn_seconds", "Turns of a timer.", ["timer"], registry=registry
        )
        self.steps_failed = Counter(
            "tapestry_timer_steps_failed", "Steps that failed.", ["timer"], registry=registry
        )
        self.aggregation_seconds = Histogram(
            "tapestry_aggregation_seconds",
            "Averaging and publishing a round, whatever it ends with.",
            buckets=_AGGREGATION_BUCKETS,
            registry=registry,
        )
        self.aggregations = Counter(
            "tapestry_aggregations",
            "Rounds that were averaged: made, lost to another, failed, or put off.",
            ["end"],
            registry=registry,
        )
        self.aggregated_bytes = Counter(
            "tapestry_aggregated_bytes", "Bytes of contributions that were read.", registry=registry
        )

    def counted(self, publish: Publish) -> Publish:
        """The same, counting what the broker takes."""

        def send(task: str, queue: str, argument: str) -> None:
            with self.broker_away.count_exceptions():
                publish(task, queue, argument)
            self.messages_sent.inc()

        return send

    @contextmanager
    def turn(self, timer: str) -> Iterator[None]:
        """Measure a turn of a timer."""
        began = time.monotonic()
        try:
            yield
        finally:
            self.turn_seconds.labels(timer).observe(time.monotonic() - began)
