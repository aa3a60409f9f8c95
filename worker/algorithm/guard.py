"""The guard of TAP's option: for each task the best of a client's models by validation.

So no client leaves with a model that is worse than one it had, as far as its own held-out samples
tell.
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


def choose(trainer: Trainer, models: Mapping[Variant, State]) -> dict[str, Variant]:
    """The best candidate at each of the client's tasks."""
    found = {variant: decisive(trainer, models[variant], "validation") for variant in CANDIDATES}
    return {task: best({v: found[v][task] for v in CANDIDATES}) for task in trainer.data}


def best(found: Mapping[Variant, Decisive]) -> Variant:
    """The candidate with the greatest skill, of equal ones the one with the least loss.

    One whose outputs are no numbers is behind all others.
    """

    def worth(variant: Variant) -> tuple[bool, float, float]:
        skill, loss = found[variant]
        broken = math.isnan(skill) or math.isnan(loss)
        return (False, 0.0, 0.0) if broken else (True, skill, -loss)

    return max(CANDIDATES, key=worth)
