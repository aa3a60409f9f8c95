"""The API server: routes put together, and the command that serves them."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI
from fastapi.telemetry import TelemetryConfig

from server import conditional, documentation, errors, health, whoami
from server import partial as partial_reads
from server.assignments import endpoints as assignments
from server.assignments.service import nothing_to_claim
from server.auth import OPEN_PATHS, Watchers, check_scopes
from server.celery_app import make_publish
from server.clients import endpoints as clients
from server.context import NO_BUCKETS, Context, make_context
from server.database import DatabaseAwayError, check_current, dispose, make_engine, reachable
from server.dry_runs import endpoints as dry_runs
from server.events import endpoints as events
from server.events.feed import Feed
from server.gate import Gate
from server.job_tables import endpoints as job_tables
from server.jobs import endpoints as jobs
from server.keys import endpoints as keys
from server.listening import serve
from server.outbox import Dispatcher
from server.partial import KNOWN_PARAMETERS
from server.reports import endpoints as reports
from server.rounds import endpoints as rounds
from server.settings import ServerSettings, load
from server.shelf import endpoints as shelf
from server.signals import exit_on_signals
from server.timer import Loop
from server.together import Together, snapshot
from server.updates import artifacts
from server.updates import endpoints as updates
from server.upkeep.collect import drop_parts
from server.versions import endpoints as versions
from server.waiting import endpoints as waiting
from server.watching import endpoints as watching
from server.watching.requests import Watched, plain_paths
from server.web import pages, session
from server.web.browser import Browser
from shared import logs, memory, tracing
from shared.views import Problem

_DESCRIPTION = """\
Tapestry orchestrates personalized federated fine-tuning of multi-modal, multi-task foundation
models. Operators register clients, launch jobs and follow rounds; workers claim assignments, send
components and report. Every answer that is not a success is `application/problem+json` with a
stable `code` and a `detail` that says what to do."""
_TAGS = [
    {"name": "jobs", "description": "Launch, follow and cancel federated runs."},
    {"name": "dry runs", "description": "What a job would need and cost, before it is launched."},
    {"name": "rounds", "description": "Who was asked in a round, what came, what travelled."},
    {"name": "events", "description": "What happened, as it happens."},
    {"name": "versions", "description": "What the server held after each round, and who made it."},
    {"name": "tables", "description": "A job's results, flat and so far, as JSON or CSV."},
    {"name": "reports", "description": "What federation gave, per client and task."},
    {
        "name": "personal-model shelf",
        "description": "What a client has the server keep for it alone.",
    },
    {"name": "clients", "description": "Participants, and what they offer."},
    {"name": "keys", "description": "For administrators: who may call, and for how long."},
    {"name": "assignments", "description": "For workers: claim, heartbeat, result, failure."},
    {"name": "uploads and artifacts", "description": "For workers: components in and out."},
    {"name": "health", "description": "For health checks; open to anybody."},
]
_UNTRACED = OPEN_PATHS | {watching.PATH}
_SHORTCUTS = {("POST", "/v1/assignments:claim"): nothing_to_claim}


def create_app(settings: ServerSettings) -> FastAPI:
    """The API on these settings; Postgres and Redis may be away while it is made.

    Raises RuntimeError when a route declares no scope, OSError when the artifacts' directory
    cannot be used.
    """
    engine = make_engine(settings.database_url)
    context = make_context(settings, engine)
    publish = context.meters.counted(make_publish(settings.redis_url))
    dispatcher = Dispatcher(context.sessions, publish)
    beside: list[Dispatcher | Loop] = [dispatcher, *_tidying(context)]

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        for each in beside:
            each.start()
        yield
        for each in beside:
            each.stop()
        await dispose(engine)

    app = FastAPI(
        title="Tapestry",
        version=version("tapestry-fl"),
        description=_DESCRIPTION,
        openapi_tags=_TAGS,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        telemetry=_telemetry(),
        dependencies=[KNOWN_PARAMETERS],
        redirect_slashes=False,  # where to would be told by what the caller says the host is
    )
    app.state.context = context
    app.state.feed = Feed(context.sessions)
    read = (jobs, dry_runs, events, waiting, rounds, versions, job_tables, reports, clients)
    work = (keys, whoami, assignments, updates, artifacts, shelf)
    for part in (*read, *work, health, watching, session, pages):
        app.include_router(part.router)
    watching.install(context, app.state.feed)
    errors.install(app)
    _complete(app)
    check_scopes(app)
    watchers = Watchers(watching.PATH)
    app.add_middleware(Gate, context=context, shortcuts=_SHORTCUTS, watchers=watchers)
    app.add_middleware(Together, snapshot=snapshot(engine))
    app.add_middleware(partial_reads.Partial)
    app.add_middleware(conditional.Conditional)
    app.add_middleware(Browser)
    app.add_middleware(Watched, meters=context.meters, paths=plain_paths(app))
    return app


def _telemetry() -> TelemetryConfig:
    """A span for each request, where the process is traced, and nothing else of FastAPI's."""
    return {
        "tracer_provider": tracing.provider(),
        "tracing": tracing.provider() is not None,
        "metrics": False,
        "logs": False,
        "operation_spans": False,
        "auto_configure": False,
        "exclude": lambda scope: scope["path"] in _UNTRACED,
    }


def _tidying(context: Context) -> list[Loop]:
    """With a bucket this host's disk may be its own, which no coordinator tidies."""
    if context.settings.artifacts_url is None:
        return []
    steps = (partial(drop_parts, context), context.store.trim)
    return [Loop("tidying", steps, context.settings.sweep, context.meters)]


def _complete(app: FastAPI) -> None:
    """Have OpenAPI say what FastAPI does not see: problems, and what the middleware answers."""
    make = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is not None:
            return app.openapi_schema
        document = make()
        conditional.describe(document)
        partial_reads.describe(document)
        documentation.describe(app, document)
        schema = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
        document["components"]["schemas"][Problem.__name__] = schema
        return document

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    exit_on_signals()
    settings = load(ServerSettings)
    logs.set_up("api", settings.log)
    tracing.set_up("api")
    try:
        with reachable(settings.database_url) as engine:
            check_current(engine)
        app = create_app(settings)
    except DatabaseAwayError as error:
        sys.exit(str(error))
    except OSError as error:
        sys.exit(f"{settings.artifacts_dir} cannot be used ({error.strerror}): correct it.")
    except ImportError as error:
        sys.exit(NO_BUCKETS.format(error))
    memory.settle()
    serve(app, settings.host, settings.port)


if __name__ == "__main__":
    main()
