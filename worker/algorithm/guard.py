"""The guard of TAP's option: for each task the best of a client's models by validation.

So no client leaves with a model that is worse than one it had, as far as its own held-out samples
tell.
"""

import math
from collections.abc import Mapping

from shared.results import Variant
from worker.models.network import State
from worker.training.held_out import held_out_losses
from worker.training.trainer import Trainer

# Of equal losses the first: without a reason against it the method's own last model, then its own.
CANDIDATES = (Variant.DISTILLED, Variant.PERSONAL, Variant.POST_TRAINED)


def choose(trainer: Trainer, models: Mapping[Variant, State]) -> dict[str, Variant]:
    """The candidate of each of the client's tasks with the least mean loss on its validation."""
    losses = {variant: held_out_losses(trainer, models[variant]) for variant in CANDIDATES}
    means = {
        variant: {task: float(each.mean()) for task, each in by_task.items()}
        for variant, by_task in losses.items()
    }
    return {task: least({v: means[v][task] for v in CANDIDATES}) for task in trainer.data}


def least(losses: Mapping[Variant, float]) -> Variant:
    """The candidate with the least loss; one that is no number counts as infinite."""
    known = {v: math.inf if math.isnan(losses[v]) else losses[v] for v in CANDIDATES}
    return min(CANDIDATES, key=known.__getitem__)
