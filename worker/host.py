"""Serving one or several clients (or the planner) from one process: claim, do, claim again."""

import logging
import threading
from collections.abc import Callable, Mapping

from shared.crash_points import crash_point
from shared.transport import ApiError
from worker.attempt import Attempt, Member
from worker.data.client_file import offer
from worker.journal import Entry, Stage, held_by
from worker.personal_files import PersonalFiles
from worker.trainer_process import TrainerProcess
from worker.workplace import Workplace

log = logging.getLogger("tapestry.worker")


class Host:
    """Does the assignments of its members, one at a time; `tidy` is called after each."""

    def __init__(
        self,
        members: Mapping[str, Member],
        trainer: TrainerProcess,
        tidy: Callable[[], None] = lambda: None,
    ) -> None:
        self.members = members
        self.stopping = threading.Event()
        self._trainer = trainer
        self._tidy = tidy
        self._busy = threading.Lock()

    def offer(self) -> None:
        """Tell the coordinator what each client has. Raises DataError, ApiError."""
        for name, member in self.members.items():
            if member.place.file is not None:
                member.api.offer(name, offer(member.place.file))
                log.info("%s is offered", name)

    def work(self, name: str) -> None:
        """Do all that there is to do for one member, what was interrupted first."""
        with self._busy:
            while not self.stopping.is_set() and self._work_once(self.members[name]):
                self._tidy()

    def poll(self, interval_s: float) -> None:
        """Ask for all members' work at once and then now and then, until the host stops."""
        while not self.stopping.is_set():
            for name in self.members:
                try:
                    self.work(name)
                except Exception:
                    log.exception("%s: cannot work now", name)
            self.stopping.wait(interval_s)

    def _work_once(self, member: Member) -> bool:
        """Whether an assignment came to an end, so that there may be another."""
        entry = member.place.journal.read()
        if entry is not None and entry.stage in {Stage.UPLOADED, Stage.ACCEPTED}:
            return Attempt(member, entry, None, self._trainer, self.stopping).run()
        try:
            claim = member.api.claim(None if entry is None else entry.held)
        except ApiError as error:
            log.warning("%s cannot claim: %s", member.place.name, error)
            return False
        if entry is not None and (claim is None or held_by(claim) != entry.held):
            log.warning("%s: what was in hand is no longer wanted", member.place.name)
            member.place.journal.clear()
            entry = None
        if claim is None:
            return False
        crash_point("worker.answered")
        begun = Entry.of(claim) if entry is None else _resumed(entry, member.place)
        return Attempt(member, begun, claim, self._trainer, self.stopping).run()


def _resumed(entry: Entry, place: Workplace) -> Entry:
    """Where to go on: with what is computed, if all of it is still there."""
    return (
        entry if entry.stage is Stage.TRAINED and _is_whole(entry, place) else entry.begun_again()
    )


def _is_whole(entry: Entry, place: Workplace) -> bool:
    state = entry.state_digest
    here = state is None or PersonalFiles(place.personal_directory(entry.job_id)).holds(state)
    return here and not place.cache.missing(entry.uploads.values())
