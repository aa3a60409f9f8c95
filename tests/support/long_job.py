"""A long job as its rows are in the end, or in the middle, written without running it.

For what reads jobs: tables, pages, reports. The artifacts are named but not there. All figures are
made up by rule: losses fall from round to round, and every third decision replaces.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

from sqlalchemy import insert
from sqlalchemy.orm import Session

from server.aggregation import client_components, component_weight
from server.columns import Table
from server.database import Sessions
from server.tables import (
    Artifact,
    Assignment,
    Client,
    Contribution,
    Event,
    Job,
    JobClient,
    Round,
    UploadedComponent,
    Version,
    VersionComponent,
)
from shared.components import parse
from shared.job_spec import JobSpec
from shared.messages import AssignmentKind, Catalogue, ClientOffer, ComponentSpec, TensorSpec
from shared.states import AssignmentState, JobState, RoundState
from tests.support.long_job_figures import N_BYTES, measured, personalized, sha, trained

BEGAN = datetime(2026, 1, 31, 12, tzinfo=UTC)
ROUND_S = 90
_NAMES = UUID(int=35)
_KINDS: Sequence[Mapping[str, Any]] = (
    {"kind": "image_classification", "modalities": ["image"], "classes": ["a", "b"]},
    {"kind": "text_classification", "modalities": ["text"], "classes": ["a", "b"]},
    {"kind": "text_generation", "modalities": ["image", "text"]},
)
_COMPONENT = ComponentSpec(
    tensors={f"w{n}": TensorSpec(shape=(16, 16)) for n in range(4)}, frozen_bytes=1 << 20
)


@dataclass(frozen=True)
class LongJob:
    """What job to write: so many rounds and clients, and tasks of each client of twice as many.

    One that has not ended is in its last round, where every other client has delivered.
    """

    name: str = "a long job"
    n_rounds: int = 200
    n_clients: int = 30
    n_tasks: int = 3
    ended: bool = True

    @property
    def id(self) -> UUID:
        """Of the job: by all that it is, for a server keeps what it has read of a job."""
        return uuid5(_NAMES, repr(self))

    @property
    def clients(self) -> list[str]:
        """The names of its clients."""
        return [f"c{number:02}" for number in range(1, self.n_clients + 1)]

    def offer(self, client: str) -> ClientOffer:
        """What the client has: tasks that its neighbour has all but one of."""
        first = self.clients.index(client)
        wanted = [(first + k) % (2 * self.n_tasks) for k in range(self.n_tasks)]
        counts = {"train": {"general": 40 + first}, "validation": 10, "test": 20}
        tasks = {
            f"task-{n}": {
                "kind": _KINDS[n % 3]["kind"],
                "modalities": _KINDS[n % 3]["modalities"],
                "n_classes": len(_KINDS[n % 3].get("classes", ())),
                **counts,
            }
            for n in wanted
        }
        return ClientOffer.model_validate({"tasks": tasks})

    def spec(self) -> JobSpec:
        """Its spec."""
        return JobSpec.model_validate(
            {
                "name": self.name,
                "algorithm": {"name": "tap"},
                "rounds": {"count": self.n_rounds},
                "tasks": {f"task-{n}": _KINDS[n % 3] for n in range(2 * self.n_tasks)},
                "clients": self.clients,
            }
        )


def write(sessions: Sessions, job: LongJob) -> UUID:
    """Write the job's rows; a transaction for each round. Returns its id."""
    writer = _Writer(job)
    with sessions.begin() as session:
        writer.begin(session)
    for number in range(1, job.n_rounds + 1):
        with sessions.begin() as session:
            writer.train(session, number)
    if job.ended:
        with sessions.begin() as session:
            writer.end(session)
    return job.id


class _Writer:
    """Writes one job, phase by phase."""

    def __init__(self, job: LongJob) -> None:
        self.job, self.spec = job, job.spec()
        self.offers = {client: job.offer(client) for client in job.clients}
        self.components = {
            client: sorted(map(str, client_components(self.spec, offer)))
            for client, offer in self.offers.items()
        }
        self.all = sorted({name for names in self.components.values() for name in names})
        self.weights = {
            (client, name): component_weight(parse(name), self.spec, self.offers[client])
            for client, names in self.components.items()
            for name in names
        }
        self.made_in = dict.fromkeys(self.all, 0)

    def begin(self, session: Session) -> None:
        """The clients, the job, and version 0."""
        known = {row.id for row in session.query(Client)}
        offers = {c: o.model_dump(mode="json") for c, o in self.offers.items()}
        _add(
            session,
            Client,
            ({"id": c, "description": "", "offer": o} for c, o in offers.items() if c not in known),
        )
        catalogue = Catalogue(base_digest="b" * 64, components=dict.fromkeys(self.all, _COMPONENT))
        row = {
            "id": self.job.id,
            "name": self.job.name,
            "spec": self.spec.model_dump(mode="json"),
            "state": JobState.SUCCEEDED if self.job.ended else JobState.RUNNING,
            "round_number": self.job.n_rounds,
            "catalogue": catalogue.model_dump(mode="json"),
            "base_digest": catalogue.base_digest,
            "created_at": BEGAN,
            "updated_at": BEGAN + timedelta(seconds=ROUND_S * (self.job.n_rounds + 3)),
        }
        _add(session, Job, [row])
        _add(
            session,
            JobClient,
            ({"job_id": self.job.id, "client_id": c, "offer": o} for c, o in offers.items()),
        )
        self._own_artifacts(session)
        self._round(session, AssignmentKind.PLAN, 0, {})
        self._version(session, 0)

    def train(self, session: Session, number: int) -> None:
        """One round; the last one of a job that has not ended is under way."""
        current = number == self.job.n_rounds and not self.job.ended
        there = self.job.clients[::2] if current else self.job.clients
        results = {
            client: trained(client, self.offers[client].tasks, number, self._own_of(client))
            for client in there
        }
        self._round(session, AssignmentKind.TRAIN, number, results)
        arrived = [(c, name) for c in there for name in self.components[c]]
        _add(session, UploadedComponent, (self._uploaded(number, *each) for each in arrived))
        _add(session, Contribution, (self._contribution(number, *each) for each in arrived))
        if not current:
            self._version(session, number)

    def end(self, session: Session) -> None:
        """Stage two and evaluation."""
        last = self.job.n_rounds
        stage_two = dict.fromkeys(self.job.clients, personalized())
        self._round(session, AssignmentKind.PERSONALIZE, last, stage_two)
        found = {c: measured(c, self.offers[c].tasks) for c in self.job.clients}
        self._round(session, AssignmentKind.EVALUATE, last, found)

    def _round(
        self,
        session: Session,
        phase: AssignmentKind,
        number: int,
        results: Mapping[str, dict[str, Any]],
    ) -> None:
        """A round in which all clients were asked; open where some results are not there."""
        asked = [] if phase is AssignmentKind.PLAN else self.job.clients
        closed = len(results) == len(asked)
        turn = number + (phase is AssignmentKind.PERSONALIZE) + 2 * (phase is _EVALUATE)
        opened = BEGAN + timedelta(seconds=ROUND_S * turn)
        row = {
            "id": self._id(phase, number),
            "job_id": self.job.id,
            "phase": phase,
            "number": number,
            "state": RoundState.PUBLISHED if closed else RoundState.OPEN,
            "quorum": len(asked),
            "target": len(asked),
            "version": number - (phase is AssignmentKind.TRAIN) if asked else None,
            "opened_at": opened,
            "deadline_at": opened + timedelta(hours=1),
            "closed_at": opened + timedelta(seconds=60 + number % 20) if closed else None,
        }
        _add(session, Round, [row])
        _add(session, Assignment, (self._assignment(row, c, results.get(c)) for c in asked))
        _add(session, Event, self._events(row, results))

    def _assignment(
        self, of: Mapping[str, Any], client: str, result: dict[str, Any] | None
    ) -> dict[str, Any]:
        return {
            "id": self._id(of["phase"], of["number"], client),
            "job_id": self.job.id,
            "round_id": of["id"],
            "client_id": client,
            "kind": of["phase"],
            "state": AssignmentState.QUEUED if result is None else AssignmentState.ACCEPTED,
            "components": self.components[client],
            "version": of["version"],
            "attempt": 0 if result is None else 1,
            "progress": 0.0 if result is None else 1.0,
            "result": result,
        }

    def _events(self, of: Mapping[str, Any], results: Iterable[str]) -> Iterator[dict[str, Any]]:
        about = {"phase": of["phase"], "round": of["number"]}
        yield self._event("round.open", of["opened_at"], about)
        for client in results:
            named = {"client": client, "attempt": 1, "assignment": str(self._id(*about.values()))}
            yield self._event("assignment.accepted", of["opened_at"], named)
        if of["closed_at"] is not None:
            yield self._event("round.published", of["closed_at"], about)

    def _event(self, kind: str, at: datetime, data: dict[str, Any]) -> dict[str, Any]:
        return {"kind": kind, "job_id": self.job.id, "at": at, "data": data}

    def _uploaded(self, number: int, client: str, name: str) -> dict[str, Any]:
        return {
            "assignment_id": self._id(AssignmentKind.TRAIN, number, client),
            "component": name,
            "sha256": self._own(client, name),
            "n_bytes": N_BYTES,
            "norm": 1 / number,
        }

    def _contribution(self, number: int, client: str, name: str) -> dict[str, Any]:
        return {
            "round_id": self._id(AssignmentKind.TRAIN, number),
            "component": name,
            "client_id": client,
            "weight": self.weights[client, name],
            "sha256": self._own(client, name),
            "norm": 1 / number,
            "verdict": "accepted",
        }

    def _own_artifacts(self, session: Session) -> None:
        """The clients' artifacts are the same in every round: nobody reads them."""
        hashes = {self._own(c, name) for c, names in self.components.items() for name in names}
        _add(session, Artifact, ({"sha256": h, "n_bytes": N_BYTES} for h in sorted(hashes)))

    def _version(self, session: Session, number: int) -> None:
        """A version that has changed but for every tenth component."""
        changed = [n for k, n in enumerate(self.all) if number == 0 or (k + number) % 10]
        self.made_in |= dict.fromkeys(changed, number)
        made = ({"sha256": self._average(n, number), "n_bytes": N_BYTES} for n in changed)
        _add(session, Artifact, made)
        phase = AssignmentKind.TRAIN if number else AssignmentKind.PLAN
        of = {"job_id": self.job.id, "round_id": self._id(phase, number)}
        _add(session, Version, [{**of, "number": number}])
        _add(
            session,
            VersionComponent,
            (
                {
                    "job_id": self.job.id,
                    "version": number,
                    "component": name,
                    "sha256": self._average(name, made_in),
                    "made_in": made_in,
                }
                for name, made_in in self.made_in.items()
            ),
        )

    def _own_of(self, client: str) -> dict[str, str]:
        return {name: self._own(client, name) for name in self.components[client]}

    def _own(self, client: str, component: str) -> str:
        return sha(str(self.job.id), client, component)

    def _average(self, component: str, version: int) -> str:
        return sha(str(self.job.id), component, version)

    def _id(self, *what: object) -> UUID:
        return uuid5(self.job.id, repr([str(each) for each in what]))


_EVALUATE = AssignmentKind.EVALUATE


def _add(session: Session, table: type[Table], rows: Iterable[dict[str, Any]]) -> None:
    found = list(rows)
    if found:
        session.execute(insert(table), found)
