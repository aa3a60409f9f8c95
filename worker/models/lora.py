"""LoRA by peft on views of the base's own modules, and the domain experts' low-rank pairs."""

from typing import TypeVar

import torch
from peft import LoraConfig, inject_adapter_in_model
from torch import Tensor, nn

from shared.model_spec import LoraSpec, LowRank, ModelSpec
from worker.models.backbone import trainable_copy, view

M = TypeVar("M", bound=nn.Module)


def adapt(module: M, spec: ModelSpec, rank: LowRank, targets: list[str]) -> M:
    """The trainable form of a base module: a copy that trains whole, or a view with LoRA.

    `targets` are the names of the layers inside it that get LoRA.
    """
    if spec.trainable == "full":
        return trainable_copy(module)
    return with_lora(view(module), spec.lora, rank, targets)


def with_lora(module: M, lora: LoraSpec, rank: LowRank, targets: list[str]) -> M:
    """Add LoRA to the named layers of a module, in place; nothing else of it trains."""
    config = LoraConfig(
        r=rank.rank,
        lora_alpha=rank.alpha,  # type: ignore[arg-type]  # peft scales by alpha / r as floats
        lora_dropout=lora.dropout,
        target_modules=targets,
    )
    module.requires_grad_(requires_grad=False)
    if targets:
        inject_adapter_in_model(config, module)
    return module


class LowRankPair(nn.Module):
    """x -> x A^T B^T, B zero at the start so that it begins as no change. (.., D) -> (.., D)"""

    def __init__(self, width: int, rank: int) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.randn(rank, width) / width**0.5)
        self.b = nn.Parameter(torch.zeros(width, rank))

    def forward(self, x: Tensor) -> Tensor:
        """Apply the pair."""
        return x @ self.a.T @ self.b.T


class DomainAdapter(nn.Module):
    """What a domain adds to the queries and values of one MoTE layer."""

    def __init__(self, width: int, rank: int) -> None:
        super().__init__()
        self.query = LowRankPair(width, rank)
        self.value = LowRankPair(width, rank)
