"""Whether a changed spec can continue from a version of another job: pure."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from server.aggregation import client_components
from server.jobs.admission import Offers, Reason
from shared.job_spec import JobSpec, TaskSpec
from shared.messages import ClientOffer
from shared.problem_codes import Code


@dataclass(frozen=True, slots=True)
class Origin:
    """The version that a fork begins with: its number, and what the parent was."""

    number: int
    spec: JobSpec
    base_digest: str | None
    components: Collection[str]
    offers: dict[str, ClientOffer]  # frozen in the parent


def fork_refusals(spec: JobSpec, offers: Offers, origin: Origin) -> tuple[Reason, ...]:
    """All reasons against the fork, besides those against any job with this spec."""
    return (
        *_rounds(spec, origin),
        *_model(spec, origin),
        *_factors(spec, origin),
        *_tasks(spec, origin),
        *_components(spec, offers, origin),
        *_withdrawn(spec, offers, origin),
    )


def _rounds(spec: JobSpec, origin: Origin) -> Iterator[Reason]:
    if spec.rounds.count < origin.number:
        yield Reason(
            Code.NO_ROUNDS_LEFT,
            f"rounds.count: is {spec.rounds.count} but the fork begins behind round "
            f"{origin.number}; raise it to {origin.number} or more",
        )


def _model(spec: JobSpec, origin: Origin) -> Iterator[Reason]:
    any_digest = {"digest": None}
    ours, theirs = (s.model.model_copy(update=any_digest) for s in (spec, origin.spec))
    if ours != theirs or spec.model.digest not in {None, origin.base_digest}:
        yield Reason(
            Code.OTHER_MODEL,
            "model: differs from the parent's, whose tensors the fork continues with; copy that "
            "section from the parent's spec",
        )


def _factors(spec: JobSpec, origin: Origin) -> Iterator[Reason]:
    if _travelling(spec) != _travelling(origin.spec):
        yield Reason(
            Code.OTHER_MODEL,
            "aggregation.low_rank: sends other factors than the parent, or freezes those of "
            "another seed; copy that section and the seed from the parent's spec",
        )


def _travelling(spec: JobSpec) -> tuple[object, ...]:
    """What decides which low-rank factors there are in the version, and which are beside it."""
    match spec.aggregation.low_rank:
        case "ffa":
            return ("ffa", spec.seed)
        case "fedsa":
            return ("fedsa",)
        case _:
            return ()


def _tasks(spec: JobSpec, origin: Origin) -> Iterator[Reason]:
    for name, task in spec.tasks.items():
        before = origin.spec.tasks.get(name)
        if before is not None and _shape(task) != _shape(before):
            yield Reason(
                Code.OTHER_TASK,
                f"tasks.{name}: has another kind, modalities, classes or max_target_tokens than in "
                "the parent; copy these from the parent's spec or choose another name",
            )


def _shape(task: TaskSpec) -> tuple[object, ...]:
    """What decides the tensors of a task's head, and what they mean."""
    return (task.kind, frozenset(task.modalities), task.classes, task.max_target_tokens)


def _components(spec: JobSpec, offers: Offers, origin: Origin) -> Iterator[Reason]:
    known = [offer for client in spec.clients if (offer := offers.get(client))]
    needed = {str(c) for offer in known for c in client_components(spec, offer)}
    for name in sorted(needed - set(origin.components)):
        yield Reason(
            Code.NO_COMPONENT,
            f"tasks: {name} is needed but the parent has no such component; leave out the task, "
            "modality or domain that needs it",
        )


def _withdrawn(spec: JobSpec, offers: Offers, origin: Origin) -> Iterator[Reason]:
    for client in spec.clients:
        before, now = origin.offers.get(client), offers.get(client)
        if before is None or now is None:
            continue
        for task in sorted((set(before.tasks) & set(spec.tasks)) - set(now.tasks)):
            yield Reason(
                Code.TASK_WITHDRAWN,
                f"clients: {client} does not offer {task} any more; have it offered again or "
                "remove the client",
            )
