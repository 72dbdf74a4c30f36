"""The library without Beam: load a model, caption images."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from . import _core
from .bundle import Bundle
from .candidates import make_candidate
from .cpu import available_cores
from .decode import DEFAULT_MAX_IMAGE_BYTES, DEFAULT_MAX_IMAGE_PIXELS, DecodeLimits
from .fit import (
    check_length,
    check_option_tokens,
    check_pixels,
    check_tokens,
    warn_of_banned_eos,
)
from .images import ImageLike, as_input, caption_error, is_pillow, load_pixels, refuse_single
from .options import OPTIONS, GenerationOptions, check_positive
from .ort_library import load_onnxruntime
from .preprocess import Preprocessor
from .prompt import Prompts
from .seeds import image_seed
from .stop_strings import StopStringMaker
from .types import Caption, CaptionError, ImageInput

_PROVIDERS = ("cpu",)
_BATCH_SIZE = 8
# ONNX Runtime waits for ever where the machine refuses it a thread.
_MOST_THREADS = 256


@dataclass
class Timings:
    """Where the time of some images went. Images are prepared in several threads: the first two
    add up over these, the last two are time on the clock."""

    decode_ms: float = 0.0
    preprocess_ms: float = 0.0
    encode_ms: float = 0.0
    search_ms: float = 0.0
    tokens: int = 0
    """Tokens of the captions returned."""


class CaptionBatch(NamedTuple):
    """The results of some images in their order, and the time they took."""

    results: list[Caption | CaptionError]
    timings: Timings


class _Prepared(NamedTuple):
    """An image ready for the encoder."""

    position: int
    source: ImageInput
    pixel_values: NDArray[np.float32]
    width: int
    height: int
    decode_ms: float
    preprocess_ms: float


class _Search(NamedTuple):
    """How to search: all that no image changes."""

    options: GenerationOptions
    """Those of the call over the model's."""
    core: _core.Options
    prompt: list[int]
    """Tokens that the decoder is fed first; the start token is the first of them."""


class Captioner:
    """Captions images with one model. Safe to use from several threads at once.

    Make one with `Captioner.load`.
    """

    def __init__(
        self,
        bundle: Bundle,
        *,
        threads: int | None,
        batch_size: int,
        limits: DecodeLimits,
    ) -> None:
        self.bundle = bundle
        self.model_id = bundle.model_id
        self._threads = available_cores() if threads is None else threads
        self._batch_size = batch_size
        self._limits = limits
        self._preprocessor = _naming(bundle, Preprocessor.load, bundle.preprocessor_config)
        self._tokenizer = _naming(bundle, _load_tokenizer, bundle.tokenizer)
        self._prompts = Prompts(self._tokenizer, bundle.start_token_id)
        self._stop_strings = StopStringMaker(self._tokenizer)
        load_onnxruntime()
        self._model = _naming(
            bundle,
            _core.Model,
            str(bundle.encoder),
            str(bundle.decoder),
            None if bundle.decoder_with_past is None else str(bundle.decoder_with_past),
            intra_op_threads=self._threads,
        )
        _naming(bundle, check_pixels, bundle, self._model, self._preprocessor)
        _naming(bundle, check_tokens, bundle, self._model)
        self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="beamcap-prepare")
        _naming(bundle, self.check_options, None)

    @classmethod
    def load(
        cls,
        model: str | Path = "beamcap-small",
        *,
        providers: Sequence[str] = _PROVIDERS,
        threads: int | None = None,
        batch_size: int = _BATCH_SIZE,
        max_image_pixels: int = DEFAULT_MAX_IMAGE_PIXELS,
        max_image_bytes: int = DEFAULT_MAX_IMAGE_BYTES,
    ) -> Captioner:
        """Loads a model.

        Args:
            model: an embedded model's name, or the folder of a bundle.
            providers: where the model runs; only ("cpu",) so far.
            threads: cores to use; by default those that the affinity and the cgroup allow.
            batch_size: images that go through the model together. No caption depends on it.
            max_image_pixels: a larger image is a CaptionError; read from its header, before any
                pixel is allocated.
            max_image_bytes: a larger encoded image is a CaptionError.

        Raises:
            ValueError: the model cannot be found, is incomplete or does not fit together; the
                message says what was found and what was expected.
        """
        if tuple(providers) != _PROVIDERS:
            raise ValueError(f"providers={tuple(providers)!r} is not allowed: only {_PROVIDERS!r}")
        check_positive("threads", threads)
        if threads is not None and threads > _MOST_THREADS:
            raise ValueError(f"threads={threads} is not allowed: it must be <= {_MOST_THREADS}")
        check_positive("batch_size", batch_size)
        check_positive("max_image_pixels", max_image_pixels)
        check_positive("max_image_bytes", max_image_bytes)
        limits = DecodeLimits(max_image_pixels=max_image_pixels, max_image_bytes=max_image_bytes)
        return cls(Bundle.find(model), threads=threads, batch_size=batch_size, limits=limits)

    def caption(
        self, images: Iterable[ImageLike], options: GenerationOptions | None = None
    ) -> list[Caption | CaptionError]:
        """Captions images; one result an image, in their order.

        An image that cannot be read or decoded gives a CaptionError in its place and leaves the
        others as they would be without it.

        Args:
            images: paths, encoded bytes, PIL images, uint8 RGB arrays [H, W, 3] or ImageInputs.
            options: generation options; unset ones take the model's defaults.

        Raises:
            ValueError: the options contradict each other or the model.
            TypeError: a single image instead of several, or an element that is no image at all.
        """
        return self.caption_batch(images, options).results

    def caption_batch(
        self, images: Iterable[ImageLike], options: GenerationOptions | None = None
    ) -> CaptionBatch:
        """As `caption`, with the time that each stage took."""
        refuse_single(images)
        search = self._search(options)
        timings = Timings()
        results: dict[int, Caption | CaptionError] = {}
        batch: list[_Prepared] = []
        for index, prepared in enumerate(self._prepare_all(images)):
            if isinstance(prepared, CaptionError):
                results[index] = prepared
                continue
            timings.decode_ms += prepared.decode_ms
            timings.preprocess_ms += prepared.preprocess_ms
            batch.append(prepared)
            if len(batch) == self._batch_size:
                results.update(self._caption_prepared(batch, search, timings))
                batch = []
        if batch:
            results.update(self._caption_prepared(batch, search, timings))
        return CaptionBatch([results[index] for index in range(len(results))], timings)

    def check_options(self, options: GenerationOptions | None) -> None:
        """Raises ValueError where the options contradict each other or the model."""
        self._search(options)

    def describe(self) -> dict[str, Any]:
        """What `python -m beamcap inspect` prints: graphs, preprocessing, generation defaults."""
        bundle = self.bundle
        return {
            "model": self.model_id,
            "path": str(bundle.path),
            "graphs": self._model.describe(),
            "preprocessing": self._preprocessor.describe(),
            "tokens": {
                "vocabulary": self._tokenizer.get_vocab_size(),
                "start": bundle.start_token_id,
                "eos": list(bundle.eos_token_ids),
                "pad": bundle.pad_token_id,
            },
            "generation": {
                **{
                    name: bundle.defaults.value(name)
                    for name, option in OPTIONS.items()
                    if not option.own
                },
                "max_length": bundle.defaults.search_arguments(prompt_length=1)["max_length"],
            },
        }

    def _search(self, options: GenerationOptions | None) -> _Search:
        merged = (options or GenerationOptions()).over(self.bundle.defaults)
        warn_of_banned_eos(self.bundle, merged)
        prompt = self._prompts.tokens(merged.prompt)
        arguments = merged.search_arguments(len(prompt))
        check_length(self.bundle, arguments["max_length"])
        check_option_tokens(self.bundle, self._model, merged)
        stop_strings = merged.value("stop_strings")
        core = _core.Options(
            **arguments,
            eos_token_ids=list(self.bundle.eos_token_ids),
            stop_strings=self._stop_strings.make(stop_strings) if stop_strings else None,
        )
        core.validate(prompt)
        return _Search(merged, core, prompt)

    def _prepare_all(self, images: Iterable[ImageLike]) -> Iterator[_Prepared | CaptionError]:
        """Reads, decodes and preprocesses, in order and in the pool, a batch ahead of the model."""
        ahead: deque[Future[_Prepared | CaptionError]] = deque()
        for index, image in enumerate(images):
            source = as_input(index, image)
            if is_pillow(image):
                # Here: it is not safe in several threads, and whoever yields it may close it, or
                # turn it to its next frame, before a thread comes to it.
                prepared: Future[_Prepared | CaptionError] = Future()
                prepared.set_result(self._prepare(index, source, image))
            else:
                prepared = self._pool.submit(self._prepare, index, source, image)
            ahead.append(prepared)
            if len(ahead) > self._batch_size:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()

    def _prepare(
        self, position: int, source: ImageInput, image: ImageLike
    ) -> _Prepared | CaptionError:
        started = time.perf_counter()
        pixels = load_pixels(source, image, self._limits)
        if isinstance(pixels, CaptionError):
            return pixels
        decoded = time.perf_counter()
        try:
            out = np.empty((3, self._preprocessor.height, self._preprocessor.width), np.float32)
            self._preprocessor.into(pixels, out)
        except ValueError as error:
            return caption_error(source, "preprocess", "unusable_pixels", str(error))
        except MemoryError:
            message = "there is no memory to resize the image in"
            return caption_error(source, "preprocess", "out_of_memory", message)
        return _Prepared(
            position=position,
            # The encoded bytes have done their work: what waits for its batch need not hold them.
            source=source._replace(data=b""),
            pixel_values=out,
            width=pixels.shape[1],
            height=pixels.shape[0],
            decode_ms=1e3 * (decoded - started),
            preprocess_ms=1e3 * (time.perf_counter() - decoded),
        )

    def _caption_prepared(
        self, batch: list[_Prepared], search: _Search, timings: Timings
    ) -> dict[int, Caption | CaptionError]:
        try:
            pixel_values = np.stack([prepared.pixel_values for prepared in batch])
            seeds = _image_seeds(batch, search.options)
            generated = self._model.generate(pixel_values, search.prompt, search.core, seeds)
        except (RuntimeError, MemoryError) as error:
            return self._after_failure(batch, search, timings, error)
        timings.encode_ms += generated.encode_ms
        timings.search_ms += generated.search_ms
        return {
            prepared.position: self._result(prepared, search, result, timings)
            for prepared, result in zip(batch, generated.results, strict=True)
        }

    def _after_failure(
        self, batch: list[_Prepared], search: _Search, timings: Timings, error: Exception
    ) -> dict[int, Caption | CaptionError]:
        """Halves a batch that failed (it may not fit in memory); a single image has its error."""
        if len(batch) == 1:
            message = f"{self.model_id}: {error}"
            failure = caption_error(batch[0].source, "encode", "model_failed", message)
            return {batch[0].position: failure}
        half = len(batch) // 2
        return {
            **self._caption_prepared(batch[:half], search, timings),
            **self._caption_prepared(batch[half:], search, timings),
        }

    def _result(
        self, prepared: _Prepared, search: _Search, result: _core.ImageResult, timings: Timings
    ) -> Caption | CaptionError:
        source = prepared.source
        if result.error:
            message = f"{self.model_id}: {result.error}"
            return caption_error(source, "search", "bad_logits", message)
        candidates = [
            make_candidate(
                hypothesis,
                self._tokenizer,
                search.prompt[1:],
                strip_prompt=search.options.value("strip_prompt"),
                token_log_probs=search.options.value("output_token_log_probs"),
            )
            for hypothesis in result.hypotheses
        ]
        timings.tokens += sum(len(candidate.token_ids) for candidate in candidates)
        return Caption(
            key=source.key,
            uri=source.uri,
            **candidates[0]._asdict(),
            candidates=candidates,
            model_id=self.model_id,
            width=prepared.width,
            height=prepared.height,
            metadata=source.metadata,
        )


def _image_seeds(batch: list[_Prepared], options: GenerationOptions) -> list[int] | None:
    if not options.do_sample:
        return None
    seed = options.value("seed")
    return [image_seed(seed, prepared.source.key) for prepared in batch]


def _load_tokenizer(path: Path) -> Tokenizer:
    tokenizer = Tokenizer.from_file(str(path))
    # What a file may say of batches of texts is not for a prompt; the reference drops it too.
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def _naming(bundle: Bundle, load: Any, *args: Any, **kwargs: Any) -> Any:
    """Loads a part of a bundle; whatever is wrong with it names the bundle."""
    try:
        return load(*args, **kwargs)
    except Exception as error:  # tokenizers raises plain Exception
        raise ValueError(f"model {bundle.path}: {error}") from error
