"""What the worker asks of its training process, and what it hears: no torch is needed for it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from shared.messages import Catalogue, Claim
from shared.results import AssignmentResult
from worker.spent import Spent
from worker.workplace import Workplace


@dataclass(frozen=True)
class Equipment:
    """What the training process works with."""

    places: Mapping[str, Workplace]
    device: Literal["auto", "cpu", "cuda"] = "auto"
    checkpoint_s: float = 60.0
    threads: int = 1


@dataclass(frozen=True)
class Request:
    """Asks for a claimed assignment; the files that it starts from are in the cache."""

    member: str
    claim: Claim
    samples_at_once: int | None = None


@dataclass(frozen=True)
class Computed:
    """The result; its files are in the cache and the personal state is saved."""

    result: AssignmentResult
    catalogue: Catalogue | None = None  # of a plan
    spent: Spent = field(default_factory=Spent)
