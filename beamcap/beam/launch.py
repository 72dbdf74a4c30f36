"""A run of the pipeline, as the command line does it: everything checked first, then run."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import apache_beam as beam
from apache_beam.io.filesystems import FileSystems
from apache_beam.metrics import MetricsFilter
from apache_beam.runners.runner import PipelineResult, PipelineState

from ..options import GenerationOptions
from .handler import METRICS_NAMESPACE, CaptionModelHandler
from .pipeline import caption_files
from .progress import PROGRESS
from .runner import Runner
from .sinks import WriteCaptions, check_writable, remove_staging
from .sources import exists, match_paths

if TYPE_CHECKING:
    from ..captioner import Captioner


class Counts(NamedTuple):
    """What became of the images of a run."""

    captioned: int
    failed: int
    seconds: float


@dataclass(frozen=True)
class Launch:
    """A pipeline whose input, output, model and options have been found usable."""

    runner: Runner
    patterns: Sequence[str]
    handler: CaptionModelHandler
    options: GenerationOptions
    output: WriteCaptions
    max_image_bytes: int
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
            result = self._run()
        except BaseException:
            remove_staging(self.output.staging)
            raise
        seconds = time.perf_counter() - started
        return Counts(_counter(result, "images_ok"), _counter(result, "images_failed"), seconds)

    def _run(self) -> PipelineResult:
        pipeline = beam.Pipeline(runner=self.runner.runner, options=self.runner.options)
        caption_files(
            pipeline,
            self.patterns,
            self.handler,
            self.options,
            self.output,
            max_image_bytes=self.max_image_bytes,
        )
        result = pipeline.run()
        state = result.wait_until_finish()
        if state != PipelineState.DONE:
            raise RuntimeError(f"the pipeline ended in the state {state}")
        return result


def prepare(
    runner: Runner,
    patterns: Sequence[str],
    handler: CaptionModelHandler,
    options: GenerationOptions,
    output: WriteCaptions,
    *,
    max_image_bytes: int,
) -> Launch:
    """Checks all that can be wrong before any work is done.

    Raises:
        ValueError: the input matches nothing, or the model or the options are unusable.
        OSError: the output cannot be written.
    """
    FileSystems.set_options(runner.options)
    check_writable(output.path)
    if not any(exists(path) for pattern in patterns for path in match_paths(pattern)):
        raise ValueError(f"no file matches --input {' '.join(patterns)}")
    captioner = handler.load_model()
    captioner.check_options(options)
    return Launch(
        runner,
        patterns,
        handler,
        options,
        output,
        max_image_bytes,
        captioner if runner.in_process else None,
    )


def _counter(result: PipelineResult, name: str) -> int:
    wanted = MetricsFilter().with_namespace(METRICS_NAMESPACE).with_name(name)
    return sum(counter.result for counter in result.metrics().query(wanted)["counters"])
