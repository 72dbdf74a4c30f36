"""What the pipeline's tests share: a folder of good and bad files, and the in-process runner."""

from __future__ import annotations

import io
import os
from pathlib import Path

import apache_beam as beam
import numpy as np
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from fakes import FakeCaptioner, Folder, fake_result
from PIL import Image

from beamcap import Caption, GenerationOptions, ImageInput
from beamcap.beam import CaptionModelHandler


@pytest.fixture(scope="session")
def pictures() -> list[bytes]:
    """64 different JPEGs of a few hundred bytes: Beam compresses what a test gives to Create."""
    random = np.random.default_rng(7)
    encoded = []
    for _ in range(64):
        height, width = random.integers(8, 17, 2)
        stream = io.BytesIO()
        pixels = random.integers(0, 256, (height, width, 3), np.uint8)
        Image.fromarray(pixels).save(stream, "JPEG", quality=50)
        encoded.append(stream.getvalue())
    return encoded


@pytest.fixture
def folder(tmp_path: Path, pictures: list[bytes], broken_files: dict[str, bytes]) -> Folder:
    """Twenty good images, among them in name and so in the batches every kind of bad file."""
    path = tmp_path / "images"
    path.mkdir()
    captions = {}
    for index, data in enumerate(pictures[:20]):
        uri = str(path / f"{index:02}.jpg")
        Path(uri).write_bytes(data)
        result = fake_result(ImageInput(uri, uri, data), GenerationOptions())
        assert isinstance(result, Caption)
        captions[uri] = result
    errors = {}
    for index, (name, data) in enumerate(broken_files.items()):
        uri = str(path / f"{3 * index:02}_{name}.jpg")
        Path(uri).write_bytes(data)
        errors[uri] = ("read", "empty") if not data else ("decode", "truncated")
    for name, reason in (("folder.jpg", "is_directory"), ("link.jpg", "not_found")):
        errors[str(path / f"07_{name}")] = ("read", reason)
    (path / "07_folder.jpg").mkdir()
    (path / "07_link.jpg").symlink_to(path / "nowhere.jpg")
    os.mkfifo(path / "07_pipe.jpg")
    errors[str(path / "07_pipe.jpg")] = ("read", "not_a_file")
    return Folder(path, captions, errors)


@pytest.fixture
def pipeline() -> beam.Pipeline:
    """A pipeline on the in-process runner; the test runs it."""
    return beam.Pipeline(runner=FnApiRunner())


@pytest.fixture
def fake_model(monkeypatch: pytest.MonkeyPatch) -> FakeCaptioner:
    """What every CaptionModelHandler of this process loads."""
    captioner = FakeCaptioner()
    monkeypatch.setattr(CaptionModelHandler, "load_model", lambda self: captioner)
    return captioner
