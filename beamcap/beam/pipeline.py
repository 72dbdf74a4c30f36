"""The pipeline: its parts, in the order of the path of the data."""

from __future__ import annotations

from collections.abc import Sequence

import apache_beam as beam

from ..options import GenerationOptions
from .handler import CaptionModelHandler
from .sinks import WriteCaptions
from .sources import ReadImages
from .transforms import CaptionImages


def caption_files(
    pipeline: beam.Pipeline,
    patterns: Sequence[str],
    handler: CaptionModelHandler,
    options: GenerationOptions,
    output: WriteCaptions,
    *,
    max_image_bytes: int,
) -> None:
    """Adds to `pipeline` what `python -m beamcap` runs: from patterns to written captions."""
    _ = (
        pipeline
        | "ReadImages" >> ReadImages(patterns, max_image_bytes=max_image_bytes)
        | "CaptionImages" >> CaptionImages(handler, options)
        | "WriteCaptions" >> output
    )
