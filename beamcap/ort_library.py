"""Finds the ONNX Runtime library of the installed package and gives it to the core."""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path

from . import _core

_PATTERNS = ("libonnxruntime.so.*", "libonnxruntime.so", "libonnxruntime.*.dylib")


@cache
def load_onnxruntime() -> str:
    """Loads the library once a process and returns its version.

    Raises:
        RuntimeError: no onnxruntime package is installed, or its library is unusable.
    """
    return _core.load_onnxruntime(str(_library()))


def _library() -> Path:
    # find_spec and not import: the package's own Python module is not needed.
    spec = importlib.util.find_spec("onnxruntime")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        for pattern in _PATTERNS:
            for library in sorted(Path(folder, "capi").glob(pattern)):
                return library
    raise RuntimeError(
        "ONNX Runtime is not installed: pip install onnxruntime (or onnxruntime-gpu), 1.19 or newer"
    )
