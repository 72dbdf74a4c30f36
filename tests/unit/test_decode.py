"""Bytes to pixels: as Pillow has them, or a reason that a person understands."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from beamcap import decode as decode_module
from beamcap.decode import DecodeError, DecodeLimits, decode, pil_to_rgb

Pixels = npt.NDArray[np.uint8]

# pytest takes away the filter that beamcap.decode sets up.
pytestmark = [
    pytest.mark.filterwarnings("ignore:Corrupt EXIF data:UserWarning"),
    pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning"),
]


def scene(width: int = 61, height: int = 45, mode: str = "RGB") -> Image.Image:
    """Smooth colours, fine noise and hard edges; no two corners are alike."""
    random = np.random.default_rng([width, height])
    coarse = Image.fromarray(random.integers(0, 256, (5, 7, 3), dtype=np.uint8))
    smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC)).astype(int)
    smooth += random.integers(-20, 21, smooth.shape)
    smooth[: height // 3, : width // 4] = (250, 3, 90)
    return Image.fromarray(smooth.clip(0, 255).astype(np.uint8)).convert(mode)


def encoded(image: Image.Image, format: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format, **options)
    return stream.getvalue()


def by_pillow(data: bytes) -> Pixels:
    """The definition of the result."""
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))


def by_opencv(data: bytes) -> Pixels | None:
    with Image.open(io.BytesIO(data)) as image:
        return decode_module._decode_by_opencv(data, image)


def exif(orientation: int) -> Image.Exif:
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags


def reason(data: bytes, limits: DecodeLimits | None = None) -> str:
    with pytest.raises(DecodeError) as raised:
        decode(data, limits)
    assert len(raised.value.message) > 10
    return raised.value.reason


# --- JPEG: where OpenCV stands in for Pillow ---


def ordinary_jpegs() -> Iterator[tuple[str, bytes]]:
    sizes = [(1, 1), (8, 8), (16, 16), (17, 9), (61, 45), (45, 61), (250, 131)]
    for mode in ("RGB", "L"):
        for size in sizes:
            for subsampling in ("4:4:4", "4:2:2", "4:2:0") if mode == "RGB" else ("4:4:4",):
                for progressive in (False, True):
                    data = encoded(
                        scene(*size, mode),
                        "JPEG",
                        quality=87,
                        subsampling=subsampling,
                        progressive=progressive,
                    )
                    yield f"{mode} {size} {subsampling} progressive={progressive}", data
    for quality in (1, 30, 75, 100):
        yield f"quality {quality}", encoded(scene(), "JPEG", quality=quality)
    yield "optimized", encoded(scene(), "JPEG", optimize=True)
    yield "restart markers", encoded(scene(), "JPEG", restart_marker_blocks=2)
    rows = encoded(scene(), "JPEG", restart_marker_rows=1, progressive=True, subsampling="4:2:0")
    yield "restart markers, progressive", rows
    yield "RGB, not YCbCr", encoded(scene(), "JPEG", keep_rgb=True)
    yield "with an ICC profile", encoded(scene(), "JPEG", icc_profile=bytes(range(256)) * 300)
    yield "with a comment", encoded(scene(), "JPEG", comment=b"\xff\xd9" * 40)
    yield "with bytes after its end", encoded(scene(), "JPEG") + b"\xff\xd8\xff" + bytes(999)
    for name in ("411", "440"):
        factor = getattr(cv2, f"IMWRITE_JPEG_SAMPLING_FACTOR_{name}")
        flags = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, factor]
        yield name, cv2.imencode(".jpg", np.asarray(scene()), flags)[1].tobytes()


def test_opencv_decodes_ordinary_jpegs_as_pillow_does() -> None:
    for name, data in ordinary_jpegs():
        pixels = by_opencv(data)
        assert pixels is not None, name
        assert np.array_equal(pixels, by_pillow(data)), name
        assert np.array_equal(decode(data), pixels), name


@pytest.mark.parametrize("orientation", range(10))
def test_opencv_turns_as_pillow_does(orientation: int) -> None:
    data = encoded(scene(), "JPEG", exif=exif(orientation))
    pixels = by_opencv(data)
    assert pixels is not None
    assert np.array_equal(pixels, by_pillow(data))


def test_other_jpegs_are_left_to_pillow() -> None:
    cmyk = encoded(scene().convert("CMYK"), "JPEG")
    whole = encoded(scene(), "JPEG")
    start_of_frame = whole.index(b"\xff\xc0")
    twelve_bit = bytearray(whole)
    twelve_bit[start_of_frame + 4] = 12
    end_within_the_scan = whole[: len(whole) // 2] + b"\xff\xc4" + whole[len(whole) // 2 :]
    for data in (cmyk, encoded(scene(), "PNG"), whole[:-2], whole[:-50], end_within_the_scan):
        assert by_opencv(data) is None
    assert not decode_module._is_ordinary_jpeg(bytes(twelve_bit))
    assert np.array_equal(decode(cmyk), by_pillow(cmyk))


def test_every_cut_of_a_jpeg_is_an_error() -> None:
    for progressive in (False, True):
        data = encoded(scene(), "JPEG", progressive=progressive)
        for length in range(1, len(data) - 2, 7):
            assert reason(data[:length]) in ("truncated", "corrupt", "unknown_format")


small_jpegs = [
    encoded(scene(40, 33, mode), "JPEG", progressive=progressive, subsampling="4:2:0")
    for mode in ("RGB", "L")
    for progressive in (False, True)
]


@settings(max_examples=300, deadline=None)
@given(
    original=st.sampled_from(small_jpegs),
    places=st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), max_size=4),
    cut=st.one_of(st.none(), st.floats(0.02, 1)),
    end=st.booleans(),
)
@example(original=small_jpegs[0], places=[], cut=0.5, end=True)
def test_a_damaged_jpeg_has_pillows_fate(
    original: bytes, places: list[tuple[float, int]], cut: float | None, end: bool
) -> None:
    damaged = bytearray(original)
    for place, value in places:
        damaged[int(place * len(damaged))] = value
    if cut is not None:
        damaged = damaged[: int(cut * len(damaged))] + (b"\xff\xd9" if end else b"")
    data = bytes(damaged)
    try:
        with Image.open(io.BytesIO(data), formats=decode_module._formats()) as image:
            image.load()
            expected = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    except Exception:
        reason(data)
    else:
        assert np.array_equal(decode(data), expected)


# --- Everything else, by Pillow ---


def sixteen_bit(width: int = 20, height: int = 10) -> Image.Image:
    values = np.linspace(0, 65535, width * height).reshape(height, width)
    return Image.fromarray(values.astype(np.uint16))


def transparent_palette() -> Image.Image:
    image = scene().quantize(16)
    image.info["transparency"] = 3
    return image


def frames(mode: str = "RGB") -> dict[str, Any]:
    return {"save_all": True, "append_images": [scene(mode=mode).rotate(180)], "duration": 100}


OTHERS = {
    "png": encoded(scene(), "PNG"),
    "png grey": encoded(scene(mode="L"), "PNG"),
    "png one bit": encoded(scene(mode="1"), "PNG"),
    "png palette": encoded(scene().quantize(16), "PNG"),
    "png palette, transparent": encoded(transparent_palette(), "PNG"),
    "png colour as transparency": encoded(scene(), "PNG", transparency=(250, 3, 90)),
    "png rgba": encoded(scene(mode="RGBA").rotate(30), "PNG"),
    "png grey and alpha": encoded(scene(mode="LA").rotate(30), "PNG"),
    "png 16 bits": encoded(sixteen_bit(), "PNG"),
    "png animated": encoded(scene(), "PNG", **frames()),
    "gif": encoded(scene().quantize(16), "GIF"),
    "gif animated": encoded(scene().quantize(16), "GIF", **frames("P")),
    "gif transparent": encoded(transparent_palette(), "GIF"),
    "webp": encoded(scene(), "WEBP"),
    "webp rgba": encoded(scene(mode="RGBA").rotate(30), "WEBP", lossless=True),
    "webp animated": encoded(scene(), "WEBP", **frames()),
    "bmp": encoded(scene(), "BMP"),
    "tiff": encoded(scene(), "TIFF"),
    "tiff lzw": encoded(scene(), "TIFF", compression="tiff_lzw"),
    "tiff cmyk": encoded(scene(mode="CMYK"), "TIFF"),
    "tiff 16 bits": encoded(sixteen_bit(), "TIFF"),
    "tiff float": encoded(scene(mode="F"), "TIFF"),
    "ico": encoded(scene(48, 48), "ICO"),
    "ppm": encoded(scene(), "PPM"),
    "jpeg 2000": encoded(scene(), "JPEG2000"),
    "jpeg cmyk": encoded(scene(mode="CMYK"), "JPEG"),
    "jpeg with more pictures (MPO)": encoded(scene(), "MPO", **frames()),
}


@pytest.mark.parametrize("name", OTHERS)
def test_pillow_defines_the_pixels(name: str) -> None:
    pixels = decode(OTHERS[name])
    assert (pixels.dtype, pixels.ndim, pixels.shape[2]) == (np.uint8, 3, 3)
    assert np.array_equal(pixels, by_pillow(OTHERS[name]))


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_image_is_turned_upright_once(format: str, orientation: int) -> None:
    upright = scene(64, 48)
    # What a camera held that way stores: the inverse of the turn that the tag asks for.
    turns = decode_module._PILLOW_TURNS
    turn = {6: turns[8], 8: turns[6]}.get(orientation, turns.get(orientation))
    stored = upright if turn is None else upright.transpose(turn)
    lossless = {"JPEG": {"quality": 100, "subsampling": "4:4:4"}, "WEBP": {"lossless": True}}
    options = lossless.get(format, {})
    pixels = decode(encoded(stored, format, exif=exif(orientation), **options))
    assert pixels.shape == (48, 64, 3)
    assert np.abs(pixels.astype(int) - np.asarray(upright)).mean() < 2


def test_damaged_metadata_does_not_cost_the_image() -> None:
    for format in ("JPEG", "PNG", "WEBP"):
        data = encoded(scene(), format, exif=b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x09garbage")
        assert decode(data).shape == (45, 61, 3)


# --- What is refused ---


def png_chunk(kind: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


def png_of_size(width: int, height: int, *chunks: bytes) -> bytes:
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    pixels = png_chunk(b"IDAT", zlib.compress(bytes(100)))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + pixels + png_chunk(b"IEND", b"")


def gif_of_size(width: int, height: int) -> bytes:
    frame = struct.pack("<HHHHB", 0, 0, width, height, 0)
    return (
        b"GIF89a"
        + struct.pack("<HHBBB", width, height, 0, 0, 0)
        + b","
        + frame
        + b"\x02\x02L\x01\x00;"
    )


text_bomb = png_chunk(b"zTXt", b"Comment\x00\x00" + zlib.compress(bytes(3 << 20)))
png = OTHERS["png"]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", "empty"),
        (b"This is no image, it is a letter.", "unknown_format"),
        (b"<!DOCTYPE html><html></html>", "unknown_format"),
        (bytes(4096), "unknown_format"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "unknown_format"),
        (b"%PDF-1.7\n", "unknown_format"),
        (b"\xff\xd8\xff", "corrupt"),
        (png[:20], "truncated"),
        (png[:40], "corrupt"),
        (png[: len(png) // 2], "truncated"),
        (png[:100] + bytes(40) + png[140:], "corrupt"),
        (OTHERS["gif"][: len(OTHERS["gif"]) // 2], "truncated"),
        (OTHERS["webp"][: len(OTHERS["webp"]) // 2], "corrupt"),
        (OTHERS["bmp"][: len(OTHERS["bmp"]) // 2], "truncated"),
        (OTHERS["tiff"][: len(OTHERS["tiff"]) // 2], "truncated"),
        (OTHERS["ico"][: len(OTHERS["ico"]) // 2], "truncated"),
        (OTHERS["bmp"][:30] + b"\x04" + OTHERS["bmp"][31:], "unsupported"),
        (png_of_size(0, 10), "zero_size"),
        (gif_of_size(10, 0), "zero_size"),
        (png_of_size(10_000, 9_000), "too_many_pixels"),
        (png_of_size(1 << 30, 1 << 30), "too_many_pixels"),
        (gif_of_size(65_535, 65_535), "too_many_pixels"),
        (png_of_size(4, 4, text_bomb), "too_much_metadata"),
    ],
    ids=lambda value: value if isinstance(value, str) else repr(value[:12]),
)
def test_reasons(data: bytes, expected: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert reason(data) == expected
    if not data.startswith(b"II"):  # libtiff has the last word
        assert capfd.readouterr().err == ""


def test_limits_are_those_given() -> None:
    limits = DecodeLimits(max_image_pixels=61 * 45, max_image_bytes=len(png))
    assert decode(png, limits).shape == (45, 61, 3)
    assert reason(png, DecodeLimits(max_image_pixels=61 * 45 - 1)) == "too_many_pixels"
    assert reason(png, DecodeLimits(max_image_bytes=len(png) - 1)) == "too_many_bytes"


def test_pixels_are_not_read_before_they_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object) -> None:
        raise AssertionError("pixels were decoded")

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", fail)
    monkeypatch.setattr(cv2, "imdecode", fail)
    for data in (png, small_jpegs[0]):
        assert reason(data, DecodeLimits(max_image_pixels=100)) == "too_many_pixels"


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"max_image_pixels": 0}, "max_image_pixels must be at least 1"),
        ({"max_image_bytes": -5}, "max_image_bytes must be at least 1"),
        ({"max_image_pixels": 178_956_971}, "max_image_pixels must be at most 178956970"),
    ],
    ids=str,
)
def test_limits_must_make_sense(limits: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DecodeLimits(**limits)


def test_no_memory_is_an_error_of_the_image(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object) -> None:
        raise MemoryError

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", fail)
    assert reason(png) == "out_of_memory"


def test_pillow_does_not_warn() -> None:
    """In a process of its own, because pytest changes the filters for warnings."""
    oddity = encoded(scene(), "JPEG", exif=b"Exif\x00\x00II*\x00\x08\x00\x00\x00\x05\x00\x12\x01")
    files = [oddity, png_of_size(10_000, 9_000), OTHERS["png palette, transparent"]]
    program = (
        "from beamcap.decode import decode, DecodeError\n"
        f"for data in {files!r}:\n"
        "    try: decode(data)\n"
        "    except DecodeError as error: print(error.reason)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("too_many_pixels\n", "")


def test_threads_do_not_meet() -> None:
    files = [*OTHERS.values(), *small_jpegs, png[:200], b"", b"text"] * 4

    def outcome(data: bytes) -> object:
        try:
            return decode(data).tobytes()
        except DecodeError as error:
            return error.reason

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(outcome, files)) == [outcome(data) for data in files]


# --- Images that are open already ---


def test_a_pillow_image_is_as_its_file() -> None:
    for name, data in OTHERS.items():
        with Image.open(io.BytesIO(data)) as image:
            assert np.array_equal(pil_to_rgb(image), decode(data)), name


def test_a_pillow_image_is_turned_and_left_as_it_was() -> None:
    data = encoded(scene(), "JPEG", exif=exif(6))
    with Image.open(io.BytesIO(data)) as image:
        assert np.array_equal(pil_to_rgb(image), decode(data))
        assert (image.size, image.getexif()[0x0112]) == ((61, 45), 6)


def test_a_pillow_image_with_a_broken_file_is_an_error() -> None:
    data = encoded(scene(), "JPEG")
    with Image.open(io.BytesIO(data[:-100])) as image, pytest.raises(DecodeError) as raised:
        pil_to_rgb(image)
    assert raised.value.reason == "truncated"
