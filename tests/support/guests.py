"""Clients whose workers a test runs in its own process, so that it can make them misfits.

They join a stack that is running; its own workers know nothing of them. One of them works, the
other is only asked: what becomes of the first can be read while the round still waits.
"""

import time
from collections.abc import Callable
from pathlib import Path

from cli.stack.stack import Stack
from shared.api_client import ApiClient
from shared.artifacts import ArtifactStore
from shared.job_spec import JobSpec
from shared.views import ClientCreate
from tests.support import federation, small
from worker.assignments import Workshop
from worker.attempt import Member
from worker.data.client_file import ClientFile
from worker.host import Host
from worker.supervision import Report
from worker.trainer_process import TrainerProcess
from worker.work import Computed, Equipment, Request
from worker.workplace import Workplace

WORKING, IDLE = "c08", "c09"
TASK = "digits"


class Guests:
    """Two clients of a stack; `after` is called after each assignment of the one that works."""

    def __init__(self, stack: Stack, directory: Path) -> None:
        files = federation.write(directory / "clients", {WORKING: (TASK,), IDLE: (TASK,)})
        cache = ArtifactStore(directory / "cache", durable=False)
        members = {}
        with stack.client() as api:
            for path in files:
                file = ClientFile.read(path)
                key = api.create_client(ClientCreate(id=file.client), f"guest-{file.client}").key
                place = Workplace(file.client, cache, directory, file)
                members[file.client] = Member(ApiClient(stack.url, key), place)
        self.after: Callable[[], None] = lambda: None
        places = {name: member.place for name, member in members.items()}
        self._host = Host(members, _Trainer(Equipment(places)), self._tidy)
        self._host.offer()
        self.place = places[WORKING]

    def close(self) -> None:
        """Close the connections."""
        for member in self._host.members.values():
            member.api.close()

    def work(self, client: str) -> None:
        """Do what there is to do for one of them."""
        self._host.work(client)

    def work_until(self, there: Callable[[], bool]) -> None:
        """Work as a worker does that polls, until that holds."""
        end = time.monotonic() + 90
        while not there():
            assert time.monotonic() < end
            self._host.work(WORKING)
            time.sleep(0.05)  # as a worker waits between its polls

    def _tidy(self) -> None:
        self.after()


class _Trainer(TrainerProcess):
    """What else runs in a process of its own: what a test changes here, changes there."""

    def __init__(self, equipment: Equipment) -> None:
        self._workshop = Workshop(equipment)

    def compute(self, request: Request, on_progress: Report) -> Computed:
        computed = self._workshop.handle(request, on_progress)
        assert computed is not None
        return computed

    def kill(self) -> None:
        """There is none."""


def job(name: str, *clients: str, **changes: object) -> JobSpec:
    """A job over the guests' task that goes on with what one of its clients delivers."""
    rounds = {"count": 1, "quorum": 1}
    tasks = {TASK: small.SPEC["tasks"][TASK]}
    return small.spec(
        **{"name": name, "clients": clients, "tasks": tasks, "rounds": rounds, **changes}
    )
