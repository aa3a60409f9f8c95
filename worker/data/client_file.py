"""The client file: what a client has for which task, and where it lies on its disk."""

from collections import Counter
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, PrivateAttr, ValidationError, model_validator

from shared import spec_files
from shared.components import Modality, TaskKind
from shared.job_spec import GENERAL, Name, TaskSpec, Title
from shared.messages import ClientOffer, TaskOffer
from shared.spec import Spec
from worker.data.rows import DataError, Needs, Row, read_rows

SplitName = Literal["train", "validation", "test"]
SPLITS: tuple[SplitName, ...] = ("train", "validation", "test")


class ClientTask(Spec):
    """One task of a client; paths are relative to the client file."""

    kind: TaskKind
    modalities: Annotated[tuple[Modality, ...], Field(min_length=1)]
    classes: tuple[Title, ...] = ()
    domains: Annotated[tuple[Name, ...], Field(min_length=1)] = (GENERAL,)
    train: Path
    validation: Path
    test: Path

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        try:
            TaskSpec(
                kind=self.kind,
                modalities=self.modalities,
                classes=self.classes,
                domains=self.domains,
            )
        except ValidationError as error:
            raise ValueError(error.errors()[0]["msg"].removeprefix("Value error, ")) from None
        return self

    @property
    def needs(self) -> Needs:
        """What the task reads of each row."""
        fields = [str(modality) for modality in self.modalities]
        if self.classes:
            fields.append("label")
        if self.kind is TaskKind.TEXT_GENERATION:
            fields.append("target")
        return Needs(tuple(fields), self.classes, self.domains)


class ClientFile(Spec):
    """A client's name and tasks."""

    client: Name
    tasks: Annotated[dict[Name, ClientTask], Field(min_length=1)]
    _directory: Path = PrivateAttr(default=Path())

    @classmethod
    def read(cls, path: Path) -> "ClientFile":
        """Read a client file. Raises shared.spec_files.SpecError."""
        return spec_files.load(cls, path).below(path.parent)

    def below(self, directory: Path) -> Self:
        """The same, reading relative to `directory`."""
        self._directory = directory.resolve()
        return self

    @property
    def directory(self) -> Path:
        """Where the client file lies; nothing outside is read."""
        return self._directory

    def task(self, name: str) -> ClientTask:
        """The task of that name. Raises DataError."""
        if name not in self.tasks:
            raise DataError(
                f"client {self.client}: has no task {name!r}; add it to the client file or "
                "leave the client out of the job"
            )
        return self.tasks[name]

    def place(self, name: str, split: SplitName) -> str:
        """What errors call a split: the client and the path as the client file has it."""
        return f"client {self.client}: {_path(self.task(name), split)}"

    def rows(self, name: str, split: SplitName) -> tuple[Row, ...]:
        """The checked rows of one split. Raises DataError."""
        task, place = self.task(name), self.place(name, split)
        return read_rows(self.inside(_path(task, split), place), place, task.needs)

    def inside(self, relative: Path, place: str) -> Path:
        """The path below the client file's directory. Raises DataError if it leads out of it."""
        try:
            path = (self._directory / relative).resolve()
        except (OSError, RuntimeError) as error:  # a name too long, a circle of links
            raise DataError(
                f"{place}: {str(relative)[:80]!r} is no usable path; correct it"
            ) from error
        if not path.is_relative_to(self._directory):
            raise DataError(
                f"{place}: {str(relative)!r} lies outside the client's directory; "
                "move it inside and use a relative path"
            )
        return path


def offer(client_file: ClientFile) -> ClientOffer:
    """What the client can take part in, as counts; no image is opened. Raises DataError."""
    return ClientOffer(tasks={name: _task_offer(client_file, name) for name in client_file.tasks})


def _task_offer(client_file: ClientFile, name: str) -> TaskOffer:
    task = client_file.task(name)
    train = Counter(row.domain for row in client_file.rows(name, "train"))
    return TaskOffer(
        kind=task.kind,
        modalities=task.modalities,
        n_classes=len(task.classes),
        train={domain: train[domain] for domain in task.domains if train[domain]},
        validation=len(client_file.rows(name, "validation")),
        test=len(client_file.rows(name, "test")),
    )


def _path(task: ClientTask, split: SplitName) -> Path:
    match split:
        case "train":
            return task.train
        case "validation":
            return task.validation
        case "test":
            return task.test
