"""Randomness as an argument: every random choice has its own named seed."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def derive(*parts: str | int) -> int:
    """A 63-bit seed for the thing that `parts` name, e.g. (job seed, client, round, purpose)."""
    text = json.dumps(parts, separators=(",", ":")).encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:8], "big") >> 1


def generator(*parts: str | int) -> torch.Generator:
    """A generator on the CPU, seeded by `derive`."""
    return torch.Generator().manual_seed(derive(*parts))


@contextmanager
def scope(*parts: str | int) -> Iterator[None]:
    """Within it, torch's own generators (initialization, dropout) are seeded by `derive`.

    Outside nothing changes: the former states come back.
    """
    with torch.random.fork_rng():
        torch.manual_seed(derive(*parts))
        yield
