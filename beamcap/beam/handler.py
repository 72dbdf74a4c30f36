"""RunInference's view of a Captioner."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from apache_beam.metrics import Metrics
from apache_beam.ml.inference.base import ModelHandler

from ..decode import DEFAULT_MAX_IMAGE_BYTES, DEFAULT_MAX_IMAGE_PIXELS, DecodeLimits
from ..options import GenerationOptions, check_positive
from ..types import Caption, CaptionError, ImageInput
from .progress import PROGRESS
from .rows import image_row

if TYPE_CHECKING:
    from ..captioner import Captioner, Timings

METRICS_NAMESPACE = "beamcap"
_MODEL_BATCHES = 4

_IMAGES_OK = Metrics.counter(METRICS_NAMESPACE, "images_ok")
_IMAGES_FAILED = Metrics.counter(METRICS_NAMESPACE, "images_failed")
_TOKENS = Metrics.counter(METRICS_NAMESPACE, "tokens")
_MILLISECONDS = {
    stage: Metrics.distribution(METRICS_NAMESPACE, stage)
    for stage in ("decode_ms", "preprocess_ms", "encode_ms", "search_ms")
}

_loaded: WeakValueDictionary[tuple[Any, ...], Captioner] = WeakValueDictionary()
_loading = threading.Lock()


class CaptionModelHandler(
    ModelHandler[ImageInput | CaptionError, Caption | CaptionError, "Captioner"]
):
    """Captions images in `RunInference`.

    A batch gives one result an element, in its order. An image that fails is a CaptionError in its
    place; a CaptionError in the input (an image that could not be read) passes through. Nothing an
    image holds makes a batch fail.

    Generation options are RunInference's `inference_args`: the names of GenerationOptions.

    Metrics, in the namespace "beamcap": counters images_ok, images_failed, failed_<reason>, tokens;
    distributions decode_ms, preprocess_ms, encode_ms, search_ms of each batch; and RunInference's
    own.
    """

    def __init__(
        self,
        model: str = "beamcap-small",
        *,
        providers: Sequence[str] = ("cpu",),
        threads: int | None = None,
        batch_size: int = 8,
        max_image_pixels: int = DEFAULT_MAX_IMAGE_PIXELS,
        max_image_bytes: int = DEFAULT_MAX_IMAGE_BYTES,
        max_batch_duration_secs: int | None = None,
        large_model: bool = False,
        model_copies: int | None = None,
    ) -> None:
        """Configures the handler; the model is loaded where the pipeline runs.

        Args:
            model, providers, threads, max_image_pixels, max_image_bytes: see `Captioner.load`.
                Give `threads` where several processes share the cores.
            batch_size: images that go through the model together; no caption depends on it.
                RunInference hands over four times as many, so that some are decoded while others
                are captioned. They are encoded bytes: small in memory.
            max_batch_duration_secs: in streaming, the longest wait for a batch to fill.
            large_model, model_copies: share one model, or so many, between the worker processes of
                a machine; see Beam's ModelHandler.

        Raises:
            ValueError: a number out of its range.
        """
        check_positive("threads", threads)
        check_positive("batch_size", batch_size)
        DecodeLimits(max_image_pixels=max_image_pixels, max_image_bytes=max_image_bytes)
        super().__init__(
            # One size: Beam's search for the best one would start with batches of a single image.
            min_batch_size=batch_size * _MODEL_BATCHES,
            max_batch_size=batch_size * _MODEL_BATCHES,
            max_batch_duration_secs=max_batch_duration_secs,
            large_model=large_model,
            model_copies=model_copies,
        )
        self._model = model
        self._providers = tuple(providers)
        self._threads = threads
        self._batch_size = batch_size
        self._max_image_pixels = max_image_pixels
        self._max_image_bytes = max_image_bytes

    def load_model(self) -> Captioner:
        """The model; one a process, whoever in the process asks for it, or model_copies of them.

        Raises:
            ValueError: see `Captioner.load`.
        """
        # Here, not above: a machine that only builds the pipeline needs no ONNX Runtime.
        from ..captioner import Captioner

        configuration: dict[str, Any] = {
            "model": self._model,
            "providers": self._providers,
            "threads": self._threads,
            "batch_size": self._batch_size,
            "max_image_pixels": self._max_image_pixels,
            "max_image_bytes": self._max_image_bytes,
        }
        if self.model_copies() > 1:  # each call is for one of them
            return Captioner.load(**configuration)
        key = tuple(configuration.values())
        with _loading:
            captioner = _loaded.get(key)
            if captioner is None:
                captioner = _loaded[key] = Captioner.load(**configuration)
            return captioner

    def run_inference(
        self,
        batch: Sequence[ImageInput | CaptionError],
        model: Captioner,
        inference_args: dict[str, Any] | None = None,
    ) -> list[Caption | CaptionError]:
        """Captions a batch: exactly len(batch) results, in its order.

        Raises:
            TypeError: an element is neither an ImageInput nor a CaptionError.
        """
        batch = [image_row(element) for element in batch]
        images = [element for element in batch if isinstance(element, ImageInput)]
        options = GenerationOptions(**(inference_args or {}))
        captioned, timings = model.caption_batch(images, options)
        if len(captioned) != len(images):
            # RunInference would not notice, and give captions to the wrong images.
            raise RuntimeError(f"{len(captioned)} results for {len(images)} images")
        remaining = iter(captioned)
        results = [
            element if isinstance(element, CaptionError) else next(remaining) for element in batch
        ]
        _count(results, timings)
        return results

    def validate_inference_args(self, inference_args: dict[str, Any] | None) -> None:
        """Raises ValueError or TypeError where the arguments are no GenerationOptions."""
        unknown = sorted(set(inference_args or {}) - set(GenerationOptions.names()))
        if unknown:
            raise ValueError(
                f"inference_args {', '.join(unknown)} are not generation options: allowed are "
                f"{', '.join(GenerationOptions.names())}"
            )
        GenerationOptions(**(inference_args or {}))

    def update_model_path(self, model_path: str | None = None) -> None:
        """Takes another model from here on; RunInference's model refresh calls this."""
        self._model = model_path or self._model

    def get_num_bytes(self, batch: Sequence[ImageInput | CaptionError]) -> int:
        """Encoded bytes of a batch."""
        return sum(len(getattr(element, "data", b"")) for element in batch)

    def get_metrics_namespace(self) -> str:
        """Where RunInference counts: beside this handler's own metrics."""
        return METRICS_NAMESPACE

    def get_resource_hints(self) -> dict[str, Any]:
        """None: a step with hints of its own is not fused with its neighbours, and every image
        would be copied through the runner. Give --resource_hint for the whole pipeline instead."""
        return {}


def _count(results: Sequence[Caption | CaptionError], timings: Timings) -> None:
    failures = [result for result in results if isinstance(result, CaptionError)]
    _IMAGES_OK.inc(len(results) - len(failures))
    _IMAGES_FAILED.inc(len(failures))
    for failure in failures:
        Metrics.counter(METRICS_NAMESPACE, f"failed_{failure.reason}").inc()
    _TOKENS.inc(timings.tokens)
    for stage, distribution in _MILLISECONDS.items():
        distribution.update(round(getattr(timings, stage)))
    PROGRESS.add(done=len(results))
