"""The client file: what a client has for which task, and where it lies on its disk."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Self

from PIL.Image import Image
from pydantic import (
    Field,
    PrivateAttr,
)

from shared import spec_files
from shared.messages import ClientOffer, TaskOffer
from shared.shelf_spec import ShelfForm
from shared.spec import Name, Spec
from worker.data.client_task import SPLITS, ClientTask, SplitName
from worker.data.division import divide
from worker.data.identity import files_below
from worker.data.images import open_image
from worker.data.rows import Refused, Row, read_rows
from worker.data.sources import DataError, StoredImage

Rows = tuple[Row, ...]


class ClientFile(Spec):
    """A client's name and tasks."""

    client: Name = Field(description="The id under which the client is registered.")
    tasks: Annotated[dict[Name, ClientTask], Field(min_length=1)] = Field(
        description="What the client has, by the tasks' names in jobs."
    )
    publish_card: bool = Field(
        default=False,
        description="Whether the coordinator may show the numbers of the readiness card.",
    )
    shelf: ShelfForm = Field(
        default=ShelfForm.NONE,
        description="The most open form in which the server may keep the personal models of jobs "
        "that ask for it: `none`, `encrypted` or `plain`.",
    )
    _directory: Path = PrivateAttr(default=Path())
    _name: str = PrivateAttr(default="")

    @classmethod
    def read(cls, path: Path) -> "ClientFile":
        """Read a client file. Raises shared.spec_files.SpecError."""
        return spec_files.load(cls, path).below(path.parent, path.name)

    def below(self, directory: Path, name: str = "") -> Self:
        """The same, reading relative to `directory`, in which it lies under that name."""
        self._directory = directory.resolve()
        self._name = name
        return self

    @property
    def directory(self) -> Path:
        """Where the client file lies; nothing outside is read."""
        return self._directory

    @property
    def path(self) -> Path:
        """The client file itself, once it was read."""
        return self._directory / self._name

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
        return f"client {self.client}: {self.task(name).source(split)}"

    def splits(self, name: str, skipped: Refused | None = None) -> dict[SplitName, Rows]:
        """The checked rows of each split of a task.

        Those that cannot be used are left out if the task says so or `skipped` is given, to which
        the reasons go. Raises DataError.
        """
        task = self.task(name)
        refused = [] if skipped is None and task.on_error == "skip" else skipped
        if task.data is None:
            found = {split: self._rows(name, split, refused) for split in SPLITS}
        else:
            found = self._drawn(name, refused)
        return self._of_trained_domains(name, found, refused)

    def _drawn(self, name: str, skipped: Refused | None) -> dict[SplitName, Rows]:
        task, rows = self.task(name), self._rows(name, "train", skipped)
        shares = {"test": task.split.test, "validation": task.split.validation, "train": 1.0}
        drawn = divide(rows, shares, task.split.seed)
        for split in SPLITS:
            if not drawn[split]:
                place = self.place(name, split)
                raise DataError(f"{place}: {len(rows)} samples leave none to {split}; add some")
        return {split: tuple(drawn[split]) for split in SPLITS}

    def _of_trained_domains(
        self, name: str, found: dict[SplitName, Rows], skipped: Refused | None
    ) -> dict[SplitName, Rows]:
        """Without samples of domains that do not train, of which the client has no expert."""
        trained = {row.domain for row in found["train"]}
        remedy = (
            "add such samples to train, or leave these out"
            if self.task(name).data is None
            else "add more of it, leave it out, or choose another split.seed"
        )
        kept: dict[SplitName, Rows] = {}
        for split, rows in found.items():
            kept[split] = tuple(row for row in rows if row.domain in trained)
            wrong = [
                DataError(
                    f"{self.place(name, split)} {row.where}: is a {split} sample of domain "
                    f"{row.domain!r}, of which none trains; {remedy}"
                )
                for row in rows
                if row.domain not in trained
            ]
            if wrong and (skipped is None or not kept[split]):
                raise wrong[0]
            if skipped is not None:
                skipped += wrong
        return kept

    def files(self, name: str) -> list[Path]:
        """The files of a task's sources; its images may be others. Raises DataError."""
        task, found = self.task(name), dict[Path, None]()
        for split in SPLITS:
            place = self.place(name, split)
            found |= dict.fromkeys(files_below(self.inside(task.source(split), place)))
        return list(found)

    def image_file(self, row: Row, place: str) -> Path | None:
        """Where the row's image lies, if it is a file. Raises DataError."""
        stored = row.image
        return None if stored is None or stored.path is None else self.inside(stored.path, place)

    def _rows(self, name: str, split: SplitName, skipped: Refused | None) -> Rows:
        task, place = self.task(name), self.place(name, split)
        needs = replace(task.needs, root=self._directory)
        rows = read_rows(self.inside(task.source(split), place), place, needs, skipped)
        if skipped is None:
            return rows
        return tuple(row for row in rows if self._opens(row, place, skipped))

    def _opens(self, row: Row, place: str, skipped: Refused) -> bool:
        try:
            self.image(row, f"{place} {row.where}")
        except DataError as error:
            skipped.append(error)
            return False
        return True

    def image(self, row: Row, place: str) -> Image | None:
        """The row's image in RGB, if it has one. Raises DataError."""
        stored = row.image
        if stored is None:
            return None
        path = self.image_file(row, place)
        return open_image(stored if path is None else StoredImage(path), place)

    def inside(self, relative: Path, place: str) -> Path:
        """The path below the client file's directory. Raises DataError if it leads out of it."""
        try:
            path = (self._directory / relative).resolve()
        except (OSError, RuntimeError, ValueError) as error:  # too long, a circle of links, a NUL
            raise DataError(
                f"{place}: {self._short(relative)[:80]!r} is no usable path; correct it"
            ) from error
        if not path.is_relative_to(self._directory):
            raise DataError(
                f"{place}: {self._short(relative)!r} lies outside the client's directory; "
                "move it inside and use a relative path"
            )
        return path

    def _short(self, path: Path) -> str:
        """A path as the client may have written it: where the directory lies is nobody's matter."""
        below = path.is_relative_to(self._directory)
        return str(path.relative_to(self._directory) if below else path)


def offer(client_file: ClientFile) -> ClientOffer:
    """What the client can take part in, as counts; no image is opened. Raises DataError."""
    tasks = {name: _task_offer(client_file, name) for name in client_file.tasks}
    return ClientOffer(tasks=tasks, shelf=client_file.shelf)


def _task_offer(client_file: ClientFile, name: str) -> TaskOffer:
    task, splits = client_file.task(name), client_file.splits(name)
    train = Counter(row.domain for row in splits["train"])
    return TaskOffer(
        kind=task.kind,
        modalities=task.modalities,
        n_classes=len(task.classes),
        train={domain: train[domain] for domain in task.domains if train[domain]},
        validation=len(splits["validation"]),
        test=len(splits["test"]),
    )
