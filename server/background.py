"""`python -m server.background`: the coordinator.

A Celery worker hears that a job may be advanced; timers do the same without any message, so that
a dead Redis costs a second per step and nothing else. Any number of coordinators may run.
"""

import logging
import sys
from dataclasses import replace
from functools import partial
from uuid import UUID

from celery import Celery
from celery.signals import setup_logging

from server.aggregation.beside import Beside
from server.aggregation.process import Aggregator
from server.celery_app import make_celery, make_publish
from server.context import NO_BUCKETS, Context, make_context
from server.database import DatabaseAwayError, check_current, reachable
from server.dry_runs.service import forget_old as forget_dry_runs
from server.outbox import Dispatcher, dispatch, prune
from server.settings import ServerSettings, load
from server.shelf.service import drop_abandoned as drop_abandoned_models
from server.signals import exit_on_signals
from server.timer import (
    Loop,
    advance_due_jobs,
    advance_safely,
    hint_again,
    suspect_missed_leases,
)
from server.updates.service import drop_abandoned
from server.upkeep.collect import Collector
from server.upkeep.scrub import Scrub
from server.watchdog import watch
from server.watching.rows import Connections, Rows, outbox
from shared import logs, memory, tracing
from shared.telemetry import serve_metrics
from shared.wakeups import ADVANCE, COORDINATOR_QUEUE, WORKER_ARGUMENTS

_log = logging.getLogger(__name__)


def register(app: Celery, context: Context) -> None:
    """Let the app's worker advance jobs."""

    @app.task(name=ADVANCE)  # type: ignore[untyped-decorator]  # Celery has no types
    def advance_job(job_id: str) -> None:
        advance_safely(context, UUID(job_id))


def loops(context: Context) -> tuple[Loop, ...]:
    """The timers: quick steps, advancing, and sweeping."""
    period = context.settings.timer
    meters = context.meters
    publish = meters.counted(make_publish(context.settings.redis_url))
    send = partial(dispatch, context.sessions, publish)
    quick = (partial(suspect_missed_leases, context), partial(hint_again, context))
    sweep = (
        partial(prune, context.sessions),
        partial(forget_dry_runs, context.sessions),
        partial(drop_abandoned, context),
        partial(drop_abandoned_models, context),
        partial(watch, context),
    )
    return (
        Loop("leases", quick, period, meters),
        Loop("send", (send,), period, meters),
        Loop("advance", (partial(advance_due_jobs, context),), period, meters),
        Loop("sweep", sweep, context.settings.sweep, meters),
        Loop(
            "upkeep",
            (Collector(context).sweep, context.store.trim, Scrub(context).sweep),
            context.settings.sweep,
            meters,
        ),
    )


def serve(context: Context, app: Celery) -> None:
    """Coordinate until SIGTERM or SIGINT."""
    register(app, context)
    timers = loops(context)
    publish = context.meters.counted(make_publish(context.settings.redis_url))
    dispatcher = Dispatcher(context.sessions, publish)
    dispatcher.start()
    for timer in timers:
        timer.start()
    try:
        app.worker_main(["--quiet", "worker", *WORKER_ARGUMENTS])
    finally:
        for timer in timers:
            timer.end()  # all at once: none goes on while another is waited for
        for timer in timers:
            timer.stop()
        dispatcher.stop()


def _leave_logging(**_: object) -> None:
    """Have Celery leave logging to us: it does where somebody hears this signal."""


def main() -> None:
    """Run the coordinator of this environment."""
    exit_on_signals()
    settings = load(ServerSettings)
    logs.set_up("coordinator", settings.log)
    tracing.set_up("coordinator")
    logging.getLogger("celery").setLevel(logging.WARNING)
    setup_logging.connect(_leave_logging, weak=False)
    try:
        with reachable(settings.database_url) as engine:
            check_current(engine)
            _log.info("the coordinator begins")
            child = Aggregator(settings.aggregation_memory_bytes, settings.aggregation_limit)
            with child as own, Beside() as beside:
                context = make_context(settings, engine, own.aggregate)
                context = replace(context, averaging=beside)
                app = make_celery(settings.redis_url, [COORDINATOR_QUEUE])
                memory.settle()
                registry = context.meters.registry
                registry.register(Rows(context.sessions, (outbox,)))
                registry.register(Connections(context.sessions))
                serve_metrics(registry, settings.metrics_host, settings.metrics_port)
                serve(context, app)
    except DatabaseAwayError as error:
        sys.exit(str(error))
    except OSError as error:
        sys.exit(f"{settings.artifacts_dir} cannot be used ({error.strerror}): correct it.")
    except ImportError as error:
        sys.exit(NO_BUCKETS.format(error))


if __name__ == "__main__":
    main()
