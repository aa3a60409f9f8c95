"""Who would do which task, and make which component: pure."""

from collections.abc import Mapping

from server.aggregation import client_weights, offered_tasks
from shared.dry_run import TaskCoverage, TaskShare
from shared.job_spec import JobSpec, TaskSpec
from shared.messages import ClientOffer, TaskOffer
from shared.readiness import PublishedCard

Made = Mapping[str, Mapping[str, int]]  # offers' clients -> components -> weight


def coverage(
    spec: JobSpec, offers: Mapping[str, ClientOffer], cards: Mapping[str, PublishedCard]
) -> dict[str, TaskCoverage]:
    """For each of the job's tasks the clients that can do it, in the spec's order."""
    able = {client: offered_tasks(spec, offer) for client, offer in offers.items()}
    return {
        name: _covered(
            {
                client: _share(task, offer.tasks[name], _per_class(cards.get(client), name))
                for client, offer in offers.items()
                if name in able[client]
            }
        )
        for name, task in spec.tasks.items()
    }


def _covered(clients: dict[str, TaskShare]) -> TaskCoverage:
    return TaskCoverage(clients=clients, train=sum(share.train for share in clients.values()))


def _share(task: TaskSpec, offer: TaskOffer, per_class: tuple[int, ...] | None) -> TaskShare:
    return TaskShare(
        train=offer.n_train,
        domains=dict(offer.train),
        validation=offer.validation,
        test=offer.test,
        modalities=tuple(m for m in task.modalities if m in offer.modalities),
        lacking=tuple(m for m in task.modalities if m not in offer.modalities),
        per_class=per_class,
    )


def _per_class(card: PublishedCard | None, task: str) -> tuple[int, ...] | None:
    """Training samples by class, where the client shows them."""
    shown = card.tasks.get(task) if card else None
    return (shown.train.per_class or None) if shown else None


def made_by(spec: JobSpec, offers: Mapping[str, ClientOffer]) -> dict[str, dict[str, int]]:
    """Each client's components by name, with the samples that train them there."""
    return {
        client: dict(sorted((str(c), n) for c, n in client_weights(spec, offer).items()))
        for client, offer in offers.items()
    }


def contributors(spec: JobSpec, made: Made) -> dict[str, dict[str, int]]:
    """Each component's contributors with their weights; none for one that stays with clients."""
    names = sorted({name for components in made.values() for name in components})
    found: dict[str, dict[str, int]] = {name: {} for name in names}
    for client, components in made.items():
        for name, weight in components.items():
            if spec.algorithm.shares(name):
                found[name][client] = weight
    return found
