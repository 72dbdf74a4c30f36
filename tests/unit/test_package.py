"""The package's face: its names, and what importing it does not cost."""

from __future__ import annotations

import subprocess
import sys

import pytest

import beamcap


def test_every_public_name_is_there() -> None:
    for name in beamcap.__all__:
        assert getattr(beamcap, name) is not None


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = beamcap.no_such_name  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("statement", "not_imported"),
    [
        ("import beamcap", ["apache_beam", "onnxruntime", "cv2", "numpy", "tokenizers"]),
        ("from beamcap import Captioner", ["apache_beam", "onnxruntime", "pyarrow"]),
    ],
)
def test_imports_stay_light(statement: str, not_imported: list[str]) -> None:
    code = f"{statement}; import sys; print([n for n in {not_imported!r} if n in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
