"""The route that Prometheus reads, and what it says beside the counters."""

from collections.abc import Iterator

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from typing_extensions import override

from server.auth import Viewer
from server.context import App, Context
from server.documentation import problems
from server.events.feed import Feed
from server.watching.rows import ALL, Connections, Rows

PATH = "/metrics"

router = APIRouter(tags=["health"])

_EXAMPLE = """\
# HELP tapestry_database_up Whether Postgres answered; if not, nothing is said of what it holds.
# TYPE tapestry_database_up gauge
tapestry_database_up 1.0
"""


@router.get(
    PATH,
    summary="What can be watched",
    response_class=Response,
    responses={
        200: {
            "description": "Prometheus' text format.",
            "content": {"text/plain": {"schema": {"type": "string"}, "example": _EXAMPLE}},
        },
        **problems(),
    },
)
def metrics(app: App, _: Viewer) -> Response:
    """Say what this process counts and what Postgres holds, for Prometheus.

    While Postgres is away `tapestry_database_up` is 0, and what it holds is not said; who has read
    this before may read it then too.
    """
    return Response(generate_latest(app.meters.registry), media_type=CONTENT_TYPE_LATEST)


def install(context: Context, feed: Feed) -> None:
    """Have the process's metrics say what Postgres holds, and how the process itself stands."""
    context.meters.registry.register(Rows(context.sessions, ALL))
    context.meters.registry.register(Connections(context.sessions))
    context.meters.registry.register(_Process(context, feed))


class _Process(Collector):
    """How the process stands now."""

    def __init__(self, context: Context, feed: Feed) -> None:
        self._context = context
        self._feed = feed

    @override
    def collect(self) -> Iterator[Metric]:
        listeners = "Who waits for events, or hears them as a stream."
        yield GaugeMetricFamily("tapestry_event_listeners", listeners, value=self._feed.listeners)
        read_only = "Whether the disk failed, so that nothing more is written."
        store = self._context.store
        yield GaugeMetricFamily("tapestry_store_read_only", read_only, value=store.read_only)

    def describe(self) -> Iterator[Metric]:
        """Nothing: it is asked when somebody scrapes."""
        return iter(())
