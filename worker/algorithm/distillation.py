"""Stage two's loss: what the personal model (student) loses against the engaged one (teacher)."""

from collections.abc import Container, Mapping

import torch
from torch import Tensor
from torch.func import functional_call
from torch.nn import functional

from shared.components import TaskKind
from worker.algorithm.losses import mean_over_tokens, next_tokens
from worker.models.network import Batch, Network, State
from worker.training.loop import SampleLoss
from worker.training.trainer import Trainer


def taught_by(
    trainer: Trainer, teacher: State, temperature: float, tasks: Container[str] | None = None
) -> SampleLoss:
    """loss_o + lambda_o * (distillation loss against the teacher), TAP's stage two.

    Where `tasks` are named, the others' loss is loss_o alone.
    """
    network = trainer.network
    weights = as_parameters(network, teacher)
    pad = network.base.tokenizer.pad_id

    def loss(task: str, batch: Batch) -> tuple[Tensor, Tensor]:
        output = network(task, batch)
        plain = trainer.task_loss(task, batch, output)
        if tasks is not None and task not in tasks:
            return plain, plain
        taught = _taught(network, weights, task, batch)
        spec = trainer.spec.tasks[task]
        extra = distillation_loss(spec.kind, batch, output, taught, temperature, pad)
        return plain + spec.distillation_weight * extra, plain

    return loss


def _taught(network: Network, weights: Mapping[str, Tensor], task: str, batch: Batch) -> Tensor:
    """The teacher's outputs in evaluation mode."""
    network.eval()
    with torch.no_grad():
        output: Tensor = functional_call(network, dict(weights), (task, batch))
    network.train()
    return output


def as_parameters(network: Network, state: State) -> dict[str, Tensor]:
    """A state under the network's parameter names, for `functional_call`."""
    names = {id(p): name for name, p in network.named_parameters()}
    return {
        names[id(parameter)]: state[component][tensor].to(parameter.device)
        for component in network.components
        for tensor, parameter in network.tensors(component).items()
    }


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
