"""What an exported directory consists of, and what it says of itself in `config.json`."""

from collections.abc import Collection
from pathlib import Path
from typing import Literal
from uuid import UUID

from shared.components import parse
from shared.job_spec import JobSpec, TaskSpec
from shared.messages import ComponentName
from shared.model_spec import ModelSpec
from shared.results import Variant
from shared.spec import Name, Sha256, Spec
from shared.spec_files import SpecError, load

CONFIG, WEIGHTS, CARD, BASE = "config.json", "model.safetensors", "README.md", "base"
# Whichever the algorithm: what it makes last comes first.
NEWEST: tuple[Variant, ...] = (Variant.DISTILLED, Variant.POST_TRAINED, Variant.PERSONAL)


class TakeawayError(Exception):
    """A model that cannot be exported, loaded or asked so; one sentence with the remedy."""


class TakenTask(Spec):
    """One task, as far as answering needs it; its fields mean what a job spec's do."""

    task: TaskSpec
    known_domains: tuple[Name, ...]  # those that the client had data of, and so has experts of


class Config(Spec):
    """An exported model."""

    format: Literal["tapestry-takeaway"] = "tapestry-takeaway"
    format_version: Literal[1] = 1
    job: UUID
    client: Name
    variant: Variant
    model: ModelSpec  # its weights are named in `base`
    base: str | None  # `random`, a hub name, or nothing: a directory of the machine that exported
    base_digest: Sha256
    weights_sha256: Sha256
    components: tuple[ComponentName, ...]
    tasks: dict[Name, TakenTask]

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
                "rounds": {"count": 1},
                "tasks": {name: taken.task for name, taken in self.tasks.items()},
                "clients": [self.client],
            }
        )


def taken_tasks(spec: JobSpec, components: Collection[str]) -> dict[str, TakenTask]:
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
            found[name] = TakenTask(task=plain, known_domains=known)
    return found


def one_of(names: Collection[str]) -> str:
    """Names to choose from, as a sentence has them: `a, b or c`."""
    *others, last = sorted(names)
    return f"{', '.join(others)} or {last}" if others else last
