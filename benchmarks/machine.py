"""What a figure was measured on: the machine, the versions, how fast its cores are just now."""

from __future__ import annotations

import platform
import time
from importlib import metadata
from pathlib import Path

import numpy as np

_PACKAGES = (
    "beamcap",
    "apache-beam",
    "onnxruntime",
    "numpy",
    "opencv-python-headless",
    "pillow",
    "torch",
    "transformers",
)


def describe() -> str:
    """One paragraph for the head of a report."""
    from beamcap.cpu import available_cores

    versions = ", ".join(f"{name} {version}" for name in _PACKAGES if (version := _version(name)))
    return (
        f"{_processor()}, {available_cores()} cores, {platform.system()} {platform.machine()}, "
        f"Python {platform.python_version()}; {versions}; "
        f"GEMM probe {gemm_gflops():.0f} GFLOPS (numpy, float32)"
    )


def gemm_gflops() -> float:
    """The speed of a matrix product now: machines drift, and a figure is worth its probe."""
    side, rounds = 1024, 10
    matrix = np.ones((side, side), np.float32)
    _ = matrix @ matrix
    started = time.perf_counter()
    for _ in range(rounds):
        _ = matrix @ matrix
    return 2 * side**3 * rounds / (time.perf_counter() - started) / 1e9


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
