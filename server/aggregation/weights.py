"""Which components a client uses, and how much its share in each weighs."""

from shared.components import Component, DomainExpert
from shared.job_spec import JobSpec, TaskSpec
from shared.messages import ClientOffer


def client_components(spec: JobSpec, offer: ClientOffer) -> frozenset[Component]:
    """The union of C(o) over the tasks of the job that the client offers, in its own domains."""
    return frozenset().union(
        *(_task_components(spec, offer, task) for task in offered_tasks(spec, offer))
    )


def offered_tasks(spec: JobSpec, offer: ClientOffer) -> tuple[str, ...]:
    """The job's tasks that the client can do with what it offers, in the spec's order."""
    return tuple(task for task in spec.tasks if _read(spec, offer, task) is not None)


def _read(spec: JobSpec, offer: ClientOffer, task: str) -> TaskSpec | None:
    """The task as the client reads it; None where it offers too little."""
    if task not in offer.tasks:
        return None
    return spec.tasks[task].read_with(offer.tasks[task].modalities)


def client_weights(spec: JobSpec, offer: ClientOffer) -> dict[Component, int]:
    """The client's training samples that train each of its components, over the job's tasks.

    A domain expert is trained by the samples of its domain only.
    """
    weights: dict[Component, int] = {}
    for task in offered_tasks(spec, offer):
        for component in _task_components(spec, offer, task):
            samples = _samples(component, spec, offer, task)
            weights[component] = weights.get(component, 0) + samples
    return weights


def component_weight(component: Component, spec: JobSpec, offer: ClientOffer) -> int:
    """The weight of one component; 0 for one that the client does not use."""
    return client_weights(spec, offer).get(component, 0)


def _samples(component: Component, spec: JobSpec, offer: ClientOffer, task: str) -> int:
    domains = spec.tasks[task].domains
    if isinstance(component, DomainExpert):
        domains = (component.domain,)
    return sum(offer.tasks[task].train.get(domain, 0) for domain in domains)


def _task_components(spec: JobSpec, offer: ClientOffer, task: str) -> frozenset[Component]:
    read = _read(spec, offer, task)
    if read is None:
        return frozenset()
    domains = tuple(d for d in read.domains if d in offer.tasks[task].train)
    return read.components(task, spec.model.layers, domains)
