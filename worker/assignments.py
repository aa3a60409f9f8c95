"""Doing one claimed assignment in the training process: plan, train, personalize, evaluate."""

import logging
import resource
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TypedDict
from uuid import UUID

import torch

from shared.artifacts import ArtifactError, ArtifactStore
from shared.crash_points import crash_point
from shared.dry_run import DryRunClaim, DryRunDescription
from shared.job_spec import JobSpec
from shared.messages import AssignmentKind, Claim, FailureCode
from shared.results import (
    AssignmentResult,
    EvaluateResult,
    PersonalizeResult,
    TrainResult,
)
from worker.algorithm.method import Personal
from worker.algorithm.methods import method_of
from worker.artifacts import known, load_server_state, network_specs, save_state
from worker.data.sources import DataError
from worker.failures import FailedError, of_disk
from worker.metrics.errors import MetricError
from worker.metrics.ready import check_metrics
from worker.models.base import BaseError, load_base
from worker.models.network import Network, State
from worker.personal_files import StateError
from worker.planner import describe, plan
from worker.spent import Device, Spent
from worker.state import PersonalStore
from worker.supervision import Report
from worker.training.evaluation import evaluate_all
from worker.training.loop import DivergedError
from worker.training.trainer import Trainer
from worker.work import Computed, Equipment, Request
from worker.workbench import Workbench

log = logging.getLogger("tapestry.worker")

_FAILURES: Mapping[type[Exception], FailureCode] = {
    DivergedError: FailureCode.DIVERGED,
    DataError: FailureCode.BAD_DATA,
    MetricError: FailureCode.BAD_DATA,
    BaseError: FailureCode.BASE_MISMATCH,
    StateError: FailureCode.STATE_MISMATCH,
    ArtifactError: FailureCode.REFUSED,
    MemoryError: FailureCode.OUT_OF_MEMORY,
    torch.OutOfMemoryError: FailureCode.OUT_OF_MEMORY,
}
# How torch says it where it raises a plain RuntimeError: the CPU's allocator, CUDA, its libraries.
_OUT_OF_MEMORY = ("can't allocate memory", "out of memory", "ALLOC_FAILED")


class Workshop:
    """The training process's side: the workbenches of all members of a worker."""

    def __init__(self, equipment: Equipment) -> None:
        """Raises FailedError when the device is not there."""
        torch.set_num_threads(equipment.threads)
        device = _device(equipment)
        self._benches = {
            name: Workbench(place, device, equipment.checkpoint_s)
            for name, place in equipment.places.items()
        }

    def handle(self, request: Request | None, report: Report) -> Computed | None:
        """Do what is asked; None asks whether all is there. Raises FailedError, StoppedError."""
        if request is None:
            return None
        crash_point("trainer.begun")
        with _failing(request.member):
            computed = perform(request, self._benches[request.member], report)
        crash_point("trainer.computed")
        computed.spent.peak_bytes.update(_peak_bytes())
        return computed

    def describe(self, claim: DryRunClaim) -> DryRunDescription:
        """What a dry run's components would be. Raises FailedError."""
        with _failing("dry run"):
            return describe(claim)


@contextmanager
def _failing(label: str) -> Iterator[None]:
    """Raises FailedError for an error that the coordinator knows."""
    try:
        yield
    except Exception as error:
        failed = failure(error)
        if failed is None:
            raise
        log.exception("%s: failed", label)
        raise failed from error


def _peak_bytes() -> dict[Device, int]:
    """The most memory that this process had so far, here and on the GPU."""
    unit = 1 if sys.platform == "darwin" else 1024
    peak: dict[Device, int] = {"cpu": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit}
    if torch.cuda.is_initialized():
        peak["gpu"] = torch.cuda.max_memory_allocated()
    return peak


def failure(error: Exception) -> FailedError | None:
    """What the coordinator hears of an error, if it is one that it knows."""
    code = failure_code(error)
    if code is None:
        return of_disk(error)
    return FailedError(code, str(error) or type(error).__name__)


def failure_code(error: Exception) -> FailureCode | None:
    """The class of an error that the coordinator knows."""
    for kind, code in _FAILURES.items():
        if isinstance(error, kind):
            return code
    if isinstance(error, RuntimeError) and any(said in str(error) for said in _OUT_OF_MEMORY):
        return FailureCode.OUT_OF_MEMORY
    return None


def _device(equipment: Equipment) -> torch.device:
    there = torch.cuda.is_available()
    if equipment.device == "cuda" and not there:
        raise FailedError(
            FailureCode.INTERNAL,
            "TAPESTRY_DEVICE is cuda, but torch sees no GPU here: set it to auto or cpu",
        )
    return torch.device("cuda" if there and equipment.device != "cpu" else "cpu")


class Held(TypedDict):
    """What every report of a client begins with."""

    lease_id: UUID
    attempt: int
    samples_at_once: int | None


@dataclass(frozen=True)
class Work:
    """A client's assignment with all that it takes: the arguments of what it asks for."""

    claim: Claim
    trainer: Trainer
    cache: ArtifactStore
    store: PersonalStore
    server: State  # the client's components of the claim's version
    personal: Personal

    @property
    def held(self) -> Held:
        """What the report begins with."""
        return Held(
            lease_id=self.claim.lease.id,
            attempt=self.claim.lease.attempt,
            samples_at_once=self.trainer.samples_at_once,
        )


def perform(request: Request, bench: Workbench, report: Report) -> Computed:
    """Do an assignment. The files of the result are in the cache, its personal state is saved.

    Raises BaseError, DataError, MetricError, StateError, DivergedError, ArtifactError and what
    `report` raises.
    """
    spent = Spent()
    if request.claim.kind is AssignmentKind.PLAN:
        with spent.phase("plan"):
            computed = plan(request.claim, bench.place.cache)
        return replace(computed, spent=spent)
    with spent.phase("load"):
        work = _work(request, bench, report, spent)
    return Computed(_done(work, request.claim.kind), spent=spent)


def _done(work: Work, kind: AssignmentKind) -> AssignmentResult:
    match kind:
        case AssignmentKind.TRAIN:
            return _train(work)
        case AssignmentKind.PERSONALIZE:
            return _personalize(work)
        case AssignmentKind.EVALUATE:
            return _evaluate(work)
        case AssignmentKind.PLAN:
            raise ValueError("a plan has no client")


def _work(request: Request, bench: Workbench, report: Report, spent: Spent) -> Work:
    claim, cache = request.claim, bench.place.cache
    trainer = replace(_trainer(request, bench, report), spent=spent)
    store = bench.personal_store(claim.job_id)
    specs = network_specs(trainer.network, claim.components)
    personal = bench.personal(claim, specs)
    files = {name: cache.open_path(sha256) for name, sha256 in claim.manifest.items()}
    server = load_server_state(files, trainer.network)
    return Work(claim, trainer, cache, store, server, personal.completed(server))


def _train(work: Work) -> TrainResult:
    outcome = method_of(work.trainer).round(work.server, work.personal, work.claim.round)
    manifest = {} if outcome.engaged is None else save_state(work.cache, outcome.engaged)
    return TrainResult(
        **work.held,
        components={n: sha for n, sha in manifest.items() if sha != work.claim.manifest[n]},
        losses=dict(outcome.losses),
        decisions=outcome.decisions,
        state_digest=work.store.save(outcome.personal),
        pace=work.trainer.spent.pace,
    )


def _personalize(work: Work) -> PersonalizeResult:
    outcome = method_of(work.trainer).personalize(work.server, work.personal)
    return PersonalizeResult(
        **work.held,
        losses=dict(outcome.losses),
        state_digest=work.store.save(outcome.personal),
        pace=work.trainer.spent.pace,
    )


def _evaluate(work: Work) -> EvaluateResult:
    trainer, chosen = work.trainer, work.personal.chosen
    models = method_of(trainer).final_models(work.server, work.personal)
    with trainer.spent.phase("evaluate"):
        scores = evaluate_all(trainer, models, chosen, "test")
        validation = evaluate_all(trainer, models, chosen, "validation")
    return EvaluateResult(**work.held, scores=scores, validation=validation)


def _trainer(request: Request, bench: Workbench, report: Report) -> Trainer:
    claim = request.claim
    spec = claim.spec
    base = load_base(spec.model.model_copy(update={"digest": claim.base_digest}))
    read = spec.read_with(claim.tasks).model_dump_json()
    network = _network(read, claim.components).to(bench.device)
    steps = spec.training.local_steps

    def on_step(done: int) -> None:
        crash_point("trainer.training")
        report(min(done / steps, 1.0))

    data = bench.data(claim.job_id, claim.spec, base, claim.tasks or None)
    checkpoints = bench.checkpoints(claim)
    check_metrics(spec, data)
    most = checkpoints.settle(request.samples_at_once)
    return Trainer(request.member, spec, network, data, on_step, checkpoints, most)


@lru_cache(maxsize=16)
def _network(spec: str, components: tuple[str, ...]) -> Network:
    """The network of a spec and its components: clients that use the same share it."""
    job = JobSpec.model_validate_json(spec)
    return Network(job, load_base(job.model), known(components))
