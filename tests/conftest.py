"""What the tests share: photographs and broken files."""

from __future__ import annotations

import io
import os
from collections.abc import Generator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

EXAMPLES = Path(__file__).parent.parent / "examples"


@pytest.fixture(scope="session")
def photos() -> dict[str, bytes]:
    """The example photographs, encoded, by name."""
    return {path.stem: path.read_bytes() for path in sorted(EXAMPLES.glob("*.jpg"))}


@pytest.fixture(scope="session")
def many_photos(photos: dict[str, bytes]) -> list[bytes]:
    """64 different pictures: crops of the example photographs, of many sizes, as PNG."""
    random = np.random.default_rng(7)
    originals = [Image.open(io.BytesIO(data)).convert("RGB") for data in photos.values()]
    crops = []
    for index in range(64):
        image = originals[index % len(originals)]
        width, height = (int(random.integers(side // 3, side + 1)) for side in image.size)
        left = int(random.integers(0, image.width - width + 1))
        top = int(random.integers(0, image.height - height + 1))
        stream = io.BytesIO()
        image.crop((left, top, left + width, top + height)).save(stream, "PNG", compress_level=1)
        crops.append(stream.getvalue())
    return crops


@pytest.fixture(scope="session")
def broken_files(photos: dict[str, bytes]) -> dict[str, bytes]:
    """What arrives instead of images, by a name that says how it is broken."""
    photo = photos["chelsea"]
    return {
        "empty": b"",
        "text": b"This is no image, it is a letter.",
        "truncated": photo[: len(photo) // 2],
        "header_only": photo[:20],
        "zeros": bytes(4096),
    }


FORBID_SKIPS = "BEAMCAP_FORBID_SKIPS"
"""CI sets it where everything that a test may want is there: a skip is then a failure."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    return _without_skip(report)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    return _without_skip(report)


def _without_skip(report):  # type: ignore[no-untyped-def]
    if report.skipped and os.environ.get(FORBID_SKIPS) == "1":
        report.outcome = "failed"
        report.longrepr = f"skipped, which {FORBID_SKIPS}=1 forbids: {report.longrepr}"
    return report
