"""The reference: a small model in memory that follows the log of events and objects.

Whatever the service does must be said by an event, each event must be allowed where it stands, and
the rows must be what the events make of them.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from server.lifecycle import Scalar
from shared.attendance import OfferChange
from shared.job_spec import JobSpec
from shared.messages import AssignmentKind, ClientOffer, FailureCode
from shared.states import (
    ASSIGNMENT_CLAIMABLE,
    ASSIGNMENT_HELD,
    AssignmentState,
    JobState,
    RoundState,
    may_follow,
)
from tests.support.machine.averages import Averages
from tests.support.machine.rows import Job, Round, Work

Data = Mapping[str, Scalar]
Row = Mapping[str, Any]


def need(truth: object, sentence: str) -> None:
    """Raises AssertionError with the sentence where something must hold and does not."""
    if not truth:
        raise AssertionError(sentence)


class Reference:
    """All jobs, as they must be."""

    def __init__(self, averages: Averages) -> None:
        self.averages = averages
        self.jobs: dict[str, Job] = {}
        self.rounds: dict[str, Round] = {}
        self.work: dict[str, Work] = {}
        self.offers: dict[str, ClientOffer] = {}
        self.published: list[tuple[Job, int]] = []  # since it was last looked at
        self.accepted: list[Work] = []  # likewise
        self._superseded: list[Work] = []

    def follow(self, event: Row, rows: Mapping[str, Row], now: datetime) -> None:
        """Take an event over. Raises AssertionError where it is not allowed."""
        kind, _, word = event["kind"].partition(".")
        job = self.jobs.get(str(event["job_id"]))
        data: Data = event["data"]
        where = f"event {event['id']} {event['kind']} {data}"
        if kind == "job" and word == JobState.SUBMITTED and job is None:
            self._submitted(rows[str(event["job_id"])], now)
            return
        if job is None:
            raise AssertionError(f"I9 {where}: of an unknown job")
        if kind == "job":
            self._job(job, JobState(word), now, where)
        elif kind == "round":
            self._round(job, word, data, rows, now, where)
        elif kind == "assignment":
            self._assignment(job, AssignmentState(word), data, rows, now, where)
        elif kind == "client":
            self._changed(job, word, data, where)
        else:
            raise AssertionError(f"{where}: nobody expected that")

    def _changed(self, job: Job, word: str, data: Data, where: str) -> None:
        """A client has less for a job, or has it again: what it is asked for follows."""
        need(not job.ended, f"{where}: the job has ended")
        client = str(data["client"])
        change = OfferChange(
            lost=word == "lost", **{k: v for k, v in data.items() if k != "client"}
        )
        before = job.lasting(client)
        job.changes.setdefault(client, []).append(change)
        need(job.lasting(client) != before, f"{where}: that was so already")
        for work in self.work.values():
            if work.job is job and work.client == client and work.active:
                work.components = job.wanted(client)

    def check_offers(self, client: str) -> None:
        """Raises AssertionError where a job goes by other than what its client had and has."""
        now = self.offers[client]
        for job in self.jobs.values():
            if client in job.offers and not job.ended:
                both = {
                    name: set(task.modalities) & set(now.tasks[name].modalities)
                    for name, task in job.offers[client].tasks.items()
                    if name in job.spec.tasks and name in now.tasks
                }
                left = job.lasting(client).tasks
                found = {n: set(left[n].modalities) for n in left if n in job.spec.tasks}
                need(found == both, f"{client} in {job.id} has {found}, expected {both}")

    def settled(self) -> None:
        """All events of a step are followed: nothing may hang in the air."""
        for work in self._superseded:
            need(work.round.state is not RoundState.OPEN, f"{work.id} ended in an open round")
        self._superseded = []

    def _submitted(self, row: Row, now: datetime) -> None:
        need(row["spec"], f"I9 job {row['id']} was made in secret, at {row['created_at']}")
        spec = JobSpec.model_validate(row["spec"])
        offers = {client: self.offers[client] for client in spec.clients}
        job = Job(str(row["id"]), spec, offers, now, now)
        if row["forked_from"]:
            job.parent, job.begins = self.jobs[str(row["forked_from"])], row["forked_round"]
            job.catalogue = job.parent.catalogue
            other = row["forked_personal_round"]
            known = self.states_at(job.parent, job.begins if other is None else other)
            job.inherited = {client: known[client] for client in offers if client in known}
            job.personal = dict(job.inherited)
        self.jobs[job.id] = job

    def states_at(self, job: Job, number: int) -> dict[str, str]:
        """The personal state of each client behind round `number`, for a fork."""
        found = dict(job.inherited)
        for row in job.rounds:
            training = row.phase is AssignmentKind.TRAIN and row.number <= number
            if training and row.state is RoundState.PUBLISHED:
                for work in row.members:
                    digest = (work.result or {}).get("state_digest")
                    if work.client and digest:
                        found[work.client] = digest
        return found

    def _job(self, job: Job, state: JobState, now: datetime, where: str) -> None:
        need(may_follow(job.state, state), f"I9 {where}: the job was {job.state}")
        if job.state is JobState.PAUSED and state not in {JobState.CANCELLING, JobState.FAILED}:
            need(state is job.paused_from, f"{where}: it was paused from {job.paused_from}")
            live, paused = job.live, now - (job.paused_at or now)
            if live is not None:
                live.deadline += paused
                live.quorum_at = live.quorum_at and live.quorum_at + paused
        if state is JobState.PAUSED:
            job.paused_from, job.paused_at = job.state, now
        if state is JobState.FAILED:
            need(job.live is None, f"{where}: it has an open round")
        if state is JobState.SUCCEEDED:
            need(job.rounds[-1].phase is AssignmentKind.EVALUATE, f"{where}: too early")
        job.state, job.since = state, now

    def _round(
        self, job: Job, word: str, data: Data, rows: Mapping[str, Row], now: datetime, where: str
    ) -> None:
        if word == RoundState.OPEN:
            self._opened(job, data, rows, now, where)
            return
        live = job.live
        need(live, f"I9 {where}: no round is open")
        assert live is not None
        if word == "extended":
            awaited = sum(member.active for member in live.members)
            need(live.lacks(now, awaited) and live.can_extend, f"{where}: without need")
            need(not live.hopeless(awaited), f"{where}: nothing can help it")
            live.extensions += 1
            live.deadline = now + job.spec.rounds.deadline
            return
        if word == "aggregation_failed":
            need("CollectedError" in str(data["reason"]), f"{where}: why?")
            return
        state = RoundState(word)
        need(may_follow(live.state, state), f"I9 {where}: it was {live.state}")
        awaited = sum(member.round is live for member in self._superseded)
        if state is RoundState.AGGREGATING:
            need(not any(m.active for m in live.members), f"{where}: somebody is left open")
            need(live.may_close(now, awaited), f"{where}: too early")
        if state is RoundState.FAILED:
            self._may_fail(live, data, now, awaited, where)
        live.state = state
        if state is RoundState.PUBLISHED:
            self._publish(live)

    def _may_fail(self, live: Round, data: Data, now: datetime, awaited: int, where: str) -> None:
        match data.get("code"):
            case None:
                need(live.job.state is JobState.CANCELLING, f"{where}: nobody cancelled it")
            case "failure_budget":
                need(live.job.over_budget, f"{where}: it is within its budget")
            case "quorum_missed" | "planning_failed":
                end = live.hopeless(awaited) or not live.can_extend
                need(live.lacks(now, awaited) and end, f"{where}: too early")
            case code:
                need(code == "aggregation_failed", f"{where}: why?")

    def _opened(
        self, job: Job, data: Data, rows: Mapping[str, Row], now: datetime, where: str
    ) -> None:
        need(job.live is None, f"{where}: another one is open")
        row = rows[f"{job.id} {data['phase']} {data['round']}"]
        inherited = job.parent is not None and row["phase"] == AssignmentKind.PLAN
        deadline = now if inherited else now + job.spec.rounds.deadline
        phase = AssignmentKind(row["phase"])
        made = Round(
            job, str(row["id"]), phase, row["number"], row["quorum"], row["target"], deadline
        )
        if phase is AssignmentKind.TRAIN:
            last = max(job.versions)
            need(made.number == last + 1, f"I4 {where}: version {last} is the newest")
            need(made.target == job.spec.clients_per_round, f"{where}: target {made.target}")
            need(made.quorum == job.spec.quorum, f"{where}: quorum {made.quorum}")
        need(not job.over_budget, f"{where}: its budget of failures is used up")
        job.rounds.append(made)
        self.rounds[made.id] = made

    def _publish(self, row: Round) -> None:
        job = row.job
        if row.phase is AssignmentKind.PLAN:
            if job.parent is not None:
                manifest = dict(job.parent.versions[row.number])
            else:
                [planned] = [m for m in row.members if m.state is AssignmentState.ACCEPTED]
                manifest = dict((planned.result or {})["components"])
        elif row.phase is AssignmentKind.TRAIN:
            manifest = self.averages.next_version(row, job.versions[row.number - 1])
        else:
            return
        job.versions[row.number] = manifest
        self.published.append((job, row.number))

    def _assignment(
        self,
        job: Job,
        state: AssignmentState,
        data: Data,
        rows: Mapping[str, Row],
        now: datetime,
        where: str,
    ) -> None:
        name = str(data["assignment"])
        work = self.work.get(name)
        if work is None:
            need(state is AssignmentState.QUEUED, f"I9 {where}: it was never queued")
            self._asked(job, rows[name], now, where)
            return
        need(may_follow(work.state, state), f"I9 {where}: it was {work.state}")
        match state:
            case AssignmentState.LEASED:
                self._leased(work, data, now, where)
            case AssignmentState.SUSPECT:
                need(work.lease_until and work.lease_until < now, f"{where}: its lease runs")
            case AssignmentState.QUEUED:
                need(work.state in ASSIGNMENT_HELD, f"{where}: nobody held it")
                full = data.get("code") == FailureCode.NO_SPACE
                work.released += full or bool(data.get("released"))
            case AssignmentState.ACCEPTED:
                need(not job.ended, f"{where}: in a job that has ended")
                self.accepted.append(work)
                work.offer = job.lasting(work.client) if work.client else None
            case AssignmentState.SUPERSEDED:
                self._superseded.append(work)
            case AssignmentState.CANCELLED:
                need(job.state is JobState.CANCELLING, f"{where}: nobody cancelled it")
        work.state, work.since = state, now

    def _leased(self, work: Work, data: Data, now: datetime, where: str) -> None:
        others = [w for w in self.work.values() if w.client == work.client and w.client]
        leased = [w for w in others if w.state is AssignmentState.LEASED and w is not work]
        need(not leased, f"I1 {where}: the client holds another one")
        if data.get("resumed"):
            need(work.state is AssignmentState.SUSPECT, f"{where}: it was {work.state}")
            return
        need(work.job.works and work.state in ASSIGNMENT_CLAIMABLE, f"{where}: not claimable")
        need(not work.not_before or work.not_before <= now, f"{where}: too early")
        need(not work.exhausted, f"{where}: all attempts are used up")
        work.attempt += 1
        need(data["attempt"] == work.attempt, f"I2 {where}: it is attempt {work.attempt}")

    def _asked(self, job: Job, row: Row, now: datetime, where: str) -> None:
        live = self.rounds[str(row["round_id"])]
        need(live is job.live and live.state is RoundState.OPEN, f"{where}: in a closed round")
        client = row["client_id"]
        need(client not in [m.client for m in live.members], f"{where}: asked twice")
        wanted = job.wanted(client)
        need(tuple(row["components"]) == wanted, f"{where}: asks for {row['components']}")
        kind = AssignmentKind(row["kind"])
        made = Work(str(row["id"]), job, live, client, kind, wanted, now, now)
        live.members.append(made)
        self.work[made.id] = made
