"""The invariants of the service, as far as the database and the artifact store show them."""

from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from server.aggregation import Contribution as Share
from server.aggregation import aggregate, disclosed
from server.database import Sessions
from server.rounds.service import frozen_offers
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
from server.watchdog import findings
from shared.artifacts import ArtifactStore, digest
from shared.job_spec import JobSpec
from shared.messages import AssignmentKind, Catalogue
from shared.states import (
    AssignmentState,
    JobState,
    RoundState,
    may_follow,
)

# Artifacts that somebody needs.
NEEDED = (
    "SELECT sha256, n_bytes FROM artifacts WHERE sha256 IN (SELECT sha256 FROM "
    "version_components UNION SELECT sha256 FROM contributions c JOIN rounds r ON r.id = "
    "c.round_id WHERE r.closed_at IS NULL UNION SELECT sha256 FROM uploaded_components u "
    "JOIN assignments a ON a.id = u.assignment_id JOIN rounds r ON r.id = a.round_id "
    "WHERE r.closed_at IS NULL UNION SELECT sha256 FROM shelf_models WHERE completed_at IS NOT "
    "NULL AND deleted_at IS NULL)"
)


def check(sessions: Sessions, store: ArtifactStore) -> None:
    """Assert I1 to I9 (see the design of rounds) over everything that is there."""
    with sessions.begin() as session:
        broken = [
            *_one_lease(session),
            *_attempts(session),
            *_contributions(session),
            *_dense(session),
            *_artifacts(session, store),
            *_pure(session, store),
            *(f"I7 {sentence}" for sentence in findings(session)),
            *_personal(session),
            *_events(session),
        ]
    assert not broken, "\n".join(broken)


def _one_lease(session: Session) -> Iterator[str]:
    query = text(
        "SELECT client_id FROM assignments WHERE state = 'leased' AND client_id IS NOT NULL "
        "GROUP BY client_id HAVING count(*) > 1"
    )
    for client in session.scalars(query):
        yield f"I1 {client} holds more than one lease"


def _attempts(session: Session) -> Iterator[str]:
    query = text(
        "SELECT a.id, a.attempt, coalesce(t.last, 0), coalesce(t.claims, 0) FROM assignments a "
        "LEFT JOIN (SELECT assignment_id, max(attempt) AS last, count(*) AS claims "
        "FROM attempts GROUP BY assignment_id) t ON t.assignment_id = a.id "
        "WHERE a.attempt <> coalesce(t.last, 0) OR a.attempt <> coalesce(t.claims, 0)"
    )
    for row, attempt, last, claims in session.execute(query):
        yield (
            f"I2 assignment {row} is in attempt {attempt}, "
            f"but was claimed {claims} times, the last as attempt {last}"
        )


def _contributions(session: Session) -> Iterator[str]:
    """Each is a component of an accepted result of its round, and each such component is one."""
    wanted = {
        (row.round_id, row.client_id, name, sha256)
        for row in session.scalars(
            select(Assignment).where(
                Assignment.kind == AssignmentKind.TRAIN,
                Assignment.state == AssignmentState.ACCEPTED,
            )
        )
        for name, sha256 in (row.result or {})["components"].items()
    }
    found = {
        (c.round_id, c.client_id, c.component, c.sha256)
        for c in session.scalars(select(Contribution))
    }
    for row in wanted ^ found:
        yield f"I3 {row} is {'lost' if row in wanted else 'not accepted'}"


def _dense(session: Session) -> Iterator[str]:
    for job in session.scalars(select(Job)):
        rounds = _rounds(session, job.id)
        training = [row for row in rounds if row.phase is AssignmentKind.TRAIN]
        first = (job.forked_round or 0) + 1
        if [row.number for row in training] != list(range(first, first + len(training))):
            yield f"I4 job {job.id} has rounds {[row.number for row in training]}"
        published = [
            (row.number, row.id)
            for row in rounds
            if row.phase in {AssignmentKind.PLAN, AssignmentKind.TRAIN}
            and row.state is RoundState.PUBLISHED
        ]
        versions = select(Version.number, Version.round_id).where(Version.job_id == job.id)
        made = sorted(tuple(row) for row in session.execute(versions))
        if made != sorted(published):
            yield f"I4 job {job.id} has versions {made} of rounds {published}"


def _rounds(session: Session, job_id: UUID) -> list[Round]:
    query = select(Round).where(Round.job_id == job_id).order_by(Round.number, Round.opened_at)
    return list(session.scalars(query))


def _artifacts(session: Session, store: ArtifactStore) -> Iterator[str]:
    for sha256, n_bytes in session.execute(text(NEEDED)):
        if not store.has(sha256):
            yield f"I5 artifact {sha256} is not there"
        elif store.size(sha256) != n_bytes or digest(store.read(sha256)) != sha256:
            yield f"I5 artifact {sha256} is damaged"


def _pure(session: Session, store: ArtifactStore) -> Iterator[str]:
    """Each version is made again from the one before and the accepted contributions.

    A job's first version has none before it: it is planned, or a fork's parent has it.
    """
    query = (
        select(Version)
        .join(Job, Job.id == Version.job_id)
        .where(Version.number > func.coalesce(Job.forked_round, 0))
        .order_by(Version.job_id, Version.number)
    )
    with TemporaryDirectory() as directory:
        for version in session.scalars(query):
            made = _made_again(session, store, version, Path(directory))
            manifest = _manifest(session, version.job_id, version.number)
            if made is not None and manifest != made:
                yield f"I6 version {version.number} of job {version.job_id} is another one"


def _manifest(session: Session, job_id: UUID, number: int) -> dict[str, str]:
    query = select(VersionComponent).where(
        VersionComponent.job_id == job_id, VersionComponent.version == number
    )
    return {row.component: row.sha256 for row in session.scalars(query)}


def _made_again(
    session: Session, store: ArtifactStore, version: Version, directory: Path
) -> dict[str, str] | None:
    """What the version must hold; None where a contribution has been collected since."""
    rows = session.scalars(
        select(Contribution).where(Contribution.round_id == version.round_id)
    ).all()
    if not all(store.has(row.sha256) for row in rows):
        return None
    job = session.get_one(Job, version.job_id)
    specs = Catalogue.model_validate(job.catalogue).components
    spec = JobSpec.model_validate(job.spec)
    beside = ArtifactStore(directory, durable=False)
    made = _manifest(session, version.job_id, version.number - 1)
    sent: defaultdict[str, list[Share]] = defaultdict(list)
    for row in rows:
        sent[row.component].append(Share(row.client_id, row.sha256, row.weight))
    offers = frozen_offers(session, version.job_id).values()
    for name, shares in disclosed(sent, spec, offers).items():
        for share in shares:
            beside.write(store.read(share.sha256), share.sha256)
        made[name] = aggregate(shares, specs[name], beside, spec.aggregation.low_rank).sha256
    return made


def _personal(session: Session) -> Iterator[str]:
    for row in session.scalars(select(JobClient)):
        query = (
            select(Assignment)
            .join(Round, Round.id == Assignment.round_id)
            .where(
                Assignment.job_id == row.job_id,
                Assignment.client_id == row.client_id,
                Assignment.state == AssignmentState.ACCEPTED,
            )
            .order_by(Round.opened_at)
        )
        digests = [(a.result or {}).get("state_digest") for a in session.scalars(query)]
        last = next((each for each in reversed(digests) if each), row.parent_state_digest)
        if row.state_digest != last:
            yield f"I8 {row.client_id} has state {row.state_digest}, not {last}"


_KINDS: dict[str, Any] = {
    "job": JobState,
    "round": RoundState,
    "assignment": AssignmentState,
}
_STARTS = {JobState.SUBMITTED, RoundState.OPEN, AssignmentState.QUEUED}


def _events(session: Session) -> Iterator[str]:
    """Each row's events lead, by allowed steps, from its first state to the one that it has."""
    said = _histories(session)
    rows: dict[tuple[str, str], Any] = {
        **{("job", str(row.id)): row.state for row in session.scalars(select(Job))},
        **{
            ("round", f"{row.job_id} {row.phase} {row.number}"): row.state
            for row in session.scalars(select(Round))
        },
        **{("assignment", str(row.id)): row.state for row in session.scalars(select(Assignment))},
    }
    for key, state in rows.items():
        history = said.get(key, [])
        if not history or history[0] not in _STARTS or history[-1] is not state:
            yield f"I9 {key} is {state}, but its events say {history}"
        for before, after in pairwise(history):
            if not may_follow(before, after):
                yield f"I9 {key} went from {before} to {after}"


def _histories(session: Session) -> dict[tuple[str, str], list[Any]]:
    """The states that the events name, by row, in order."""
    found: dict[tuple[str, str], list[Any]] = {}
    for event in session.scalars(select(Event).order_by(Event.id)):
        kind, _, word = event.kind.partition(".")
        if kind not in _KINDS or word not in set(_KINDS[kind]):
            continue
        data = event.data
        row = {
            "job": str(event.job_id),
            "round": f"{event.job_id} {data.get('phase')} {data.get('round')}",
            "assignment": data.get("assignment", ""),
        }[kind]
        found.setdefault((kind, row), []).append(_KINDS[kind](word))
    return found
