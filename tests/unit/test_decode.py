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
    pytest.mark.filterwarnings("ignore:Palette images with Transparency:UserWarning"),
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
    whole = encoded(scene(), "JPEG")
    for transform in (0, 1):
        for name, data in (("JFIF", whole), ("no JFIF", without_jfif(whole))):
            yield f"{name}, Adobe transform {transform}", with_adobe_marker(data, transform)
    yield "no JFIF", without_jfif(whole)
    yield "extended sequential", whole.replace(b"\xff\xc0", b"\xff\xc1", 1)
    for name in ("411", "440"):
        for progressive in (0, 1):
            for restart in (0, 3):
                yield (
                    f"{name} progressive={progressive} restart={restart}",
                    encoded_by_opencv(scene(), name, progressive, restart),
                )


def encoded_by_opencv(
    image: Image.Image, subsampling: str, progressive: int, restart: int
) -> bytes:
    """Pillow writes neither 4:1:1 nor 4:4:0."""
    flags = {
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR: getattr(
            cv2, f"IMWRITE_JPEG_SAMPLING_FACTOR_{subsampling}"
        ),
        cv2.IMWRITE_JPEG_PROGRESSIVE: progressive,
        cv2.IMWRITE_JPEG_RST_INTERVAL: restart,
    }
    done, data = cv2.imencode(".jpg", np.asarray(image), [int(x) for p in flags.items() for x in p])
    assert done
    return data.tobytes()


def without_jfif(data: bytes) -> bytes:
    assert data[2:4] == b"\xff\xe0"
    return data[:2] + data[4 + struct.unpack_from(">H", data, 4)[0] :]


def with_adobe_marker(data: bytes, transform: int) -> bytes:
    """Says which colours the components are: 0 RGB or CMYK, 1 YCbCr, 2 YCCK."""
    content = b"Adobe" + struct.pack(">HHHB", 100, 0, 0, transform)
    return data[:2] + b"\xff\xee" + struct.pack(">H", len(content) + 2) + content + data[2:]


def test_opencv_decodes_ordinary_jpegs_as_pillow_does() -> None:
    for name, data in ordinary_jpegs():
        pixels = by_opencv(data)
        assert pixels is not None, name
        assert np.array_equal(pixels, by_pillow(data)), name
        assert np.array_equal(decode(data), pixels), name


jpeg_options = st.fixed_dictionaries(
    {
        "quality": st.integers(1, 100),
        "subsampling": st.sampled_from(["4:4:4", "4:2:2", "4:2:0"]),
        "progressive": st.booleans(),
        "optimize": st.booleans(),
        "restart_marker_blocks": st.integers(0, 9),
        "icc_profile": st.sampled_from([None, b"no profile at all"]),
    }
)


@settings(max_examples=200, deadline=None)
@given(
    options=jpeg_options,
    width=st.integers(1, 70),
    height=st.integers(1, 70),
    mode=st.sampled_from(["RGB", "L"]),
    orientation=st.integers(0, 9),
)
def test_opencv_decodes_and_turns_as_pillow_does(
    options: dict[str, Any], width: int, height: int, mode: str, orientation: int
) -> None:
    data = encoded(scene(width, height, mode), "JPEG", exif=exif(orientation), **options)
    pixels = by_opencv(data)
    assert pixels is not None
    assert np.array_equal(pixels, by_pillow(data))


def other_jpegs() -> Iterator[tuple[str, bytes]]:
    cmyk = encoded(scene(mode="CMYK"), "JPEG")
    adobe = cmyk.index(b"Adobe")
    yield "CMYK", cmyk
    yield "CMYK, progressive", encoded(scene(mode="CMYK"), "JPEG", progressive=True)
    yield "CMYK, turned", encoded(scene(mode="CMYK"), "JPEG", exif=exif(6))
    yield "YCCK", cmyk[: adobe + 11] + b"\x02" + cmyk[adobe + 12 :]
    yield "CMYK without Adobe's marker", cmyk[: adobe - 4] + cmyk[adobe + 12 :]
    whole = encoded(scene(), "JPEG")
    yield "without its end", whole[:-2]
    yield "cut off", whole[:-50]
    yield "ends within the scan", whole[: len(whole) // 2] + b"\xff\xc4" + whole[len(whole) // 2 :]
    frame = whole.index(b"\xff\xc0")
    yield "twelve bits", whole[: frame + 4] + b"\x0c" + whole[frame + 5 :]
    yield "odd sampling", whole[: frame + 11] + b"\x13" + whole[frame + 12 :]
    for name, marker in (("lossless", 0xC3), ("hierarchical", 0xC5), ("arithmetic", 0xC9)):
        yield name, whole[: frame + 1] + bytes([marker]) + whole[frame + 2 :]


@pytest.mark.parametrize(("name", "data"), list(other_jpegs()), ids=lambda value: str(value)[:30])
def test_other_jpegs_are_left_to_pillow(name: str, data: bytes) -> None:
    try:
        with Image.open(io.BytesIO(data)) as image:
            assert decode_module._decode_by_opencv(data, image) is None
        expected = by_pillow(data)
    except OSError:  # Pillow's word too
        assert not decode_module._is_ordinary_jpeg(data)
        reason(data)
    else:
        assert np.array_equal(decode(data), expected)


def test_pillow_decodes_cmyk() -> None:
    """Of the files above, those that hold an image: not all of them may be errors."""
    whole = {name for name, data in other_jpegs() if "C" in name and decode(data).size}
    assert len(whole) == 5


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


def png_chunk(kind: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


# Colour types of PNG: channels, and the depths that each may have.
GREY, RGB, PALETTE, GREY_ALPHA, RGB_ALPHA = 0, 2, 3, 4, 6
PNG_DEPTHS = {
    GREY: (1, 2, 4, 8, 16),
    RGB: (8, 16),
    PALETTE: (1, 2, 4, 8),
    GREY_ALPHA: (8, 16),
    RGB_ALPHA: (8, 16),
}
PNG_CHANNELS = {GREY: 1, RGB: 3, PALETTE: 1, GREY_ALPHA: 2, RGB_ALPHA: 4}
# Of Adam7: first row, first column, step of rows, step of columns.
PASSES = (
    (0, 0, 8, 8),
    (0, 4, 8, 8),
    (4, 0, 8, 4),
    (0, 2, 4, 4),
    (2, 0, 4, 2),
    (0, 1, 2, 2),
    (1, 0, 2, 1),
)


def png_file(
    samples: npt.NDArray[np.uint16], kind: int, depth: int, interlaced: bool, *chunks: bytes
) -> bytes:
    """A PNG of samples [height, width, channels], each row with another filter."""
    height, width = samples.shape[:2]
    passes = PASSES if interlaced else ((0, 0, 1, 1),)
    stream = b"".join(
        png_rows(samples[top::down, left::right], depth) for top, left, down, right in passes
    )
    header = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, int(interlaced))
    parts = [
        png_chunk(b"IHDR", header),
        *chunks,
        png_chunk(b"IDAT", zlib.compress(stream)),
        png_chunk(b"IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def png_rows(samples: npt.NDArray[np.uint16], depth: int) -> bytes:
    height, width, channels = samples.shape
    if height == 0 or width == 0:
        return b""
    bits = np.unpackbits(samples.astype(">u2").view(np.uint8).reshape(height, -1, 2), axis=2)
    rows = np.packbits(bits[:, :, 16 - depth :].reshape(height, -1), axis=1).astype(int)
    step = max(1, channels * depth // 8)  # bytes to the pixel before
    above = np.zeros_like(rows[0])
    stream = b""
    for index, row in enumerate(rows):
        left, corner = (
            np.concatenate([np.zeros(step, int), line])[:-step] for line in (row, above)
        )
        estimate = left + above - corner
        distances = np.abs([estimate - left, estimate - above, estimate - corner])
        paeth = np.choose(distances.argmin(axis=0), [left, above, corner])
        predicted = [0, left, above, (left + above) // 2, paeth][index % 5]
        stream += bytes([index % 5]) + ((row - predicted) % 256).astype(np.uint8).tobytes()
        above = row
    return stream


def png_variants() -> Iterator[tuple[str, bytes, Pixels]]:
    """Every colour type and depth, plain and interlaced, and with a transparent colour."""
    random = np.random.default_rng(3)
    palette = random.integers(0, 256, (256, 3), dtype=np.uint8)
    for kind, depths in PNG_DEPTHS.items():
        for depth in depths:
            for interlaced in (False, True):
                height, width = (13, 11) if interlaced else (7, 19)
                shape = (height, width, PNG_CHANNELS[kind])
                samples = random.integers(0, 1 << depth, shape, dtype=np.uint16)
                colours = [png_chunk(b"PLTE", palette[: 1 << depth].tobytes())]
                before = colours if kind == PALETTE else []
                transparent = {
                    GREY: struct.pack(">H", int(samples[0, 0, 0])),
                    RGB: struct.pack(
                        ">3H", *(int(sample) for sample in samples[0, 0, :3].repeat(3)[:3])
                    ),
                    PALETTE: bytes(range(min(1 << depth, 9))),
                }.get(kind)
                expected = png_meaning(samples, kind, depth, palette)
                name = f"type {kind}, {depth} bits, interlaced={interlaced}"
                yield name, png_file(samples, kind, depth, interlaced, *before), expected
                if transparent:
                    before = [*before, png_chunk(b"tRNS", transparent)]
                    data = png_file(samples, kind, depth, interlaced, *before)
                    yield f"{name}, transparent colour", data, expected


def png_meaning(samples: npt.NDArray[np.uint16], kind: int, depth: int, palette: Pixels) -> Pixels:
    if kind == PALETTE:
        return palette[samples[..., 0]]
    colours = samples[..., :3] if kind in (RGB, RGB_ALPHA) else samples[..., :1].repeat(3, axis=2)
    if depth == 16:
        return (colours.clip(0, 255) if kind == GREY else colours >> 8).astype(np.uint8)
    return (colours * (255 // ((1 << depth) - 1))).astype(np.uint8)


@pytest.mark.parametrize(
    ("name", "data", "expected"),
    list(png_variants()),
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_every_png_has_its_samples_by_pillow(name: str, data: bytes, expected: Pixels) -> None:
    assert by_opencv(data) is None
    assert np.array_equal(decode(data), by_pillow(data))
    assert np.array_equal(decode(data), expected)


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
