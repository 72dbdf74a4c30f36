"""Encoded bytes to RGB pixels, or why there are none.

Pillow defines the result: the first frame, turned as its EXIF orientation says, by
Image.convert("RGB"); a 16-bit image is clipped to 8 bits there, not scaled. OpenCV decodes the
JPEGs that tests/unit/test_decode.py proves to be the same bytes, in half the time for a large one.
"""

from __future__ import annotations

import contextlib
import functools
import io
import re
import struct
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt
from cv2.typing import MatLike
from PIL import ExifTags, Image, UnidentifiedImageError

DEFAULT_MAX_IMAGE_PIXELS = 178_956_970 // 2
DEFAULT_MAX_IMAGE_BYTES = 256 << 20

Reason = Literal[
    "empty",  # no bytes at all
    "too_many_bytes",  # more than max_image_bytes
    "too_many_pixels",  # more than max_image_pixels, by the header
    "too_much_metadata",  # compressed texts that unpack to megabytes
    "out_of_memory",  # the pixels do not fit
    "unknown_format",  # no image, or in none of the formats below
    "unsupported",  # a known format with a feature that cannot be decoded
    "zero_size",  # no rows or no columns
    "truncated",  # ends before the last pixel
    "corrupt",  # damaged in another way
]

# Every format here is told by its first bytes. Not among them: those that run other programs (EPS),
# that have no signature (TGA), or that hold no photographs.
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "JPEG2000", "ICO", "PPM")

# Pillow warns of oddities in images that it reads all the same, and of large ones, which are judged
# here. A batch job has no reader for that; catch_warnings would not be thread-safe.
warnings.filterwarnings("ignore", module=r"PIL\.")


class DecodeError(Exception):
    """Why an image has no pixels: reason is one word of Reason, message is for a person."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


@dataclass(frozen=True)
class DecodeLimits:
    """What is refused by its header, before memory is taken for it.

    Raises ValueError if a limit is not positive, or above what Pillow itself refuses.
    """

    max_image_pixels: int = DEFAULT_MAX_IMAGE_PIXELS
    max_image_bytes: int = DEFAULT_MAX_IMAGE_BYTES

    def __post_init__(self) -> None:
        for name in ("max_image_pixels", "max_image_bytes"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        ceiling = 2 * Image.MAX_IMAGE_PIXELS if Image.MAX_IMAGE_PIXELS else None
        if ceiling and self.max_image_pixels > ceiling:
            raise ValueError(
                f"max_image_pixels must be at most {ceiling}, where Pillow itself refuses an "
                f"image, got {self.max_image_pixels}; set PIL.Image.MAX_IMAGE_PIXELS to go beyond"
            )


def decode(data: bytes, limits: DecodeLimits | None = None) -> npt.NDArray[np.uint8]:
    """Decodes an image file to RGB [height, width, 3]. Thread-safe.

    Raises DecodeError for every input that is not an image within the limits.
    """
    limits = limits or DecodeLimits()
    if not data:
        raise DecodeError("empty", "the file is empty")
    if len(data) > limits.max_image_bytes:
        raise DecodeError(
            "too_many_bytes",
            f"the file is larger than max_image_bytes={limits.max_image_bytes} allows",
        )
    try:
        with _pillow_errors(), Image.open(io.BytesIO(data), formats=_formats()) as image:
            _check_size(image, limits)
            pixels = _decode_by_opencv(data, image)
            if pixels is None:
                image.load()
                _check_size(image, limits)  # the header of an ICO does not tell that of its images
                pixels = _to_rgb(image)
            return pixels
    except UnidentifiedImageError:
        raise _not_opened(data) from None


def pil_to_rgb(image: Image.Image) -> npt.NDArray[np.uint8]:
    """The pixels of a Pillow image as decode() gives them: RGB [height, width, 3].

    Raises DecodeError if its file, which Pillow reads late, is damaged.
    """
    with _pillow_errors():
        image.load()
        return _to_rgb(image)


def _to_rgb(image: Image.Image) -> npt.NDArray[np.uint8]:
    """Of a loaded image. After the load, because a TIFF is turned by Pillow during it."""
    method = _PILLOW_TURNS.get(_orientation(image))
    rgb = image.convert("RGB")
    return np.asarray(rgb if method is None else rgb.transpose(method))


def _check_size(image: Image.Image, limits: DecodeLimits) -> None:
    if image.width < 1 or image.height < 1:
        raise DecodeError("zero_size", f"the image is {image.width} x {image.height} pixels")
    if image.width * image.height > limits.max_image_pixels:
        raise DecodeError(
            "too_many_pixels",
            f"the image is {image.width} x {image.height} pixels, more than "
            f"max_image_pixels={limits.max_image_pixels} allows",
        )


# --- EXIF orientation ---

_PILLOW_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def _orientation(image: Image.Image) -> int:
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # damaged metadata raises anything, and does not damage the pixels
        return 1
    return orientation if isinstance(orientation, int) else 1


# --- JPEG by OpenCV ---

_START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_HUFFMAN_FRAMES = frozenset({0xC0, 0xC1, 0xC2})
_START_OF_SCAN = 0xDA
_END_OF_IMAGE = 0xD9
# Sampling factors of the components: 4:4:4, 4:2:2, 4:2:0, 4:4:0, 4:1:1. A single component has no
# other to be sampled against, whatever its factors say.
_SAMPLINGS = frozenset(
    {b"\x11\x11\x11", b"\x21\x11\x11", b"\x22\x11\x11", b"\x12\x11\x11", b"\x41\x11\x11"}
    | {b"\x11", b"\x21", b"\x22"}
)
# In the data of a scan: what ends it, which neither a stuffed zero nor a restart marker does.
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7]")


def _decode_by_opencv(data: bytes, image: Image.Image) -> npt.NDArray[np.uint8] | None:
    """The pixels of an ordinary and whole JPEG; None for all else, which is Pillow's to judge."""
    if image.format not in ("JPEG", "MPO") or image.mode not in ("RGB", "L"):
        return None
    if not _is_ordinary_jpeg(data):
        return None
    flags = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:
        return None
    if pixels is None or pixels.shape != (image.height, image.width, 3):
        return None
    return np.asarray(_turn(pixels, _orientation(image)), np.uint8)


def _turn(pixels: MatLike, orientation: int) -> MatLike:
    """The same as _PILLOW_TURNS, without the way through a Pillow image."""
    if orientation in (5, 7):
        pixels = cv2.transpose(pixels)
    if orientation in (3, 7):
        return cv2.rotate(pixels, cv2.ROTATE_180)
    if orientation == 6:
        return cv2.rotate(pixels, cv2.ROTATE_90_CLOCKWISE)
    if orientation == 8:
        return cv2.rotate(pixels, cv2.ROTATE_90_COUNTERCLOCKWISE)
    if orientation in (2, 4):
        return cv2.flip(pixels, 1 if orientation == 2 else 0)
    return pixels


def _is_ordinary_jpeg(data: bytes) -> bool:
    """Whether this is a baseline or progressive JPEG of one or three 8-bit components that is whole
    by its markers. OpenCV gives back an image for some that are not, where Pillow raises."""
    try:
        return _walk_markers(data)
    except (IndexError, struct.error):  # it ends within a segment
        return False


def _walk_markers(data: bytes) -> bool:
    position, scans = 2, 0
    while True:
        if data[position] != 0xFF:
            return False
        marker = data[position + 1]
        if marker == _END_OF_IMAGE:
            return scans > 0
        (length,) = struct.unpack_from(">H", data, position + 2)
        if length < 2:
            return False
        if marker in _START_OF_FRAME and not _is_ordinary_frame(marker, data, position):
            return False
        position += 2 + length
        if marker == _START_OF_SCAN:
            scans += 1
            found = _MARKER.search(data, position)
            if found is None:
                return False
            position = found.start()


def _is_ordinary_frame(marker: int, data: bytes, position: int) -> bool:
    precision, _, _, components = struct.unpack_from(">BHHB", data, position + 4)
    first = position + 10
    samplings = bytes(data[first + 3 * component + 1] for component in range(components))
    return marker in _HUFFMAN_FRAMES and precision == 8 and samplings in _SAMPLINGS


# --- What Pillow raises ---


@contextlib.contextmanager
def _pillow_errors() -> Iterator[None]:
    """Turns whatever Pillow raises into a DecodeError; UnidentifiedImageError passes."""
    try:
        yield
    except (DecodeError, UnidentifiedImageError):
        raise
    except Image.DecompressionBombError as error:
        claimed = re.search(r"\d+", str(error))
        pixels = f"{int(claimed[0]):,} pixels" if claimed else "too many pixels"
        message = f"the image's header claims {pixels}, more than Pillow opens at all"
        raise DecodeError("too_many_pixels", message) from error
    except MemoryError as error:
        raise DecodeError("out_of_memory", "there is no memory for the image's pixels") from error
    except Exception as error:  # of damaged bytes a plugin raises anything, even a TypeError
        raise _damaged(error) from error


def _damaged(error: Exception) -> DecodeError:
    text = str(error) or type(error).__name__
    lower = text.lower()
    if isinstance(error, EOFError) or "truncated" in lower:
        return DecodeError("truncated", f"the image ends before its last pixel: {text}")
    if "text chunk" in lower or "max_text" in lower:
        return DecodeError("too_much_metadata", f"the image's metadata is too large: {text}")
    if isinstance(error, NotImplementedError) or re.search(
        r"unsupported|not supported|not avail", lower
    ):
        return DecodeError("unsupported", f"the image cannot be decoded: {text}")
    return DecodeError("corrupt", f"the image is damaged: {text}")


_SIGNATURES = {
    "JPEG": rb"\xff\xd8\xff",
    "PNG": rb"\x89PNG\r\n\x1a\n",
    "WebP": rb"RIFF....WEBP",
    "GIF": rb"GIF8[79]a",
    "BMP": rb"BM",
    "TIFF": rb"II\*\x00|MM\x00\*",
    "AVIF": rb"....ftypavi[fs]",
    "JPEG 2000": rb"\x00\x00\x00\x0cjP  |\xff\x4f\xff\x51",
    "ICO": rb"\x00\x00\x01\x00",
}
# Where width and height are, for the formats that have them in a fixed place.
_SIZE_FIELDS = {"PNG": ">16xII", "GIF": "<6xHH"}


def _not_opened(data: bytes) -> DecodeError:
    """Why no plugin took the file, which Pillow does not tell."""
    for name, signature in _SIGNATURES.items():
        if re.match(signature, data, re.DOTALL):
            fields = _SIZE_FIELDS.get(name)
            if (
                fields
                and len(data) >= struct.calcsize(fields)
                and 0 in struct.unpack_from(fields, data)
            ):
                return DecodeError("zero_size", f"the {name} image has a width or height of zero")
            return DecodeError("corrupt", f"the header of this {name} file is damaged or cut off")
    known = ", ".join(_formats())
    return DecodeError(
        "unknown_format",
        f"this is no image in a known format ({known}): it begins with {data[:12]!r}",
    )


@functools.cache
def _formats() -> tuple[str, ...]:
    """_FORMATS that this Pillow knows: AVIF is not in every one."""
    Image.init()
    return tuple(name for name in _FORMATS if name in Image.OPEN)
