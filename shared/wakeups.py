"""Names and settings of the Celery messages: hints that there may be work, never the work itself.

Postgres is the truth; a message that is lost, doubled or late costs time only. The settings are
those under which Redis faults were measured to recover (docs/decisions/0001).
"""

import ssl
from collections.abc import Mapping
from typing import Any

WAKE = "tapestry.wake"  # args: [id of the assignment or dry run]; to its worker's queue
ADVANCE = "tapestry.advance"  # args: [job_id]; to the coordinator's queue
COORDINATOR_QUEUE = "coordinator"
PLANNER_QUEUE = "planner"


def client_queue(client: str) -> str:
    """The queue of one client's wake-ups."""
    return f"client.{client}"


CELERY_SETTINGS: Mapping[str, Any] = {
    "result_backend": None,
    "task_ignore_result": True,
    "accept_content": ["json"],
    "task_serializer": "json",
    "task_acks_late": False,
    "task_reject_on_worker_lost": False,
    "task_create_missing_queues": False,
    "task_publish_retry": False,  # the outbox is the retry
    "worker_pool": "threads",
    "worker_concurrency": 1,
    "worker_prefetch_multiplier": 1,
    "worker_cancel_long_running_tasks_on_connection_loss": False,
    "worker_enable_remote_control": False,
    "worker_send_task_events": False,
    "worker_soft_shutdown_timeout": 30.0,
    "worker_hijack_root_logger": False,
    "broker_connection_retry_on_startup": True,
    "broker_connection_max_retries": None,
    "broker_channel_error_retry": True,
    "broker_pool_acquire_timeout": 10,
    "broker_transport_options": {
        "ack_emulation": False,
        "priority_steps": [0],
        "socket_timeout": 10,
        "socket_connect_timeout": 5,
        "socket_keepalive": True,
        "health_check_interval": 10,
        "max_connections": 10,
    },
}


def celery_settings(redis_url: str) -> dict[str, Any]:
    """Those settings for an address: of `rediss` the certificate is checked, as kombu would not."""
    tls = {"broker_use_ssl": {"ssl_cert_reqs": ssl.CERT_REQUIRED}}
    return {**CELERY_SETTINGS, **(tls if redis_url.startswith("rediss:") else {})}


WORKER_ARGUMENTS = ("--without-gossip", "--without-mingle", "--without-heartbeat")
