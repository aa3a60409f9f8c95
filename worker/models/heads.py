"""Output heads, one for each task: classification, image generation, text generation."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

IMAGE_SIZE = 64  # pixels of a generated image


@dataclass(frozen=True)
class Features:
    """What the fusion makes of a sample."""

    pooled: Tensor  # (B, D)
    tokens: Tensor  # (B, S, D), of all modalities
    mask: Tensor  # (B, S), true where there is a token


class ClassificationHead(nn.Module):
    """Two-layer perceptron on the pooled features."""

    def __init__(self, width: int, n_classes: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, n_classes))

    def forward(self, features: Features) -> Tensor:
        """Logits. (B, C)"""
        logits: Tensor = self.layers(features.pooled)
        return logits


class ImageHead(nn.Module):
    """Projection to 8x8 and three transposed convolutions to 3x64x64, values from 0 to 1."""

    def __init__(self, width: int) -> None:
        super().__init__()
        channels = max(width // 2, 16)
        self.project = nn.Linear(width, channels * 8 * 8)
        self.layers = nn.Sequential(
            nn.GELU(),
            nn.ConvTranspose2d(channels, channels // 2, 4, 2, 1),
            nn.GELU(),
            nn.ConvTranspose2d(channels // 2, channels // 4, 4, 2, 1),
            nn.GELU(),
            nn.ConvTranspose2d(channels // 4, 3, 4, 2, 1),
            nn.Sigmoid(),
        )

    def forward(self, features: Features) -> Tensor:
        """Images. (B, 3, 64, 64)"""
        images: Tensor = self.layers(self.project(features.pooled).unflatten(1, (-1, 8, 8)))
        return images


class TextHead(nn.Module):
    """An autoregressive decoder that attends to the token features of the input.

    Its word embeddings, in and out, are the base's, frozen; they are arguments, not parameters.
    """

    def __init__(self, width: int, heads: int, layers: int, length: int, n_words: int) -> None:
        super().__init__()
        self.positions = nn.Parameter(torch.randn(length, width) * 0.02)
        self.layers = nn.ModuleList(
            nn.TransformerDecoderLayer(
                width,
                heads,
                4 * width,
                dropout=0.0,
                activation="gelu",
                batch_first=True,
                norm_first=True,
            )
            for _ in range(layers)
        )
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, width)
        self.bias = nn.Parameter(torch.zeros(n_words))

    def forward(self, features: Features, words: Tensor, embeddings: Tensor) -> Tensor:
        """Logits of the next token at each position, from the start token on.

        words: (B, T) token ids; embeddings: (V, D) of unit variance; returns (B, T, V).
        """
        length = words.shape[1]
        x = embeddings[words] + self.positions[:length]
        hidden = ~torch.ones(length, length, dtype=torch.bool, device=x.device).tril()
        for layer in self.layers:
            x = layer(x, features.tokens, tgt_mask=hidden, memory_key_padding_mask=~features.mask)
        x = self.out(self.norm(x)) / x.shape[-1] ** 0.5
        logits: Tensor = x @ embeddings.T + self.bias
        return logits

    def generate(self, features: Features, embeddings: Tensor, start: int, end: int) -> Tensor:
        """Greedy decoding, until every sample has its end token. (B, T) from the start token on."""
        words = torch.full((len(features.pooled), 1), start, device=features.pooled.device)
        ended = torch.zeros_like(words[:, 0], dtype=torch.bool)
        for _ in range(len(self.positions)):
            best = self.forward(features, words, embeddings)[:, -1].argmax(-1)
            words = torch.cat([words, torch.where(ended, end, best)[:, None]], dim=1)
            ended |= best == end
            if bool(ended.all()):
                break
        return words


def join(pooled: Tensor, sequences: list[tuple[Tensor, Tensor]]) -> Features:
    """Features from the pooled vector and each modality's (tokens, mask)."""
    tokens = torch.cat([tokens for tokens, _ in sequences], dim=1)
    mask = torch.cat([mask for _, mask in sequences], dim=1)
    return Features(pooled, tokens, mask)
