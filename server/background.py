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

from server.aggregation.beside import Beside
from server.aggregation.process import Aggregator
from server.celery_app import make_celery, make_publish
from server.context import NO_BUCKETS, Context, make_context
from server.database import DatabaseAwayError, check_current, reachable
from server.outbox import Dispatcher, dispatch, prune
from server.settings import ServerSettings, load
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
from shared import memory
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
    send = partial(dispatch, context.sessions, make_publish(context.settings.redis_url))
    quick = (partial(suspect_missed_leases, context), partial(hint_again, context))
    sweep = (
        partial(prune, context.sessions),
        partial(drop_abandoned, context),
        partial(watch, context),
    )
    return (
        Loop("leases", quick, period),
        Loop("send", (send,), period),
        Loop("advance", (partial(advance_due_jobs, context),), period),
        Loop("sweep", sweep, context.settings.sweep),
        Loop(
            "upkeep",
            (Collector(context).sweep, context.store.trim, Scrub(context).sweep),
            context.settings.sweep,
        ),
    )


def serve(context: Context, app: Celery) -> None:
    """Coordinate until SIGTERM or SIGINT."""
    register(app, context)
    timers = loops(context)
    dispatcher = Dispatcher(context.sessions, make_publish(context.settings.redis_url))
    dispatcher.start()
    for timer in timers:
        timer.start()
    try:
        app.worker_main(["worker", "--loglevel=WARNING", *WORKER_ARGUMENTS])
    finally:
        for timer in timers:
            timer.end()  # all at once: none goes on while another is waited for
        for timer in timers:
            timer.stop()
        dispatcher.stop()


def main() -> None:
    """Run the coordinator of this environment."""
    exit_on_signals()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    settings = load(ServerSettings)
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
                serve(context, app)
    except DatabaseAwayError as error:
        sys.exit(str(error))
    except OSError as error:
        sys.exit(f"{settings.artifacts_dir} cannot be used ({error.strerror}): correct it.")
    except ImportError as error:
        sys.exit(NO_BUCKETS.format(error))


if __name__ == "__main__":
    main()
