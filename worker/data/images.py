"""Image files to upright RGB images, the same on every machine with the same Pillow."""

import struct
import zlib
from io import BytesIO

from PIL import Image, ImageOps

from worker.data.sources import DataError, StoredImage

_BROKEN = (
    OSError,  # missing, unreadable, truncated, not an image
    SyntaxError,  # a broken PNG
    ValueError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)
_MANY_BITS = frozenset({"I", "F", "I;16", "I;16B", "I;16L", "I;16N"})


def open_image(stored: StoredImage, place: str) -> Image.Image:
    """The image in RGB, upright, transparency on white. Raises DataError."""
    what = f"the image {stored.path.name!r}" if stored.path else "the image"
    source = stored.path if stored.data is None else BytesIO(stored.data)
    try:
        with Image.open(source) as file:  # type: ignore[arg-type]  # there is one of both
            file.load()
            image = ImageOps.exif_transpose(file)
    except _BROKEN as error:
        raise DataError(
            f"{place}: {what} cannot be read; replace the file or remove the row"
        ) from error
    if image.mode in _MANY_BITS:
        raise DataError(f"{place}: {what} has more than 8 bits in a channel; convert it to 8 bits")
    return _rgb(image)


def _rgb(image: Image.Image) -> Image.Image:
    if not image.has_transparency_data:
        return image.convert("RGB")
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")
