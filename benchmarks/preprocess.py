"""Resize and normalise on one core: beamcap, Pillow with numpy, transformers where it is installed.

    python benchmarks/preprocess.py [--repeat 15]

From a decoded image to the encoder's float32 [3, 224, 224]. The times are of the CPU, not of the
clock: all contenders use one thread, and so the machine's other work counts less. Every round times
each contender once, the figures are medians. The floats are compared first: a fast wrong answer is
no contender.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from beamcap.preprocess import Preprocessor

SIZES = [(1024, 768), (4000, 3000)]
FILTERS = {"bilinear": 2, "bicubic": 3}
MEAN = STD = np.full(3, 0.5, np.float32)

Contender = Callable[[], npt.NDArray[np.float32]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeat", type=int, default=15, help="rounds; the median is printed")
    repeat = parser.parse_args().repeat
    print(f"{cpu_name()}, {os.cpu_count()} cores; {versions()}\n")
    print(
        f"{'image':>11} {'filter':>8}  {'contender':<24} {'CPU ms':>8} {'images/s':>9} {'times':>6}"
    )
    for size in SIZES:
        for name, code in FILTERS.items():
            report(f"{size[0]}x{size[1]}", name, measure(contenders(size, code), repeat))


def contenders(size: tuple[int, int], resample: int) -> dict[str, Contender]:
    """By name; the first is the one that the others are compared with."""
    width, height = size
    coarse = np.random.default_rng(0).integers(0, 256, (height // 8, width // 8, 3), dtype=np.uint8)
    image = Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)
    array = np.asarray(image)
    config = {"image_processor_type": "ViTImageProcessor", "resample": resample}
    preprocessor = Preprocessor.load(config)
    out = np.empty((3, 224, 224), np.float32)

    def pillow() -> npt.NDArray[np.float32]:
        resized = np.asarray(image.resize((224, 224), resample))
        rescaled = (resized.astype(np.float64) * (1 / 255)).astype(np.float32)
        return np.ascontiguousarray(((rescaled - MEAN) / STD).transpose(2, 0, 1))

    def beamcap() -> npt.NDArray[np.float32]:
        preprocessor.into(array, out)
        return out

    found: dict[str, Contender] = {"Pillow + numpy": pillow, "beamcap": beamcap}
    try:
        from transformers import ViTImageProcessorPil
    except ImportError:
        return found
    processor = ViTImageProcessorPil(resample=resample)
    return found | {
        "transformers (pil)": lambda: processor(image, return_tensors="np").pixel_values[0]
    }


def measure(contenders: dict[str, Contender], repeat: int) -> dict[str, float]:
    """Median milliseconds by name."""
    expected = next(iter(contenders.values()))()
    for name, run in contenders.items():
        if not np.array_equal(run(), expected):
            raise SystemExit(f"{name} gives other floats")
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(repeat):
        for name, run in contenders.items():
            started = time.process_time()
            run()
            times[name].append(1e3 * (time.process_time() - started))
    return {name: statistics.median(taken) for name, taken in times.items()}


def report(image: str, resample: str, medians: dict[str, float]) -> None:
    base = next(iter(medians.values()))
    for name, taken in medians.items():
        print(
            f"{image:>11} {resample:>8}  {name:<24} {taken:8.2f} {1e3 / taken:9.0f} "
            f"{base / taken:6.1f}"
        )


def cpu_name() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def versions() -> str:
    found = [f"Python {platform.python_version()}"]
    for package in ("pillow", "numpy", "transformers"):
        try:
            found.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    return ", ".join(found)


if __name__ == "__main__":
    main()
