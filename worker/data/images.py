"""Image files to upright RGB images, the same on every machine with the same Pillow."""

import struct
import zlib
from io import BytesIO

from PIL import Image, ImageOps

from worker.data.sources import DataError, StoredImage

TOO_LARGE = Image.DecompressionBombError
_MOST_PIXELS = 2 * (Image.MAX_IMAGE_PIXELS or 0)  # above, Pillow raises it
BROKEN = (  # what Pillow raises for damaged files, by their formats
    OSError,  # missing, unreadable, truncated, not an image
    SyntaxError,  # PNG
    ValueError,
    RuntimeError,  # AVIF, DDS
    AttributeError,  # SPIDER
    LookupError,
    TypeError,
    OverflowError,
    struct.error,
    zlib.error,
    TOO_LARGE,
)
_MANY_BITS = frozenset({"I", "F", "I;16", "I;16B", "I;16L", "I;16N"})


def open_image(stored: StoredImage, place: str) -> Image.Image:
    """The image in RGB, upright, transparency on white. Raises DataError."""
    what = f"the image {stored.path.name!r}" if stored.path else "the image"
    source = stored.path if stored.data is None else BytesIO(stored.data)
    try:
        with Image.open(source) as file:  # type: ignore[arg-type]  # there is one of both
            image = upright(file)
    except TOO_LARGE as error:
        raise DataError(
            f"{place}: {what} has more than {_MOST_PIXELS // 10**6} million pixels; scale it down"
        ) from error
    except BROKEN as error:
        raise DataError(
            f"{place}: {what} cannot be read; replace the file or remove the row"
        ) from error
    if has_many_bits(image):
        raise DataError(f"{place}: {what} has more than 8 bits in a channel; convert it to 8 bits")
    return as_rgb(image)


def upright(image: Image.Image) -> Image.Image:
    """A copy with all its pixels, turned as its metadata say. Raises one of BROKEN."""
    image.load()
    return ImageOps.exif_transpose(image)


def has_many_bits(image: Image.Image) -> bool:
    """Whether a channel has more than 8 bits, of which a conversion would lose some."""
    return image.mode in _MANY_BITS


def as_rgb(image: Image.Image) -> Image.Image:
    """The image in RGB, transparency on white."""
    if not image.has_transparency_data:
        return image.convert("RGB")
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")
