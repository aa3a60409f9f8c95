"""Queries about versions and their lineage."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import false, func, or_, select
from sqlalchemy.orm import Session

from server.paging import Behind, Column, Order, number
from server.tables import Artifact, Contribution, Job, Version, VersionComponent
from shared.views import NumberOrder


@dataclass(frozen=True, slots=True)
class Entry:
    """One component of a version, with the size of its artifact."""

    component: str
    sha256: str
    made_in: int
    n_bytes: int
    relative_error: float | None


@dataclass(frozen=True, slots=True)
class Summary:
    """A version and the size of its manifest."""

    number: int
    created_at: datetime
    n_components: int
    n_changed: int
    n_bytes: int


def sorted_by(sort: NumberOrder) -> Order[Summary]:
    """How a list of versions goes."""
    return Order("versions", sort, Column(Version.number, lambda row: row.number, number))


_OLDEST_FIRST = sorted_by("number").behind()


def get_version(session: Session, job_id: UUID, number: int) -> Version | None:
    """The version, if the job has it."""
    return session.get(Version, (job_id, number))


def newest_version(session: Session, job_id: UUID) -> int | None:
    """The number of the job's newest version."""
    return session.scalar(select(func.max(Version.number)).where(Version.job_id == job_id))


def entries(session: Session, job_id: UUID, number: int) -> list[Entry]:
    """The manifest of a version, by component."""
    query = (
        select(VersionComponent, Artifact.n_bytes)
        .join(Artifact, Artifact.sha256 == VersionComponent.sha256)
        .where(VersionComponent.job_id == job_id, VersionComponent.version == number)
        .order_by(VersionComponent.component)
    )
    return [
        Entry(row.component, row.sha256, row.made_in, n_bytes, row.relative_error)
        for row, n_bytes in session.execute(query)
    ]


def summaries(
    session: Session,
    job_id: UUID,
    behind: Behind = _OLDEST_FIRST,
    limit: int | None = None,
    after: int | None = None,
) -> list[Summary]:
    """The versions of a job, those behind one if it is named, in an order from some place on."""
    changed = VersionComponent.made_in == VersionComponent.version
    query = (
        select(
            Version.number,
            Version.created_at,
            func.count(),
            func.count().filter(changed),
            func.sum(Artifact.n_bytes),
        )
        .join(
            VersionComponent,
            (VersionComponent.job_id == Version.job_id)
            & (VersionComponent.version == Version.number),
        )
        .join(Artifact, Artifact.sha256 == VersionComponent.sha256)
        .where(Version.job_id == job_id)
        .group_by(Version.job_id, Version.number)
        .limit(limit)
    )
    if after is not None:
        query = query.where(Version.number > after)
    return [
        Summary(number, created_at, n_components, n_changed, int(n_bytes))
        for number, created_at, n_components, n_changed, n_bytes in session.execute(behind(query))
    ]


def contributions(
    session: Session, job_id: UUID, versions: set[int]
) -> list[tuple[int, Contribution]]:
    """(version, contribution) of everything that was averaged into these versions."""
    made = [
        (Version.job_id == owner) & Version.number.in_(numbers)
        for owner, numbers in _owners(session, job_id, versions).items()
    ]
    query = (
        select(Version.number, Contribution)
        .join(Contribution, Contribution.round_id == Version.round_id)
        .where(or_(false(), *made))
        .order_by(Version.number, Contribution.component, Contribution.client_id)
    )
    return [(number, row) for number, row in session.execute(query)]


def _owners(session: Session, job_id: UUID, versions: set[int]) -> dict[UUID, set[int]]:
    """Which job made each version: the job itself, or one that it was forked from."""
    owners: dict[UUID, set[int]] = {}
    while versions:
        job = session.get_one(Job, job_id)
        inherited = {n for n in versions if job.forked_round is not None and n <= job.forked_round}
        owners[job.id] = versions - inherited
        job_id, versions = job.forked_from or job.id, inherited
    return owners
