"""Plain losses of a model on samples that it did not train on."""

import torch
from torch import Tensor

from worker.data.client_task import SplitName
from worker.models.network import State
from worker.training.batches import in_order
from worker.training.trainer import Trainer

_BATCH = 64


def held_out_losses(
    trainer: Trainer, state: State, split: SplitName = "validation"
) -> dict[str, Tensor]:
    """The loss of each sample of the client's tasks, in their order, without dropout. (N,) each"""
    network = trainer.network
    network.load(state)
    network.eval()
    size = min(_BATCH, trainer.samples_at_once or _BATCH)
    losses: dict[str, Tensor] = {}
    with torch.no_grad():
        for task, sets in trainer.data.items():
            parts = [
                trainer.plain(task, batch.to(network.device))[1]
                for batch in in_order(getattr(sets, split), size)
            ]
            losses[task] = torch.cat(parts).double().cpu()
    return losses
