"""Doing one claimed assignment: plan, train, personalize, evaluate."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TypedDict
from uuid import UUID

from shared.artifacts import ArtifactStore
from shared.components import parse
from shared.crash_points import crash_point
from shared.job_spec import JobSpec
from shared.messages import (
    AssignmentKind,
    AssignmentResult,
    Claim,
    EvaluateResult,
    PersonalizeResult,
    TaskScore,
    TrainResult,
    Variant,
)
from worker.algorithm.stages import Personal, client_round, final_models, personalize
from worker.artifacts import load_state, network_specs, save_state
from worker.coordinator import Hold
from worker.data.client_file import SplitName
from worker.models.base import load_base
from worker.models.network import Network, State
from worker.planner import plan
from worker.state import PersonalStore
from worker.training.evaluation import evaluate
from worker.training.trainer import Trainer
from worker.workplace import Workplace


class Held(TypedDict):
    """The lease's part of every report."""

    lease_id: UUID
    attempt: int


@dataclass(frozen=True)
class Work:
    """A client's assignment with all that it takes: the arguments of what it asks for."""

    claim: Claim
    hold: Hold
    trainer: Trainer
    cache: ArtifactStore
    store: PersonalStore
    server: State  # the client's components of the claim's version
    personal: Personal

    @property
    def held(self) -> Held:
        """The lease's part of the report."""
        return Held(lease_id=self.claim.lease.id, attempt=self.claim.lease.attempt)


def perform(claim: Claim, place: Workplace, hold: Hold) -> AssignmentResult:
    """Do an assignment. The files of the result are in the cache, its personal state is saved.

    Raises BaseError, DataError, StateError, DivergedError, ArtifactError, ApiError, WithdrawnError.
    """
    if claim.kind is AssignmentKind.PLAN:
        return plan(claim, place.cache, hold)
    work = _work(claim, place, hold)
    match claim.kind:
        case AssignmentKind.TRAIN:
            return _train(work)
        case AssignmentKind.PERSONALIZE:
            return _personalize(work)
        case AssignmentKind.EVALUATE:
            return _evaluate(work)


def _work(claim: Claim, place: Workplace, hold: Hold) -> Work:
    trainer = _trainer(claim, place, hold)
    store = place.personal_store(claim.job_id)
    specs = network_specs(trainer.network, claim.components)
    personal = place.personal(claim, specs)
    server = load_state(hold.pull(claim.manifest, specs), specs)
    if claim.parent_job_id is not None:
        personal = personal.completed(server)
    return Work(claim, hold, trainer, place.cache, store, server, personal)


def _train(work: Work) -> TrainResult:
    outcome = client_round(work.trainer, work.server, work.personal, work.claim.round)
    manifest = {} if outcome.engaged is None else save_state(work.cache, outcome.engaged)
    return TrainResult(
        **work.held,
        components={n: sha for n, sha in manifest.items() if sha != work.claim.manifest[n]},
        losses=dict(outcome.losses),
        decisions=outcome.decisions,
        state_digest=work.store.save(outcome.personal),
        traffic=work.hold.traffic,
    )


def _personalize(work: Work) -> PersonalizeResult:
    outcome = personalize(work.trainer, work.server, work.personal)
    return PersonalizeResult(
        **work.held,
        losses=dict(outcome.losses),
        state_digest=work.store.save(outcome.personal),
        traffic=work.hold.traffic,
    )


def _evaluate(work: Work) -> EvaluateResult:
    models = final_models(work.trainer, work.server, work.personal)
    return EvaluateResult(
        **work.held,
        scores=_scores(work.trainer, models, "test"),
        validation=_scores(work.trainer, models, "validation"),
        traffic=work.hold.traffic,
    )


def _scores(
    trainer: Trainer, models: Mapping[Variant, State], split: SplitName
) -> dict[Variant, dict[str, TaskScore]]:
    return {v: evaluate(trainer.network, m, trainer.data, split) for v, m in models.items()}


def _trainer(claim: Claim, place: Workplace, hold: Hold) -> Trainer:
    base = load_base(claim.spec.model.model_copy(update={"digest": claim.base_digest}))
    network = _network(claim.spec.model_dump_json(), claim.components).to(place.device)
    steps = claim.spec.training.local_steps

    def on_step(done: int) -> None:
        crash_point("worker.training")
        hold.check(min(done / steps, 1.0))

    data, checkpoints = place.data(claim.spec, base), place.checkpoints(claim.assignment_id)
    return Trainer(place.name, claim.spec, network, data, on_step, checkpoints)


@lru_cache(maxsize=16)
def _network(spec: str, components: tuple[str, ...]) -> Network:
    """The network of a spec and its components: clients that use the same share it."""
    job = JobSpec.model_validate_json(spec)
    return Network(job, load_base(job.model), [parse(name) for name in components])
