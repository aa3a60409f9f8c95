"""Image files to pixel tensors of one size, the same on every machine with the same Pillow."""

import struct
import zlib
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from worker.data.rows import DataError

_BROKEN = (
    OSError,  # missing, unreadable, truncated, not an image
    SyntaxError,  # a broken PNG
    ValueError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)
_MANY_BITS = frozenset({"I", "F", "I;16", "I;16B", "I;16L", "I;16N"})


def open_image(path: Path, place: str) -> Image.Image:
    """The image at `path` in RGB, upright, transparency on white. Raises DataError."""
    try:
        with Image.open(path) as file:
            file.load()
            image = ImageOps.exif_transpose(file)
    except _BROKEN as error:
        raise DataError(
            f"{place}: the image {path.name!r} cannot be read; replace the file or remove the line"
        ) from error
    if image.mode in _MANY_BITS:
        raise DataError(
            f"{place}: the image {path.name!r} has more than 8 bits in a channel; "
            "convert it to 8 bits"
        )
    return _rgb(image)


def resized(image: Image.Image, size: int) -> Tensor:
    """Pixels of an RGB image, (3, size, size) uint8; bicubic, the sides scaled apart."""
    if image.size != (size, size):
        image = image.resize((size, size), Image.Resampling.BICUBIC)
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)


def _rgb(image: Image.Image) -> Image.Image:
    if not image.has_transparency_data:
        return image.convert("RGB")
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")
