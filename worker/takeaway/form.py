"""What an exported directory consists of, and what it says of itself in `config.json`."""

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import StringConstraints, model_validator

from shared.components import parse
from shared.exits import ExitCode
from shared.job_spec import JobSpec, Precision, TaskSpec
from shared.messages import ComponentName
from shared.model_spec import ModelSpec
from shared.results import Variant
from shared.spec import Name, Sha256, Spec
from shared.spec_files import SpecError, load
from worker.ending import EndingError

CONFIG, WEIGHTS, CARD, BASE = "config.json", "model.safetensors", "README.md", "base"
# Whichever the algorithm: what it makes last comes first.
NEWEST: tuple[Variant, ...] = (
    Variant.GUARDED,
    Variant.DISTILLED,
    Variant.POST_TRAINED,
    Variant.PERSONAL,
)


class TakeawayError(EndingError):
    """A model that cannot be exported, loaded or asked so; one sentence with the remedy."""

    code = ExitCode.USAGE


class NotThereError(TakeawayError):
    """What was asked for in the right form and is not there, or did not succeed."""

    code = ExitCode.FAILED


class TakenTask(Spec):
    """One task, as far as answering needs it; its fields mean what a job spec's do."""

    task: TaskSpec
    known_domains: tuple[Name, ...]  # those that the client had data of, and so has experts of
    variant: Variant  # which model answers it


class Weights(Spec):
    """A file of one model's tensors, beside the config."""

    file: Annotated[str, StringConstraints(pattern=r"^model(-[a-z_]+)?\.safetensors$")]
    sha256: Sha256


class Config(Spec):
    """An exported model."""

    format: Literal["tapestry-takeaway"] = "tapestry-takeaway"
    format_version: Literal[2] = 2
    job: UUID
    client: Name
    variant: Variant
    model: ModelSpec  # its weights are named in `base`
    precision: Precision = "auto"  # of the job's training; exports of before it was kept lack it
    base: str | None  # `random`, a hub name, or nothing: a directory of the machine that exported
    base_digest: Sha256
    weights: dict[Variant, Weights]  # of the one model, or of each that answers a task
    components: tuple[ComponentName, ...]
    tasks: dict[Name, TakenTask]

    @model_validator(mode="after")
    def _each_task_has_weights(self) -> Self:
        for name, taken in self.tasks.items():
            if taken.variant not in self.weights:
                raise ValueError(f"task {name!r} is answered by {taken.variant}, without weights")
        return self

    @classmethod
    def read(cls, directory: Path) -> "Config":
        """Of an exported directory. Raises TakeawayError."""
        path = directory / CONFIG
        if not path.is_file():
            raise TakeawayError(
                f"{directory} is no exported model, for it has no {CONFIG}: name a directory that "
                "`tapestry export` wrote"
            )
        try:
            return load(cls, path)
        except SpecError as error:
            raise TakeawayError(
                f"{error}: export the model again, or install the version that exported it"
            ) from error

    def job_spec(self, weights: str) -> JobSpec:
        """A job of these tasks on the base at `weights`: what a network is made of."""
        return JobSpec.model_validate(
            {
                "name": f"{self.client} takes its model away",
                "algorithm": {"name": "local"},
                "model": self.model.model_copy(update={"weights": weights, "digest": None}),
                "training": {"precision": self.precision},
                "rounds": {"count": 1},
                "tasks": {name: taken.task for name, taken in self.tasks.items()},
                "clients": [self.client],
            }
        )


def weights_file(variant: Variant, variants: Collection[Variant]) -> str:
    """The name of a model's file, alone or among several."""
    return WEIGHTS if len(variants) == 1 else f"model-{variant}.safetensors"


def taken_tasks(
    spec: JobSpec, components: Collection[str], variant_of: Callable[[str], Variant]
) -> dict[str, TakenTask]:
    """The job's tasks that these components suffice for, each with the domains it knows."""
    have = frozenset(map(parse, components))
    found = {}
    for name, task in spec.tasks.items():
        layers = spec.model.layers
        known = tuple(d for d in task.domains if task.components(name, layers, (d,)) <= have)
        if known:
            plain = TaskSpec(
                kind=task.kind,
                modalities=task.modalities,
                classes=task.classes,
                domains=task.domains,
                max_target_tokens=task.max_target_tokens,
            )
            found[name] = TakenTask(task=plain, known_domains=known, variant=variant_of(name))
    return found


def one_of(names: Collection[str]) -> str:
    """Names to choose from, as a sentence has them: `a, b or c`."""
    *others, last = sorted(names)
    return f"{', '.join(others)} or {last}" if others else last
