"""A run of the pipeline, as the command line does it: everything checked first, then run."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import apache_beam as beam
from apache_beam.metrics import MetricsFilter
from apache_beam.runners.runner import PipelineResult, PipelineState

from ..options import GenerationOptions
from .handler import METRICS_NAMESPACE, CaptionModelHandler
from .pipeline import caption_files
from .progress import PROGRESS
from .runner import Runner
from .sinks import WriteCaptions, check_writable, remove_staging
from .sources import is_local, matches_something

if TYPE_CHECKING:
    from ..captioner import Captioner


_LOGGER = logging.getLogger(__name__)


class Counts(NamedTuple):
    """What became of the images of a run."""

    captioned: int
    failed: int
    seconds: float


@dataclass(frozen=True)
class Launch:
    """A pipeline whose input, output, model and options have been found usable."""

    runner: Runner
    pipeline: beam.Pipeline
    output: WriteCaptions
    captioner: Captioner | None
    """The model that the checks loaded, kept where the pipeline can share it."""

    def run(self) -> Counts:
        """Runs the pipeline to its end; what it raises, it raises after cleaning up.

        Raises:
            RuntimeError: the pipeline failed or was cancelled.
        """
        PROGRESS.reset()
        started = time.perf_counter()
        try:
            result = self.pipeline.run()
            state = result.wait_until_finish()
            if state != PipelineState.DONE:
                raise RuntimeError(f"the pipeline ended in the state {state}")
        except BaseException:
            remove_staging(self.output.staging)
            raise
        seconds = time.perf_counter() - started
        return Counts(_counter(result, "images_ok"), _counter(result, "images_failed"), seconds)


def prepare(
    runner: Runner,
    patterns: Sequence[str],
    handler: CaptionModelHandler,
    options: GenerationOptions,
    output: WriteCaptions,
    *,
    max_image_bytes: int,
) -> Launch:
    """Checks all that can be wrong before any work is done, and builds the pipeline.

    Raises:
        ValueError: the input matches nothing, or the model or the options are unusable.
        OSError: the output cannot be written.
    """
    pipeline = beam.Pipeline(runner=runner.runner, options=runner.options)
    _check_input(patterns)
    _check_apart(patterns, output)
    captioner = handler.load_model()
    captioner.check_options(options)
    # Last, because it makes the folders that are missing.
    check_writable(output.path)
    caption_files(pipeline, patterns, handler, options, output, max_image_bytes=max_image_bytes)
    return Launch(runner, pipeline, output, captioner if runner.in_process else None)


def _check_input(patterns: Sequence[str]) -> None:
    missing = [pattern for pattern in patterns if not matches_something(pattern)]
    if len(missing) == len(patterns):
        raise ValueError(f"no file matches --input {' '.join(patterns)}")
    for pattern in missing:
        _LOGGER.warning("no file matches --input %s", pattern)


def _check_apart(patterns: Sequence[str], output: WriteCaptions) -> None:
    # Named outright, as a shell does with a pattern that matches last run's output.
    for pattern in filter(is_local, patterns):
        for path in filter(is_local, (output.path, output.errors_path)):
            if Path(pattern).exists() and Path(path).exists() and Path(path).samefile(pattern):
                raise ValueError(
                    f"{pattern} is among the input, and would be overwritten as output"
                )


def _counter(result: PipelineResult, name: str) -> int:
    wanted = MetricsFilter().with_namespace(METRICS_NAMESPACE).with_name(name)
    # A counter at zero is None on some runners.
    return sum(counter.result or 0 for counter in result.metrics().query(wanted)["counters"])
