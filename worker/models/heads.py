"""Output heads, one for each task: classification, image generation, text generation."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import GenerationConfig, GPT2Config, GPT2LMHeadModel

IMAGE_SIZE = 64  # pixels of a generated image
_GPT2_WIDTH = 768
_MOST_CHANNELS = 128  # of its first layer: the projection to them is most of what the head sends


@dataclass(frozen=True)
class Features:
    """What the fusion makes of a sample."""

    pooled: Tensor  # (B, D)
    tokens: Tensor  # (B, S, D), of all modalities
    mask: Tensor  # (B, S), true where there is a token


@dataclass(frozen=True)
class TextTokens:
    """Ids of the tokens with which a text starts, ends, and is padded."""

    start: int
    end: int
    pad: int


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
        channels = min(max(width // 2, 16), _MOST_CHANNELS)
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


class _WordsIn(nn.Module):
    """Token ids to the decoder's inputs, through the base's frozen word embeddings."""

    def __init__(self, words: nn.Parameter, width: int) -> None:
        super().__init__()
        self.words = words
        self.project = nn.Linear(words.shape[1], width)

    def forward(self, ids: Tensor) -> Tensor:
        """(B, T) -> (B, T, W)"""
        x: Tensor = self.project(self.words[ids])
        return x


class _WordsOut(nn.Module):
    """The decoder's outputs to logits, over the base's frozen word embeddings."""

    def __init__(self, words: nn.Parameter, width: int) -> None:
        super().__init__()
        self.words = words
        self.project = nn.Linear(width, words.shape[1])
        self.bias = nn.Parameter(torch.zeros(len(words)))

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, W) -> (B, T, V)"""
        logits: Tensor = self.project(x) / self.words.shape[1] ** 0.5 @ self.words.T + self.bias
        return logits


@dataclass(frozen=True)
class DecoderSizes:
    """Sizes of a text head."""

    width: int  # W, of the decoder
    heads: int
    layers: int
    length: int  # longest text, without its start token


class TextHead(nn.Module):
    """GPT-2 layers that attend to the token features of the input (ALGORITHM 4).

    Narrower than the base, and tied to the base's frozen word embeddings on both sides, so that
    little of it travels.
    """

    def __init__(self, words: nn.Parameter, sizes: DecoderSizes) -> None:
        super().__init__()
        config = GPT2Config(
            vocab_size=1,  # its own tables are replaced
            n_positions=sizes.length,
            n_embd=sizes.width,
            n_layer=sizes.layers,
            n_head=sizes.heads,
            initializer_range=0.02 * math.sqrt(_GPT2_WIDTH / sizes.width),  # as large as there
            add_cross_attention=True,
            tie_word_embeddings=False,
            bos_token_id=None,
            eos_token_id=None,
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
        )
        self.read = nn.Linear(words.shape[1], sizes.width)
        self.decoder = GPT2LMHeadModel(config)
        self.decoder.config.vocab_size = len(words)
        self.decoder.set_input_embeddings(_WordsIn(words, sizes.width))
        self.decoder.set_output_embeddings(_WordsOut(words, sizes.width))
        self.length = sizes.length

    def forward(self, features: Features, words: Tensor) -> Tensor:
        """Logits of the next token at each position, from the start token on.

        words: (B, T) token ids; returns (B, T, V).
        """
        logits: Tensor = self.decoder(
            input_ids=words,
            encoder_hidden_states=self.read(features.tokens),
            encoder_attention_mask=features.mask,
            use_cache=False,
        ).logits
        return logits

    def generate(self, features: Features, tokens: TextTokens, beams: int = 1) -> Tensor:
        """The likeliest texts, greedily or by beams, until each has its end token.

        Returns (B, T) token ids from the start token on, padded.
        """
        start = torch.full((len(features.pooled), 1), tokens.start, device=features.pooled.device)
        decoder: Any = self.decoder  # the types of `generate` do not fit the library's own models
        with torch.no_grad():
            found: Tensor = decoder.generate(
                start,
                encoder_hidden_states=self.read(features.tokens),
                encoder_attention_mask=features.mask,
                generation_config=GenerationConfig(
                    max_new_tokens=self.length,
                    num_beams=beams,
                    do_sample=False,
                    bos_token_id=tokens.start,
                    eos_token_id=tokens.end,
                    pad_token_id=tokens.pad,
                ),
            )
        return _padded(found, tokens)


def _padded(texts: Tensor, tokens: TextTokens) -> Tensor:
    """Texts with padding behind their end: a search by beams fills them up with end tokens."""
    ends = texts == tokens.end
    return texts.masked_fill(ends.cumsum(1) - ends.long() > 0, tokens.pad)


def join(pooled: Tensor, sequences: list[tuple[Tensor, Tensor]]) -> Features:
    """Features from the pooled vector and each modality's (tokens, mask)."""
    tokens = torch.cat([tokens for tokens, _ in sequences], dim=1)
    mask = torch.cat([mask for _, mask in sequences], dim=1)
    return Features(pooled, tokens, mask)
