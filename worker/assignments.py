"""Doing one claimed assignment: plan, train, personalize, evaluate."""

from collections.abc import Mapping
from functools import lru_cache
from typing import TypedDict
from uuid import UUID

from shared.artifacts import ArtifactStore
from shared.components import parse
from shared.job_spec import JobSpec
from shared.messages import (
    AssignmentKind,
    Claim,
    EvaluateResult,
    PersonalizeResult,
    PlanResult,
    TaskScore,
    TrainResult,
    Variant,
)
from worker.algorithm.stages import client_round, final_models, personalize
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

Result = PlanResult | TrainResult | PersonalizeResult | EvaluateResult


class Held(TypedDict):
    """The lease's part of every report."""

    lease_id: UUID
    attempt: int


def perform(claim: Claim, place: Workplace, hold: Hold) -> tuple[Result, PersonalStore | None]:
    """Do an assignment; the store, if any, is to promote the result's state once acknowledged.

    Raises BaseError, DataError, StateError, DivergedError, ArtifactError, ApiError, WithdrawnError.
    """
    if claim.kind is AssignmentKind.PLAN:
        return plan(claim, place.cache, hold), None
    trainer = _trainer(claim, place, hold)
    store = place.personal_store(claim.job_id)
    return _at_client(claim, trainer, store, hold, place.cache), store


def _at_client(
    claim: Claim, trainer: Trainer, store: PersonalStore, hold: Hold, cache: ArtifactStore
) -> Result:
    specs = network_specs(trainer.network, claim.components)
    personal = store.load(claim.state_digest, specs)
    server = load_state(hold.pull(claim.manifest), specs)
    held = Held(lease_id=claim.lease.id, attempt=claim.lease.attempt)
    match claim.kind:
        case AssignmentKind.TRAIN:
            outcome = client_round(trainer, server, personal, claim.round)
            changed = _push_changes(claim, outcome.engaged, hold, cache)
            return TrainResult(
                **held,
                components=changed,
                losses=dict(outcome.losses),
                decisions=outcome.decisions,
                state_digest=store.save(outcome.personal),
                traffic=hold.traffic,
            )
        case AssignmentKind.PERSONALIZE:
            outcome = personalize(trainer, server, personal)
            digest = store.save(outcome.personal)
            return PersonalizeResult(
                **held, losses=dict(outcome.losses), state_digest=digest, traffic=hold.traffic
            )
        case AssignmentKind.EVALUATE:
            models = final_models(trainer, server, personal)
            return EvaluateResult(
                **held,
                scores=_scores(trainer, models, "test"),
                validation=_scores(trainer, models, "validation"),
                traffic=hold.traffic,
            )
        case AssignmentKind.PLAN:
            raise ValueError("planning is not a client's")


def _scores(
    trainer: Trainer, models: Mapping[Variant, State], split: SplitName
) -> dict[Variant, dict[str, TaskScore]]:
    return {v: evaluate(trainer.network, m, trainer.data, split) for v, m in models.items()}


def _push_changes(
    claim: Claim, engaged: State | None, hold: Hold, cache: ArtifactStore
) -> dict[str, str]:
    """Upload the components that training changed; returns their artifacts."""
    manifest = {} if engaged is None else save_state(cache, engaged)
    changed = {name: sha for name, sha in manifest.items() if sha != claim.manifest[name]}
    hold.push(changed)
    return changed


def _trainer(claim: Claim, place: Workplace, hold: Hold) -> Trainer:
    base = load_base(claim.spec.model.model_copy(update={"digest": claim.base_digest}))
    network = _network(claim.spec.model_dump_json(), claim.components).to(place.device)
    steps = claim.spec.training.local_steps

    def on_step(done: int) -> None:
        hold.check(min(done / steps, 1.0))

    return Trainer(place.name, claim.spec, network, place.data(claim.spec, base), on_step)


@lru_cache(maxsize=16)
def _network(spec: str, components: tuple[str, ...]) -> Network:
    """The network of a spec and its components: clients that use the same share it."""
    job = JobSpec.model_validate_json(spec)
    return Network(job, load_base(job.model), [parse(name) for name in components])
