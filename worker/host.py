"""Serving one or several clients (or the planner) from one process: claim, do, claim again."""

import logging
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress

from shared.api_client import ApiClient
from shared.claim_reading import UnreadableClaimError
from shared.crash_points import crash_point
from shared.logs import about
from shared.messages import Claim, ClientOffer, FailureCode
from shared.tracing import continued
from shared.transport import ApiError
from worker.attempt import Attempt, Member
from worker.cards import published_card
from worker.coordinator import WithdrawnError
from worker.data.client_file import offer
from worker.decisions import Going, going, is_final, needs_claim
from worker.describing import describe_next
from worker.failures import FailedError
from worker.journal import Entry, held_by
from worker.trainer_process import TrainerProcess
from worker.workplace import Workplace

log = logging.getLogger("tapestry.worker")


class Host:
    """Does the assignments of its members, one at a time; `tidy` is called after each.

    A planner describes dry runs when it has no assignment.
    """

    def __init__(
        self,
        members: Mapping[str, Member],
        trainer: TrainerProcess,
        tidy: Callable[[], None] = lambda: None,
        *,
        planner: bool = False,
    ) -> None:
        self.members = members
        self.stopping = threading.Event()
        self._trainer = trainer
        self._tidy = tidy
        self._planner = planner
        self._busy = threading.Lock()
        self._served: str | None = None

    def offer(self) -> None:
        """Tell the coordinator what each client has. Raises DataError, ApiError."""
        for name, member in self.members.items():
            if member.place.file is not None:
                member.api.offer(name, offer(member.place.file))
                log.info("%s is offered", name)

    def publish_cards(self, retry_s: float) -> None:
        """Offer again with the readiness card what clients publish; they are served meanwhile."""
        for name, member in self.members.items():
            file = member.place.file
            if file is None or not file.publish_card:
                continue
            card = published_card(file, self.stopping)
            if card is not None:
                wanted = offer(file).model_copy(update={"card": card})
                while not self.stopping.is_set() and not _published(member.api, name, wanted):
                    self.stopping.wait(retry_s)

    def work(self, name: str) -> None:
        """Do all that there is to do for one member, what was interrupted first."""
        member = self.members[name]
        with self._busy, about(client=name if member.place.file else None):
            self._served = name
            try:
                while not self.stopping.is_set() and self._once(member):
                    self._tidy()
            finally:
                self._served = None

    def wait_until_idle(self) -> None:
        """Wait until nothing is in hand; once the host stops, nothing will be again."""
        with self._busy:
            return

    def poll(self, interval_s: float) -> None:
        """Ask for all members' work at once and then now and then, until the host stops."""
        while not self.stopping.is_set():
            for name in self.members:
                try:
                    self.work(name)
                except Exception:
                    log.exception("%s: cannot work now", name)
            self.stopping.wait(interval_s)

    def show_presence(self, interval_s: float) -> None:
        """Say of members that wait for another's work to end that they are there."""
        while not self.stopping.wait(interval_s):
            served = self._served
            for name, member in self.members.items() if served is not None else ():
                if name != served:
                    with suppress(ApiError):
                        member.api.whoami()

    def _once(self, member: Member) -> bool:
        """An assignment, or what a planner does when it has none."""
        return self._work_once(member) or (
            self._planner and describe_next(member, self._trainer, self._go_on)
        )

    def _go_on(self, _: float) -> None:
        """Raises WithdrawnError once the host stops."""
        if self.stopping.is_set():
            raise WithdrawnError("this worker stops")

    def _work_once(self, member: Member) -> bool:
        """Whether an assignment came to an end, so that there may be another."""
        entry = member.place.journal.read()
        if entry is not None and not needs_claim(entry.stage):
            return Attempt(member, entry, None, self._trainer, self.stopping).run()
        try:
            held = None if entry is None else entry.held
            claim = member.api.claim(held, member.place.journal.lease_name())
        except UnreadableClaimError as error:
            return _refused(member, error)
        except ApiError as error:
            log.warning("it cannot claim: %s", error)
            return False
        begun = _begun(member.place, entry, claim)
        if entry is not None and (begun is None or begun.held != entry.held):
            log.warning("what was in hand is no longer wanted")
            member.place.journal.clear()
        if begun is None:
            return False
        crash_point("worker.answered")
        with continued(member.api.claimed_under):
            return Attempt(member, begun, claim, self._trainer, self.stopping).run()


def _published(api: ApiClient, name: str, wanted: ClientOffer) -> bool:
    """Whether nothing is left to do about it."""
    try:
        api.offer(name, wanted)
    except ApiError as error:
        log.warning("the card of %s is not published: %s", name, error)
        return is_final(error.problem.status)
    log.info("the card of %s is published", name)
    return True


def _refused(member: Member, error: UnreadableClaimError) -> bool:
    """Say that the claim is in the words of another version; whether that was heard."""
    log.error("%s", error)
    failure = FailedError(FailureCode.REFUSED, str(error)).under(error.held)
    try:
        member.api.failure(error.held.assignment_id, failure)
    except ApiError as problem:
        log.warning("that is not reported: %s", problem)
        return False
    member.place.drop()
    return True


def _begun(place: Workplace, entry: Entry | None, claim: Claim | None) -> Entry | None:
    """What is in hand now that the claim is answered; None for nothing."""
    if claim is None:
        return None
    if entry is None:
        return Entry.of(claim)
    match going(entry.held, entry.stage, held_by(claim), whole=_is_whole(entry, place)):
        case Going.DELIVER:
            return entry
        case Going.COMPUTE_AGAIN:
            return entry.begun_again()
        case _:
            return Entry.of(claim)


def _is_whole(entry: Entry, place: Workplace) -> bool:
    """Whether all that was computed is still there."""
    if entry.result is None:
        return False
    state = entry.state_digest
    here = state is None or place.personal_files(entry.job_id).holds(state)
    return here and not place.cache.missing(entry.uploads.values())
