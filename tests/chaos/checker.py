"""Recomputes every version from the log, without the server's own code for it.

The events say which assignments were accepted, their results say which components each brought, and
the ledger says with which weight. From version 0 on, each round's averages are made with numpy.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import numpy as np
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from server.database import Sessions
from server.tables import (
    Assignment,
    Contribution,
    Event,
    Job,
    JobClient,
    Round,
    Version,
    VersionComponent,
)
from shared.artifacts import ArtifactStore
from shared.messages import AssignmentKind, Catalogue
from shared.states import JOB_TERMINAL, JobState, RoundState
from shared.tensor_file import component_layout
from tests.support import invariants


@dataclass
class Checked:
    """What was looked at, and what was found wrong."""

    counts: dict[str, int]
    lost: list[str]
    twice: list[str]
    stuck: list[str]
    other: list[str]

    @property
    def wrong(self) -> list[str]:
        """All sentences."""
        return [*self.lost, *self.twice, *self.stuck, *self.other]


def check(sessions: Sessions, store: ArtifactStore, personal: Iterable[Path]) -> Checked:
    """Check all that the database and the disks hold. `personal`: directories of clients."""
    found = Checked({}, [], [], [], [])
    try:
        invariants.check(sessions, store)
    except AssertionError as error:
        found.other += str(error).splitlines()
    with sessions.begin() as session:
        _count(session, found)
        _accepted_once(session, found)
        _ended(session, found)
        for job in session.scalars(select(Job)):
            found.other += _recomputed(session, store, job)
        found.other += _personal(session, {path.name: path for path in personal})
    return found


def _count(session: Session, found: Checked) -> None:
    for table in (Job, Round, Assignment, Contribution, Version, Event):
        rows = session.scalar(select(func.count()).select_from(table)) or 0
        found.counts[table.__name__.lower() + "s"] = rows


def _accepted_once(session: Session, found: Checked) -> None:
    """Each acceptance that the log tells is one result, in one published or open round, once."""
    kind = "assignment.accepted"
    said = [e.data["assignment"] for e in session.scalars(select(Event).where(Event.kind == kind))]
    found.twice += [f"{name} was accepted {n} times" for name, n in Counter(said).items() if n > 1]
    ledger: dict[tuple[UUID, str], dict[str, str]] = {}
    for c in session.scalars(select(Contribution)):
        ledger.setdefault((c.round_id, c.client_id), {})[c.component] = c.sha256
    for name in set(said):
        row = session.get_one(Assignment, UUID(name))
        if row.kind is not AssignmentKind.TRAIN:
            continue
        brought = (row.result or {})["components"]
        counted = ledger.pop((row.round_id, str(row.client_id)), {})
        found.lost += [f"{name}: {c} is not counted" for c in brought if c not in counted]
        found.twice += [f"{name}: {c} was not brought" for c in counted if c not in brought]
    found.twice += [f"{client} counts in a round that did not accept it" for _, client in ledger]


def _ended(session: Session, found: Checked) -> None:
    for job in session.scalars(select(Job).where(Job.state.not_in(JOB_TERMINAL))):
        found.stuck.append(f"job {job.id} is {job.state}")


def _recomputed(session: Session, store: ArtifactStore, job: Job) -> list[str]:
    """Where a version is not what the one before and its round's contributions make."""
    if job.catalogue is None:
        return []
    specs = Catalogue.model_validate(job.catalogue).components
    query = select(Round).where(Round.job_id == job.id, Round.phase == AssignmentKind.TRAIN)
    model = _manifest(session, job.id, 0)
    wrong = []
    for row in session.scalars(query.order_by(Round.number)):
        if row.state is not RoundState.PUBLISHED:
            continue
        shares: dict[str, list[Contribution]] = {}
        for c in session.scalars(select(Contribution).where(Contribution.round_id == row.id)):
            shares.setdefault(c.component, []).append(c)
        for name, given in shares.items():
            layout = component_layout(specs[name])
            model[name] = _mean(store, layout.header, given)
        held = _manifest(session, job.id, row.number)
        wrong += [f"{n} of version {row.number} of {job.id}" for n in held if held[n] != model[n]]
    return wrong


def _manifest(session: Session, job: UUID, number: int) -> dict[str, str]:
    query = select(VersionComponent).where(
        VersionComponent.job_id == job, VersionComponent.version == number
    )
    return {row.component: row.sha256 for row in session.scalars(query)}


def _mean(store: ArtifactStore, header: bytes, shares: list[Contribution]) -> str:
    """The sha256 of the weighted mean's file."""
    total = sum(share.weight for share in shares)
    mean = np.zeros(1)
    for share in sorted(shares, key=lambda s: s.client_id):
        content = store.path(share.sha256).read_bytes()
        values = np.frombuffer(content, "<f4", offset=len(header)).astype(np.float64)
        mean = mean + share.weight / total * values
    return hashlib.sha256(header + mean.astype("<f4").tobytes()).hexdigest()


def _personal(session: Session, places: Mapping[str, Path]) -> list[str]:
    """Where a client's disk holds another personal state than the one that was accepted last."""
    query = select(JobClient).join(Job, Job.id == JobClient.job_id)
    wrong = []
    for row in session.scalars(query.where(Job.state == JobState.SUCCEEDED)):
        pointer = places[row.client_id] / str(row.job_id) / "current"
        here = pointer.read_text().split()[0] if pointer.is_file() else None  # the newest
        if here != row.state_digest:
            wrong.append(f"{row.client_id} has state {here}, accepted was {row.state_digest}")
    return wrong
