"""Whether a job can work at all with the registered clients: pure, before anything is stored."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from shared.job_spec import JobSpec, TaskSpec
from shared.messages import ClientOffer, TaskOffer
from shared.problem_codes import Code

Offers = Mapping[str, ClientOffer | None]


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a job is refused."""

    code: Code
    sentence: str


def refusals(spec: JobSpec, offers: Offers, there: Collection[str] = ()) -> tuple[Reason, ...]:
    """All reasons against the job; none means that it is admitted.

    `offers` holds the registered clients; None is a client that has made no offer yet. The
    components of the tasks that are `there` need nobody who reads all of their modalities.
    """
    return (
        *_clients(spec, offers),
        *_mismatches(spec, offers),
        *_uncovered_tasks(spec, offers),
        *_uncovered_modalities(spec, offers, there),
        *_unheard(spec),
        *_quorum(spec, offers),
    )


def _clients(spec: JobSpec, offers: Offers) -> Iterator[Reason]:
    for client in spec.clients:
        offer = offers.get(client)
        if client not in offers:
            yield Reason(
                Code.UNKNOWN_CLIENT,
                f"clients: {client} is not registered; register it or remove it from the spec",
            )
        elif offer is None:
            yield Reason(
                Code.CLIENT_WITHOUT_OFFER,
                f"clients: {client} has made no offer; start its worker or remove it",
            )
        elif not set(offer.tasks) & set(spec.tasks):
            yield Reason(
                Code.CLIENT_WITHOUT_TASK,
                f"clients: {client} offers none of the job's tasks (it offers "
                f"{', '.join(sorted(offer.tasks))}); add one of them to tasks or remove the client",
            )


def _mismatches(spec: JobSpec, offers: Offers) -> Iterator[Reason]:
    for client in spec.clients:
        offer = offers.get(client)
        for name, task in spec.tasks.items() if offer else ():
            if offer and name in offer.tasks:
                for difference in _differences(task, offer.tasks[name]):
                    yield Reason(Code.OFFER_MISMATCH, f"tasks.{name}: {client} {difference}")


def _differences(task: TaskSpec, offer: TaskOffer) -> Iterator[str]:
    fix = "correct the spec or the client's file"
    if offer.kind != task.kind:
        yield f"offers kind {offer.kind} but the spec says {task.kind}; {fix}"
    unread = set(offer.modalities) - set(task.modalities)
    if unread or task.read_with(offer.modalities) is None:
        offered, wanted = (", ".join(sorted(m)) for m in (offer.modalities, task.modalities))
        yield f"offers modalities {offered} but the spec says {wanted}; {fix}"
    if offer.n_classes != len(task.classes):
        yield f"offers {offer.n_classes} classes but the spec lists {len(task.classes)}; {fix}"
    unknown = sorted(set(offer.train) - set(task.domains))
    if unknown:
        yield (
            f"offers domains {', '.join(unknown)} that the spec does not list "
            f"({', '.join(task.domains)}); {fix}"
        )


def _uncovered_tasks(spec: JobSpec, offers: Offers) -> Iterator[Reason]:
    offered = {task for c in spec.clients if (offer := offers.get(c)) for task in offer.tasks}
    for task in spec.tasks:
        if task not in offered:
            yield Reason(
                Code.TASK_WITHOUT_CLIENT,
                f"tasks.{task}: no client of the job offers it; add one that does or remove it",
            )


def _uncovered_modalities(
    spec: JobSpec, offers: Offers, there: Collection[str]
) -> Iterator[Reason]:
    """A modality that nobody reads for a task would have no components."""
    known = [offer for client in spec.clients if (offer := offers.get(client))]
    for name, task in spec.tasks.items():
        asked = [] if name in there else known
        having = [offer.tasks[name] for offer in asked if name in offer.tasks]
        read = {modality for offer in having for modality in offer.modalities}
        for modality in task.modalities if having else ():
            if modality not in read:
                yield Reason(
                    Code.MODALITY_WITHOUT_CLIENT,
                    f"tasks.{name}: no client of the job reads {modality} for it; add one that "
                    "does or remove it from modalities",
                )


def _unheard(spec: JobSpec) -> Iterator[Reason]:
    """What is said to a teacher that the job does not have."""
    silent = {0.0, TaskSpec.model_fields["distillation_weight"].default}
    told = [name for name, task in spec.tasks.items() if task.distillation_weight not in silent]
    for option in spec.algorithm.unheard(told):
        yield Reason(
            Code.NO_TEACHER,
            f"{option}: is of distillation, which {_without(spec)}; leave one of both out",
        )


def _without(spec: JobSpec) -> str:
    has_one = "distillation" in type(spec.algorithm).model_fields
    switched_off = "algorithm.distillation: false switches off"
    return switched_off if has_one else f"algorithm {spec.algorithm.name} does not have"


def _quorum(spec: JobSpec, offers: Offers) -> Iterator[Reason]:
    usable = [
        c for c in spec.clients if (offer := offers.get(c)) and set(offer.tasks) & set(spec.tasks)
    ]
    if len(usable) < spec.quorum:
        yield Reason(
            Code.QUORUM_UNREACHABLE,
            f"rounds.quorum: {spec.quorum} clients are needed, only {len(usable)} can take part; "
            "lower it or add clients",
        )
