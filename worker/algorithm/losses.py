"""Task losses, one value for each sample: a task's mean does not depend on its batch share."""

from collections.abc import Callable

from torch import Tensor
from torch.nn import functional

from shared.components import TaskKind
from worker.models.heads import IMAGE_SIZE
from worker.models.network import Batch, image_targets

TaskLoss = Callable[[str, Batch, Tensor], Tensor]
"""Of a task, its batch and the network's output: the loss of each sample. (B,)"""


def task_loss(kind: TaskKind, batch: Batch, output: Tensor, pad: int) -> Tensor:
    """The loss of each sample. (B,)

    Nats for a label, mean nats for the tokens of a text, mean squared error for an image.
    """
    match kind:
        case TaskKind.IMAGE_CLASSIFICATION | TaskKind.TEXT_CLASSIFICATION:
            return functional.cross_entropy(output, _there(batch.labels), reduction="none")
        case TaskKind.IMAGE_GENERATION:
            wanted = image_targets(_there(batch.images), IMAGE_SIZE)
            return (output - wanted).square().mean(dim=(1, 2, 3))
        case TaskKind.TEXT_GENERATION:
            wanted, mask = next_tokens(batch, pad)
            each = functional.cross_entropy(output.transpose(1, 2), wanted, reduction="none")
            return mean_over_tokens(each, mask)


def next_tokens(batch: Batch, pad: int) -> tuple[Tensor, Tensor]:
    """What each position of the decoder should say, and where that counts. (B, T - 1) each."""
    wanted = _there(batch.targets)[:, 1:]
    return wanted, wanted != pad


def mean_over_tokens(values: Tensor, mask: Tensor) -> Tensor:
    """The mean over the tokens that count. (B, T), (B, T) -> (B,)"""
    weights = mask.to(values.dtype)
    return (values * weights).sum(1) / weights.sum(1).clamp(min=1)


def _there(value: Tensor | None) -> Tensor:
    if value is None:
        raise ValueError("the batch lacks what its task learns from")
    return value
