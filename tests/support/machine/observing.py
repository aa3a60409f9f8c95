"""All invariants after each step: the log is followed, and rows and files are compared with it."""

from typing import Any

from shared.states import ASSIGNMENT_HELD
from tests.support.machine import keeping, wholes
from tests.support.machine.base import Base
from tests.support.machine.keeping import Files
from tests.support.machine.reference import need
from tests.support.machine.rows import Work
from tests.support.machine.watching import Watch
from tests.support.machine.wholes import Wholes

_ASSIGNMENTS = """
    SELECT id, round_id, client_id, kind, components, state, attempt, released,
        lease_id::text, lease_until, not_before
    FROM assignments
    WHERE state IN ('queued', 'leased', 'suspect') OR id = ANY(%s) OR created_at = %s
    ORDER BY round_id, client_id
"""
_ROUNDS = """
    SELECT id, job_id, phase, number, state, quorum, target, deadline_at, quorum_at, extensions
    FROM rounds WHERE closed_at IS NULL OR closed_at = %s OR id = ANY(%s)
"""
_JOBS = """
    SELECT id, state, CASE WHEN created_at = %s THEN spec END AS spec, created_at,
        forked_from, forked_round, forked_personal_round
    FROM jobs
"""
_EVENTS = "SELECT id, kind, job_id, data FROM events WHERE id > %s ORDER BY id"
_STATES = """
    SELECT job_id, client_id, state_digest, parent_state_digest FROM job_clients
    WHERE state_digest IS NOT NULL OR parent_state_digest IS NOT NULL
"""


class Observing(Base):
    """Sees what the database says after each step."""

    def __init__(self) -> None:
        super().__init__()
        self.watch = Watch(self.reference, self.now)
        self.files = Files(self.arena.coordinators[0].store, self.figures)
        self.wholes = Wholes(self.reference)

    def observe(self) -> None:
        """Follow what is new in the log, then hold every invariant against rows and files."""
        reference = self.reference
        works = [w.id for w in reference.work.values() if w.active]
        live = [r.id for j in reference.jobs.values() if (r := j.live)]
        found = self.arena.query(
            (_ASSIGNMENTS, [works, self.now]),
            (_ROUNDS, [self.now, live]),
            (_JOBS, [self.now]),
            (_EVENTS, [self.last_event]),
            (_STATES, []),
            *wholes.QUERIES,
            keeping.QUERY,
            *self.watch.queries(self.now),
        )
        assignments, rounds, jobs, events, states, *tables, files, late, due = found
        rows = {str(row["id"]): row for part in (assignments, jobs) for row in part}
        rows |= {f"{row['job_id']} {row['phase']} {row['number']}": row for row in rounds}
        for event in events:
            reference.follow(event, rows, self.now)
            self.last_event = event["id"]
        reference.settled()
        self._accepted()
        self._published()
        self._compare_jobs(jobs, rounds)
        for row in assignments:
            self._compare_work(reference.work[str(row["id"])], row)
        self._compare_states(states)
        self.wholes.judge(tables)
        self.files.judge(files)
        self.watch.judge(self.now, late, due)
        need(not self.errors.found, "\n".join(self.errors.found))
        self.figures.checks["steps"] += 1

    def _accepted(self) -> None:
        """What was accepted is one of the results that were sent for it."""
        for work in self.reference.accepted:
            [[row]] = self.arena.query(("SELECT result FROM assignments WHERE id = %s", [work.id]))
            sent = [each for each in work.sent if _as_sent(row["result"], each)]
            need(sent, f"I3 {work.id} was accepted with {row['result']}, which nobody sent")
            work.result = sent[0]
            digest = work.result.get("state_digest")
            if work.client and digest:
                work.job.personal[work.client] = digest
            self.wholes.accepted(work)
        self.reference.accepted = []

    def _published(self) -> None:
        """I6: each new version is the one that the reference computes."""
        for job, number in self.reference.published:
            query = (
                "SELECT component, sha256 FROM version_components "
                "WHERE job_id = %s AND version = %s"
            )
            [rows] = self.arena.query((query, [job.id, number]))
            manifest = {row["component"]: row["sha256"] for row in rows}
            need(manifest == job.versions[number], f"I6 version {number} of {job.id}: {manifest}")
            self.figures.checks["versions"] += 1
        self.reference.published = []

    def _compare_jobs(self, jobs: list[dict[str, Any]], rounds: list[dict[str, Any]]) -> None:
        need(len(jobs) == len(self.reference.jobs), f"I9 {len(jobs)} jobs")
        for row in jobs:
            job = self.reference.jobs[str(row["id"])]
            need(row["state"] == job.state, f"I9 job {job.id} is {row['state']}, not {job.state}")
        for row in rounds:
            mine = self.reference.rounds[str(row["id"])]
            need(row["state"] == mine.state, f"I9 round {mine.id} is {row['state']}")
            need(row["deadline_at"] == mine.deadline, f"round {mine.id}: {row['deadline_at']}")
            need(row["extensions"] == mine.extensions, f"round {mine.id}: {row['extensions']}")
            if row["quorum_at"] != mine.quorum_at:
                need(mine.quorum_at is None, f"round {mine.id}: its quorum came {row['quorum_at']}")
                need(mine.accepted >= mine.quorum, f"round {mine.id} has no quorum")
                mine.quorum_at = row["quorum_at"]

    def _compare_work(self, mine: Work, row: dict[str, Any]) -> None:
        where = f"assignment {mine.id} of {mine.client}"
        need(row["state"] == mine.state, f"I9 {where} is {row['state']}, not {mine.state}")
        need(row["attempt"] == mine.attempt, f"I2 {where} is in attempt {row['attempt']}")
        need(row["released"] == mine.released, f"{where} was released {row['released']} times")
        held = mine.state in ASSIGNMENT_HELD
        if held and mine.lease_id and not self.faulted:
            need(row["lease_id"] == mine.lease_id, f"I2 {where} has lease {row['lease_id']}")
            need(row["lease_until"] == mine.lease_until, f"{where} until {row['lease_until']}")
        mine.lease_id, mine.lease_until = row["lease_id"], row["lease_until"]
        mine.not_before = row["not_before"]

    def _compare_states(self, rows: list[dict[str, Any]]) -> None:
        """I8: the personal state of the last accepted assignment; and what a fork's parent had."""
        mine = {(j.id, c): s for j in self.reference.jobs.values() for c, s in j.personal.items()}
        theirs = {(str(r["job_id"]), r["client_id"]): r["state_digest"] for r in rows}
        need({k: v for k, v in theirs.items() if v} == mine, f"I8 {theirs} is not {mine}")
        mine = {(j.id, c): s for j in self.reference.jobs.values() for c, s in j.inherited.items()}
        theirs = {(str(r["job_id"]), r["client_id"]): r["parent_state_digest"] for r in rows}
        need({k: v for k, v in theirs.items() if v} == mine, f"I8 parents: {theirs}, not {mine}")


def _as_sent(stored: dict[str, Any], sent: dict[str, Any]) -> bool:
    return all(stored.get(name) == value for name, value in sent.items())
