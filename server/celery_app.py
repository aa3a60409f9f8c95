"""Celery as the server uses it: it sends hints by name, and the coordinator hears one kind."""

from collections.abc import Sequence
from typing import Any

from celery import Celery
from kombu import Queue  # type: ignore[attr-defined]  # exported lazily

from server.outbox import Publish
from shared.wakeups import CELERY_SETTINGS, celery_settings

_MOST_WAITING = 100


def queue(name: str) -> Queue:
    """A queue that is reached directly, without an exchange."""
    return Queue(name, exchange="", routing_key=name)  # type: ignore[no-untyped-call]


def make_celery(redis_url: str, queues: Sequence[str] = ()) -> Celery:
    """An app that consumes `queues` if run as a worker."""
    app = Celery("tapestry", broker=redis_url, set_as_current=False)
    app.conf.update(celery_settings(redis_url))
    app.conf.task_queues = [queue(name) for name in queues]
    return app


def make_publish(redis_url: str) -> Publish:
    """How the outbox sends: by task name, to a queue that this process need not know.

    A broker that is away is not waited for: the outbox tries again. A queue that nobody empties,
    such as that of a client that only polls, does not grow without end: a hint that would be one
    of very many is none.
    """
    app = make_celery(redis_url)
    transport = {**CELERY_SETTINGS["broker_transport_options"], "max_retries": 0}
    app.conf.broker_transport_options = transport

    def publish(task: str, queue_name: str, argument: str) -> None:
        with app.producer_pool.acquire(block=True) as sender:
            waiting = sender.channel.queue_declare(queue_name).message_count
            if waiting < _MOST_WAITING:
                options: dict[str, Any] = {"queue": queue(queue_name), "ignore_result": True}
                app.send_task(task, args=[argument], producer=sender, **options)

    return publish
