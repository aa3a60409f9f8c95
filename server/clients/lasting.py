"""What of its frozen offer a client still has in a job: pure.

A client cannot gain in the middle of a job what it did not have when the job was submitted: there
may be no components for it.
"""

from collections.abc import Iterable, Iterator, Mapping

from server.aggregation import offered_tasks
from shared.attendance import OfferChange
from shared.components import Modality
from shared.job_spec import JobSpec
from shared.messages import AssignmentKind, ClientOffer

Having = Mapping[str, tuple[Modality, ...]]  # by task, in the order of the frozen offer
Change = tuple[str, Modality | None, bool]  # task, modality or the whole task, whether it is lost


def lasting(frozen: ClientOffer, changes: Iterable[OfferChange]) -> ClientOffer:
    """The frozen offer with what has changed since; it may have no tasks left."""
    having = {name: set(task.modalities) for name, task in frozen.tasks.items()}
    for change in changes:
        if change.modality is None and change.lost:
            having.pop(change.task, None)
        elif change.modality is None:
            having[change.task] = set(frozen.tasks[change.task].modalities)
        elif change.lost:
            having[change.task].discard(change.modality)
        else:
            having[change.task].add(change.modality)
    return _only(frozen, having)


def differences(
    spec: JobSpec, frozen: ClientOffer, before: Having, now: ClientOffer
) -> list[Change]:
    """What a client lost of the job's tasks, or has again, with the offer that it makes now."""
    both = {
        name: set(task.modalities) & set(now.tasks[name].modalities)
        for name, task in frozen.tasks.items()
        if name in now.tasks
    }
    after = _only(frozen, both)
    able = offered_tasks(spec, after)
    found: list[Change] = []
    for name in offered_tasks(spec, frozen):
        there = set(after.tasks[name].modalities) if name in able else None
        found += _of_task(name, frozen.tasks[name].modalities, before.get(name), there)
    return found


def _of_task(
    name: str,
    whole: tuple[Modality, ...],
    before: Iterable[Modality] | None,
    now: set[Modality] | None,
) -> Iterator[Change]:
    if now is None:
        if before is not None:
            yield name, None, True
        return
    if before is None:
        yield name, None, False
    had = set(whole if before is None else before)
    for modality in whole:
        if (modality in had) != (modality in now):
            yield name, modality, modality in had


def _only(frozen: ClientOffer, having: Mapping[str, set[Modality]]) -> ClientOffer:
    tasks = {
        name: task.model_copy(
            update={"modalities": tuple(m for m in task.modalities if m in having[name])}
        )
        for name, task in frozen.tasks.items()
        if name in having
    }
    return frozen.model_copy(update={"tasks": tasks})


def noted(changes: Iterable[Change], number: int, phase: AssignmentKind) -> list[OfferChange]:
    """The changes as the job keeps them."""
    return [
        OfferChange(task=task, modality=modality, lost=lost, round=number, phase=phase)
        for task, modality, lost in changes
    ]
