"""The Celery side of a worker: wake-ups, which only say that there may be work."""

from typing import Any

from celery import Celery
from celery.signals import setup_logging, worker_shutting_down
from kombu.entity import Queue

from shared.wakeups import PLANNER_QUEUE, WAKE, celery_settings, client_queue
from worker.host import Host


def make_app(redis_url: str, host: Host, *, planner: bool) -> Celery:
    """A Celery application that listens on the queues of the host's members."""
    queues = {PLANNER_QUEUE if planner else client_queue(name): name for name in host.members}
    app = Celery("tapestry-worker", broker=redis_url)
    # Not declared: that would write into keys of all, to which a worker's user has no right.
    app.conf.update(
        celery_settings(redis_url),
        task_queues=[Queue(q, exchange="", routing_key=q, no_declare=True) for q in queues],  # type: ignore[no-untyped-call]  # kombu has few types
    )

    @app.task(name=WAKE, bind=True)  # type: ignore[untyped-decorator]  # celery has no types
    def wake(self: Any, assignment_id: str) -> None:  # noqa: ARG001 - the claim says which
        host.work(queues[self.request.delivery_info["routing_key"]])

    @worker_shutting_down.connect(weak=False)  # type: ignore[untyped-decorator]  # celery has no types
    def stop(**_: Any) -> None:
        host.stopping.set()

    @setup_logging.connect(weak=False)  # type: ignore[untyped-decorator]  # celery has no types
    def leave_logging(**_: Any) -> None:
        """Celery leaves logging to us where somebody hears this."""

    return app
