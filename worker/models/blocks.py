"""Transformer layers in the base's shape, whose feed-forward experts are chosen by name.

A layer: norm -> queries and values with the sample's domain expert -> masked attention -> norm ->
the expert, residual both times (ALGORITHM 4). The linear layers are the base's own. Paths that
share a block go through its attention together and differ in their experts only.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from shared.model_spec import ModelSpec
from worker.models.backbone import trainable_copy, view
from worker.models.base import Base
from worker.models.lora import adapt


@dataclass(frozen=True)
class Domains:
    """Which domain expert each sample of a batch has."""

    ids: Tensor  # (B,)
    experts: Mapping[int, nn.Module]  # by domain id

    def add(self, projected: Tensor, h: Tensor, part: str) -> Tensor:
        """Add to queries or values what each sample's own expert says; B or a multiple of it."""
        ids = self.ids.repeat(len(h) // len(self.ids))
        for index, expert in self.experts.items():
            rows = (ids == index).nonzero().squeeze(1)
            projected = projected.index_add(0, rows, expert.get_submodule(part)(h[rows]))
        return projected


NO_DOMAINS = Domains(torch.zeros(1, dtype=torch.int64), {})


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
        query = self._split(domains.add(inner.get_submodule("query")(h), h, "query"))
        key = self._split(inner.get_submodule("key")(h))
        value = self._split(domains.add(inner.get_submodule("value")(h), h, "value"))
        mixed = functional.scaled_dot_product_attention(
            query, key, value, attn_mask=mask[:, None, None, :]
        )
        x = x + self.attention.get_submodule("output.dense")(mixed.transpose(1, 2).flatten(2))
        return x, self.norm_after(x)

    def _split(self, x: Tensor) -> Tensor:
        """(B, S, D) -> (B, heads, S, D / heads)"""
        split: Tensor = x.unflatten(-1, (self.heads, -1))
        return split.transpose(1, 2)


class Block(nn.Module):
    """The attention layers of one stream (MoTE) or branch (MoME), with a last norm if asked."""

    def __init__(self, base: Base, spec: ModelSpec, layers: Sequence[int], last_norm: bool) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            Attention(base.fusion_layer(index), base.heads, spec) for index in layers
        )
        self.norm = trainable_copy(base.backbone.fusion_norm) if last_norm else nn.Identity()

    def forward(
        self,
        paths: Sequence[Tensor],
        mask: Tensor,
        experts: Sequence[Sequence[nn.Module]],
        domains: Sequence[Domains],
    ) -> list[Tensor]:
        """Run all layers; one path may fan out to several experts in the first.

        paths: each (B, S, D); mask: (B, S); experts: of each layer, one for each path that comes
        out; domains: of each layer. Returns those paths, each (B, S, D).
        """
        for layer, chosen, domain in zip(self.layers, experts, domains, strict=True):
            together = torch.cat(list(paths))
            attended = layer(together, mask.repeat(len(paths), 1), domain)
            x, normed = (part.chunk(len(paths)) * (len(chosen) // len(paths)) for part in attended)
            paths = [a + expert(b) for expert, a, b in zip(chosen, x, normed, strict=True)]
        return [self.norm(path) for path in paths]


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
