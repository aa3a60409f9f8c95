"""When two samples are the same, and when they look alike."""

import hashlib
import re
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from worker.data.sources import NAMES

_SIDE = 8  # of the small image whose gradients are compared
_BITS = 3  # of 64 by which copies differ that were scaled or compressed
_WORD = re.compile(r"\w+")


def same(text: str, image: Image.Image | None, shown: str = "") -> bytes:
    """What two samples have in common that are the same.

    That is the image where there is one: another question about it is no new sample. Where the
    client has lost its images, it is which one the sample names (`shown`).
    """
    if image is None and shown:
        return _digest(f"image {shown}".encode(errors=NAMES))
    if image is None:
        return _digest(" ".join(text.split()).casefold().encode())
    return _digest(repr(image.size).encode() + image.tobytes())


def words(text: str) -> bytes:
    """What two texts have in common that differ in nothing but marks and case."""
    return _digest(" ".join(_WORD.findall(text.casefold())).encode())


def gradients(image: Image.Image) -> int:
    """The signs of an image's horizontal gradients at 8x8, as 64 bits (difference hash)."""
    small = image.convert("L").resize((_SIDE + 1, _SIDE), Image.Resampling.BOX).tobytes()
    rows = (small[start : start + _SIDE + 1] for start in range(0, len(small), _SIDE + 1))
    bits = [a > b for row in rows for a, b in pairwise(row)]
    return sum(bit << place for place, bit in enumerate(bits))


def alike(image: int, others: NDArray[np.uint64]) -> bool:
    """Whether an image's gradients are those of one of the others, but for a few bits."""
    return bool((np.bitwise_count(others ^ np.uint64(image)) <= _BITS).any())


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()
