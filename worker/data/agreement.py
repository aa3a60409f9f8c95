"""Whether a client and a job mean the same task."""

from collections.abc import Sequence

from shared.job_spec import TaskSpec
from worker.data.client_file import ClientFile
from worker.data.sources import DataError


def check_agreement(client_file: ClientFile, name: str, spec: TaskSpec) -> None:
    """Raises DataError, with what differs, unless they do."""
    task = client_file.task(name)
    for what, own, wanted in (
        ("kind", (task.kind,), (spec.kind,)),
        ("modalities", sorted(task.modalities), sorted(spec.modalities)),
        ("classes", task.classes, spec.classes),
    ):
        if own != wanted:
            raise DataError(
                f"client {client_file.client}: task {name!r} has {what} {_listed(own)} but the "
                f"job asks for {_listed(wanted)}; make the client file and the job agree"
            )
    unknown = sorted(set(task.domains) - set(spec.domains))
    if unknown:
        raise DataError(
            f"client {client_file.client}: task {name!r} has the unknown domain "
            f"{_listed(unknown)}; add it to the job's domains or rename it"
        )


def _listed(values: Sequence[object]) -> str:
    return ", ".join(map(str, values)) or "none"
