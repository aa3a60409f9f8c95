"""What a client's data were when a job began there: its results come from the same data all along.

One small file for each job of a client, written at the first assignment that reads a task's data.
"""

from collections.abc import Mapping
from pathlib import Path

from pydantic import Field, ValidationError

from shared.messages import Message
from shared.spec import Name, Sha256
from worker.data.client_file import ClientFile
from worker.data.client_task import SplitName
from worker.data.sources import DataError
from worker.durable import replace_file
from worker.personal_files import FRESH, REMEDY

Digests = Mapping[SplitName, Mapping[str, str]]  # of each split's rows and modalities

_REMEDY = f"put the old data back, or {FRESH}"


class DataNote(Message):
    """The digests of a job's tasks."""

    tasks: dict[Name, dict[SplitName, dict[str, Sha256]]] = Field(default_factory=dict)


class DataNotes:
    """The note of one client about one job, as a file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def check(self, file: ClientFile, task: str, now: Digests) -> None:
        """Raises DataError where a task's data are not those of before; notes what is new."""
        note = self._read(file)
        known = note.tasks.get(task, {})
        different = [split for split in now if _differs(known.get(split, {}), now[split])]
        if different:
            raise DataError(_sentence(file, task, different))
        merged = {split: {**known.get(split, {}), **now[split]} for split in now}
        if merged != known:
            noted = DataNote(tasks={**note.tasks, task: merged})
            replace_file(self._path, noted.model_dump_json())

    def _read(self, file: ClientFile) -> DataNote:
        try:
            return DataNote.model_validate_json(self._path.read_bytes())
        except FileNotFoundError:
            return DataNote()
        except ValidationError as error:
            raise DataError(
                f"client {file.client}: the note {self._path.name} of what the job's data were is "
                f"damaged; {REMEDY}"
            ) from error


def _differs(known: Mapping[str, str], now: Mapping[str, str]) -> bool:
    """Whether something that was noted is not the same; what is not read now does not count."""
    return any(known.get(part, digest) != digest for part, digest in now.items())


def _sentence(file: ClientFile, task: str, splits: list[SplitName]) -> str:
    sources: dict[str, list[str]] = {}
    for split in splits:
        sources.setdefault(str(file.task(task).source(split)), []).append(split)
    named = ", ".join(f"{source} ({', '.join(each)})" for source, each in sources.items())
    return (
        f"client {file.client}: the data of task {task!r} are not those that the job began with, "
        f"in {named} or its images; {_REMEDY}"
    )
