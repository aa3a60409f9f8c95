"""Whether a client and a job mean the same task."""

from collections.abc import Sequence

from shared.job_spec import TaskSpec
from worker.data.client_file import ClientFile
from worker.data.sources import DataError

_LISTED = 12  # values in a sentence


def agreed(client_file: ClientFile, name: str, spec: TaskSpec) -> TaskSpec:
    """The job's task as the client reads it, which may lack a modality that the kind can spare.

    Raises DataError, with what differs, unless they mean the same.
    """
    task = client_file.task(name)
    read = None if set(task.modalities) - set(spec.modalities) else spec.read_with(task.modalities)
    modalities = sorted(task.modalities) if read is None else sorted(spec.modalities)
    for what, own, wanted in (
        ("kind", (task.kind,), (spec.kind,)),
        ("modalities", modalities, sorted(spec.modalities)),
        ("classes", task.classes, spec.classes),
    ):
        if own != wanted:
            pairs = enumerate(zip(own, wanted, strict=False))
            apart = next((n for n, (a, b) in pairs if a != b), min(len(own), len(wanted)))
            raise DataError(
                f"client {client_file.client}: task {name!r} has {what} {_listed(own, apart)} but "
                f"the job asks for {_listed(wanted, apart)}; make the client file and the job agree"
            )
    unknown = sorted(set(task.domains) - set(spec.domains))
    if unknown:
        raise DataError(
            f"client {client_file.client}: task {name!r} has the unknown domain "
            f"{_listed(unknown)}; add it to the job's domains or rename it"
        )
    assert read is not None  # noqa: S101 - for mypy: else the modalities differ
    return read


def as_claimed(
    client_file: ClientFile, name: str, spec: TaskSpec, claimed: Sequence[str]
) -> TaskSpec:
    """The task as an assignment wants it read. Raises DataError where the client has too little."""
    lacking = sorted(set(claimed) - set(agreed(client_file, name, spec).modalities))
    read = spec.read_with([each for each in spec.modalities if each in claimed])
    if lacking or read is None:
        raise DataError(
            f"client {client_file.client}: this assignment reads {_listed(lacking) or 'nothing'} "
            f"for task {name!r}, which the client file does not have any more; start the worker "
            "again, so that the next assignment goes by the file as it is"
        )
    return read


def _listed(values: Sequence[object], apart: int = 0) -> str:
    """Some values, of many those where they begin to be others."""
    if len(values) <= _LISTED:
        return ", ".join(map(str, values)) or "none"
    shown = ", ".join(map(str, values[apart : apart + _LISTED]))
    return f"{len(values)} values, from number {apart + 1} on {shown or 'none'}"
