"""Transformer layers in the base's shape, whose feed-forward experts are chosen by name.

A layer: norm -> queries and values with the sample's domain expert -> masked attention -> norm ->
the expert, residual both times (ALGORITHM 4). The linear layers are the base's own.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from shared.job_spec import ModelSpec
from worker.models.base import Base, trainable_copy, view
from worker.models.lora import adapt

Domains = Sequence[tuple[nn.Module, Tensor]]  # of each domain its expert, and its rows


class Attention(nn.Module):
    """Norms and attention of one layer; made from a layer of the base."""

    def __init__(self, layer: nn.Module, heads: int, spec: ModelSpec) -> None:
        super().__init__()
        self.heads = heads
        attention = view(layer.get_submodule("attention"))
        self.attention = adapt(attention, spec, spec.lora.attention, ["query", "value"])
        self.norm_before = trainable_copy(layer.get_submodule("layernorm_before"))
        self.norm_after = trainable_copy(layer.get_submodule("layernorm_after"))

    def forward(self, x: Tensor, mask: Tensor, domains: Domains) -> tuple[Tensor, Tensor]:
        """The residual stream after attention, and its norm for the expert.

        x: (B, S, D); mask: (B, S), true where there is a token.
        """
        h = self.norm_before(x)
        inner = self.attention.get_submodule("attention")
        query = self._split(_with_domains(inner.get_submodule("query")(h), h, domains, "query"))
        key = self._split(inner.get_submodule("key")(h))
        value = self._split(_with_domains(inner.get_submodule("value")(h), h, domains, "value"))
        mixed = functional.scaled_dot_product_attention(
            query, key, value, attn_mask=mask[:, None, None, :]
        )
        x = x + self.attention.get_submodule("output.dense")(mixed.transpose(1, 2).flatten(2))
        return x, self.norm_after(x)

    def _split(self, x: Tensor) -> Tensor:
        """(B, S, D) -> (B, heads, S, D / heads)"""
        split: Tensor = x.unflatten(-1, (self.heads, -1))
        return split.transpose(1, 2)


def _with_domains(projected: Tensor, h: Tensor, domains: Domains, part: str) -> Tensor:
    """Add to each sample's queries or values what its own domain's expert says."""
    for expert, rows in domains:
        change = expert.get_submodule(part)(h[rows])
        projected = projected.index_add(0, rows, change)
    return projected


class Block(nn.Module):
    """The attention layers of one stream (MoTE) or branch (MoME), with a last norm if asked."""

    def __init__(self, base: Base, spec: ModelSpec, layers: Sequence[int], last_norm: bool) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            Attention(base.fusion_layer(index), base.heads, spec) for index in layers
        )
        norm = base.model.multimodal_model.layernorm
        self.norm = trainable_copy(norm) if last_norm else nn.Identity()

    def forward(
        self, x: Tensor, mask: Tensor, experts: Sequence[nn.Module], domains: Sequence[Domains]
    ) -> Tensor:
        """Run all layers, each with its expert and domains. (B, S, D) -> (B, S, D)"""
        for layer, expert, domain in zip(self.layers, experts, domains, strict=True):
            x, normed = layer(x, mask, domain)
            x = x + expert(normed)
        normalized: Tensor = self.norm(x)
        return normalized


class Expert(nn.Module):
    """A feed-forward expert that starts as the base's. (B, S, D) -> (B, S, D)"""

    def __init__(self, base: Base, spec: ModelSpec, layer: int) -> None:
        super().__init__()
        source = base.fusion_layer(layer)
        inner = nn.ModuleDict(
            {
                "up": source.get_submodule("intermediate.dense"),
                "down": source.get_submodule("output.dense"),
            }
        )
        self.inner = adapt(inner, spec, spec.lora.expert, ["up", "down"])
        self.activation = source.get_submodule("intermediate.intermediate_act_fn")

    def forward(self, x: Tensor) -> Tensor:
        """Apply the expert."""
        out: Tensor = self.inner["down"](self.activation(self.inner["up"](x)))
        return out


def masked_mean(x: Tensor, mask: Tensor) -> Tensor:
    """The mean over the tokens that are there. (B, S, D), (B, S) -> (B, D)"""
    weights = mask.to(x.dtype).unsqueeze(-1)
    return (x * weights).sum(1) / weights.sum(1).clamp(min=1)


def all_tokens(x: Tensor) -> Tensor:
    """A mask for sequences without padding. (B, S, D) -> (B, S)"""
    return torch.ones(x.shape[:2], dtype=torch.bool, device=x.device)
