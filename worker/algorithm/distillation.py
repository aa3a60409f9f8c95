"""Stage two's loss: what the personal model (student) loses against the engaged one (teacher)."""

from torch import Tensor
from torch.nn import functional

from shared.components import TaskKind
from worker.algorithm.losses import mean_over_tokens, next_tokens
from worker.models.network import Batch


def distillation_loss(
    kind: TaskKind, batch: Batch, student: Tensor, teacher: Tensor, temperature: float, pad: int
) -> Tensor:
    """The distillation loss of each sample (B,): T^2 KL(teacher || student).

    For text the mean over the target's tokens; for images, which are no distributions, the mean
    squared difference (ALGORITHM 3 and 5).
    """
    match kind:
        case TaskKind.IMAGE_CLASSIFICATION | TaskKind.TEXT_CLASSIFICATION:
            return divergence(student, teacher, temperature)
        case TaskKind.IMAGE_GENERATION:
            return (student - teacher).square().mean(dim=(1, 2, 3))
        case TaskKind.TEXT_GENERATION:
            _, mask = next_tokens(batch, pad)
            return mean_over_tokens(divergence(student, teacher, temperature), mask)


def divergence(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """T^2 KL(softmax(teacher / T) || softmax(student / T)) over the last dimension."""
    wanted = functional.log_softmax(teacher / temperature, dim=-1)
    given = functional.log_softmax(student / temperature, dim=-1)
    return temperature**2 * functional.kl_div(given, wanted, reduction="none", log_target=True).sum(
        -1
    )
