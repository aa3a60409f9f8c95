"""`python -m worker clients` serves clients, `python -m worker planner` plans jobs."""

import logging
import os
import sys
import threading
from collections.abc import Mapping

from worker.signals import when_told_to_stop

# Not by an exception: one that is raised in the middle of an import may be swallowed, and leave a
# lock behind.
if __name__ == "__main__":  # the imports below take a while, and nothing is in hand meanwhile
    when_told_to_stop(lambda: os._exit(0))

from celery import Celery
from pydantic import ValidationError

from shared import logs, memory, tracing
from shared.api_client import ApiClient
from shared.artifacts import ArtifactStore
from shared.spec_files import SpecError
from shared.telemetry import serve_metrics
from shared.transport import ApiError
from shared.wakeups import WORKER_ARGUMENTS
from worker.attempt import Member
from worker.celery_app import make_app
from worker.data.client_file import ClientFile
from worker.data.sources import DataError
from worker.decisions import is_final
from worker.disk import Trimming, clear_parts, keep_temporary_files, owned, show_serving
from worker.ending import end
from worker.failures import FailedError
from worker.host import Host
from worker.settings import WorkerSettings, read_settings
from worker.shelf.putting import Shelving
from worker.supervision import Limits
from worker.trainer_process import TrainerProcess
from worker.watching import METERS
from worker.work import Equipment
from worker.workplace import Workplace

PLANNER = "planner"
_RETRY_S = 2.0
_GRACE_S = 2.0
_PRESENT_S = 10.0


def main(role: str) -> None:
    """Serve until told to stop.

    Raises ValueError, SpecError, DataError, ApiError, FailedError, OSError.
    """
    when_told_to_stop(lambda: os._exit(0))
    settings = read_settings()
    process = PLANNER if role == PLANNER else "worker"
    logs.set_up(process, settings.log)
    tracing.set_up(process)
    with owned(settings.work_dir):
        clear_parts(settings.work_dir)
        keep_temporary_files(settings.work_dir)
        members = _planner(settings) if role == PLANNER else _clients(settings)
        trainer = _trainer(settings, members)
        try:
            _serve(settings, members, trainer, planner=role == PLANNER)
        finally:
            trainer.kill()


def _serve(
    settings: WorkerSettings,
    members: Mapping[str, Member],
    trainer: TrainerProcess,
    *,
    planner: bool,
) -> None:
    cache = next(iter(members.values())).place.cache

    tidy = Trimming(cache, settings.cache_bytes, settings.work_dir)
    host = Host(members, trainer, tidy, planner=planner)
    tidy()
    memory.settle()
    serve_metrics(METERS.registry, settings.metrics_host, settings.metrics_port)
    _offer_when_ready(host)
    show_serving(settings.work_dir)
    when_told_to_stop(host.stopping.set)
    threading.Thread(target=host.publish_cards, args=(_RETRY_S,), daemon=True).start()
    if not planner:
        shelving = Shelving(members, settings.shelf_key_of)
        threading.Thread(target=shelving.run, args=(host.stopping,), daemon=True).start()
    if len(members) > 1:
        threading.Thread(target=host.show_presence, args=(_PRESENT_S,), daemon=True).start()
    if settings.redis_url is None:
        host.poll(settings.poll_s)
    else:
        app = make_app(settings.redis_url, host, planner=planner)
        _listen(app, host, settings.poll_s)


def _trainer(settings: WorkerSettings, members: Mapping[str, Member]) -> TrainerProcess:
    """The training process, about to be ready. Raises FailedError when it has no such device."""
    equipment = Equipment(
        places={name: member.place for name, member in members.items()},
        device=settings.device,
        checkpoint_s=settings.checkpoint_s,
        threads=settings.threads,
    )
    limits = Limits(settings.trainer_assignments, settings.trainer_bytes)
    trainer = TrainerProcess.of(equipment, limits)
    trainer.warm_up()
    if settings.device == "cuda":
        trainer.check()
    return trainer


def _listen(app: Celery, host: Host, poll_s: float) -> None:
    """Work when woken, and now and then unasked; what is in hand at the end is given back."""
    poller = threading.Thread(target=host.poll, args=(poll_s,), name="poll", daemon=True)
    poller.start()
    threading.Thread(target=_leave, args=(host,), name="leave", daemon=True).start()
    try:
        if not host.stopping.is_set():
            app.worker_main(["--quiet", "worker", *WORKER_ARGUMENTS])
    finally:
        host.stopping.set()
        poller.join()


def _leave(host: Host) -> None:
    """End the process soon after it was told to: Celery would wait for a broker that is silent."""
    host.stopping.wait()
    host.wait_until_idle()
    threading.main_thread().join(_GRACE_S)
    logging.getLogger("tapestry.worker").warning("left without the broker, with nothing in hand")
    os._exit(0)


def _planner(settings: WorkerSettings) -> dict[str, Member]:
    cache = ArtifactStore(settings.work_dir / "cache", durable=False)
    api = ApiClient(settings.api_url, settings.key_of(PLANNER))
    return {PLANNER: Member(api, Workplace(PLANNER, cache, settings.work_dir))}


def _clients(settings: WorkerSettings) -> dict[str, Member]:
    if not settings.client_files:
        raise ValueError("no client: name at least one client file in TAPESTRY_CLIENT_FILES")
    if settings.key is not None and len(settings.client_files) > 1:
        raise ValueError("TAPESTRY_KEY is one client's key: give several by TAPESTRY_KEYS_DIR")
    cache = ArtifactStore(settings.work_dir / "cache", durable=False)
    members = {}
    for path in settings.client_files:
        file = ClientFile.read(path)
        api = ApiClient(settings.api_url, settings.key_of(file.client))
        kept = settings.states_kept_bytes
        place = Workplace(file.client, cache, settings.work_dir, file, kept)
        members[file.client] = Member(api, place)
    return members


def _offer_when_ready(host: Host) -> None:
    """Offer the clients' data; wait for the API as long as it is away."""
    while not host.stopping.is_set():
        try:
            host.offer()
        except ApiError as error:
            if is_final(error.problem.status):
                raise
            logging.getLogger("tapestry.worker").warning("waiting for the API: %s", error)
            host.stopping.wait(_RETRY_S)
        else:
            return


if __name__ == "__main__":
    if sys.argv[1:] not in ([PLANNER], ["clients"]):
        sys.exit("usage: python -m worker {clients,planner}")
    try:
        main(sys.argv[1])
    except ValidationError as problem:
        end(problem, "worker settings: ")
    except FailedError as problem:
        sys.exit(f"worker: {problem.sentence}")
    except (ValueError, SpecError, DataError, ApiError, OSError) as problem:
        end(problem, "worker: ")
