"""A client's models compared by validation: TAP's guard, and who may teach.

The guard keeps for each task the best of them. So no client leaves with a model that is worse than
one it had, as far as its own held-out samples tell.
"""

import math
from collections.abc import Mapping

from shared.results import Variant
from worker.metrics.measured import Decisive
from worker.models.network import State
from worker.training.evaluation import decisive
from worker.training.trainer import Trainer

# Of equal models the first: without a reason against it the method's own last model, then its own.
CANDIDATES = (Variant.DISTILLED, Variant.PERSONAL, Variant.POST_TRAINED)


Measured = Mapping[Variant, Mapping[str, Decisive]]
"""What decides about each model at each of the client's tasks."""


def measured(
    trainer: Trainer, models: Mapping[Variant, State]
) -> dict[Variant, dict[str, Decisive]]:
    """The models on the validation samples."""
    return {v: dict(decisive(trainer, model, "validation")) for v, model in models.items()}


def choose(found: Measured) -> dict[str, Variant]:
    """The best candidate at each task."""
    tasks = found[Variant.DISTILLED]
    return {task: best({v: found[v][task] for v in CANDIDATES}) for task in tasks}


def teachable(found: Measured) -> frozenset[str]:
    """The tasks at which the locally trained engaged model is better than the personal one."""
    teacher, student = found[Variant.POST_TRAINED], found[Variant.PERSONAL]
    return frozenset(task for task in student if _worth(teacher[task]) > _worth(student[task]))


def best(found: Mapping[Variant, Decisive]) -> Variant:
    """The candidate with the greatest skill, of equal ones the one with the least loss.

    One whose outputs are no numbers is behind all others.
    """
    return max(CANDIDATES, key=lambda variant: _worth(found[variant]))


def _worth(found: Decisive) -> tuple[bool, float, float]:
    skill, loss = found
    broken = math.isnan(skill) or math.isnan(loss)
    return (False, 0.0, 0.0) if broken else (True, skill, -loss)
