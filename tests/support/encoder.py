"""A tiny BERT with random weights and the shipped vocabulary, in the hub's format."""

import shutil
from pathlib import Path

from transformers import BertConfig, BertModel, BertTokenizer

from worker.data.tokenizer import VOCABULARY
from worker.training import seeds


def write(directory: Path) -> Path:
    """Two layers of width 16 for texts of up to 24 tokens."""
    directory.mkdir(parents=True)
    words = shutil.copy(VOCABULARY, directory / "vocab.txt")
    config = BertConfig(
        vocab_size=len(VOCABULARY.read_text(encoding="utf-8").splitlines()),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=24,
    )
    with seeds.scope("encoder"):
        model = BertModel(config)
    for name, bias in model.named_parameters():
        if name.endswith("LayerNorm.bias"):
            bias.data.fill_(1.0)  # features point to one side, as those of trained encoders do
    model.save_pretrained(directory)
    BertTokenizer(vocab=str(words)).save_pretrained(directory)
    return directory
