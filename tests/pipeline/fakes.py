"""A captioner without a model: the caption tells what the image is, and nothing of its batch."""

from __future__ import annotations

import hashlib
import io
import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from beamcap import Candidate, Caption, CaptionError, GenerationOptions, ImageInput
from beamcap.beam import CaptionModelHandler
from beamcap.captioner import CaptionBatch, Timings

MODEL_ID = "fake@0123456789abcdef"


def fake_result(image: ImageInput, options: GenerationOptions) -> Caption | CaptionError:
    """What FakeCaptioner makes of an image; the score is exact in any float."""
    try:
        with Image.open(io.BytesIO(image.data)) as picture:
            picture.load()
            width, height = picture.size
    except OSError as error:
        return CaptionError(
            image.key, image.uri, "decode", "truncated", str(error), metadata=image.metadata
        )
    digest = hashlib.sha256(image.data).digest()
    candidates = [
        Candidate(
            caption=f"№{rank}: {width}x{height} {digest.hex()[:8]}",
            score=-rank / 4,
            token_ids=list(digest[:3]),
            finish_reason="eos",
            confidence=1 / (2 + rank),
            repetition=bool(rank),
            token_log_probs=[-0.5, -rank, 0.0] if options.output_token_log_probs else [],
        )
        for rank in range(options.num_return_sequences or 1)
    ]
    return Caption(
        key=image.key,
        uri=image.uri,
        **candidates[0]._asdict(),
        candidates=candidates,
        model_id=MODEL_ID,
        width=width,
        height=height,
        metadata=image.metadata,
    )


class FakeCaptioner:
    """Stands in for a Captioner in what the pipeline asks of one."""

    model_id = MODEL_ID

    def __init__(self, seconds_a_batch: float = 0) -> None:
        self._seconds_a_batch = seconds_a_batch

    def caption_batch(
        self, images: Iterable[ImageInput], options: GenerationOptions | None = None
    ) -> CaptionBatch:
        time.sleep(self._seconds_a_batch)
        results = [fake_result(image, options or GenerationOptions()) for image in images]
        tokens = sum(len(r.token_ids) for r in results if isinstance(r, Caption))
        return CaptionBatch(results, Timings(1.4, 2.6, 30.0, 40.0, tokens))

    def check_options(self, options: GenerationOptions | None) -> None:
        if options is not None and options.max_length == 1:
            raise ValueError("max_length=1 leaves no token to generate")


class FakeHandler(CaptionModelHandler):
    """A CaptionModelHandler with a FakeCaptioner."""

    def load_model(self) -> FakeCaptioner:  # type: ignore[override]
        return FakeCaptioner()


class FailingCaptioner(FakeCaptioner):
    """Fails, as no captioner should, from its third batch on."""

    def __init__(self) -> None:
        super().__init__()
        self._batches = 0

    def caption_batch(
        self, images: Iterable[ImageInput], options: GenerationOptions | None = None
    ) -> CaptionBatch:
        self._batches += 1
        if self._batches == 3:
            raise RuntimeError("the machine is on fire")
        return super().caption_batch(images, options)


class FailingHandler(CaptionModelHandler):
    """A CaptionModelHandler with a FailingCaptioner."""

    def load_model(self) -> FailingCaptioner:  # type: ignore[override]
        return FailingCaptioner()


class Folder(NamedTuple):
    """Files to caption, and what must become of them."""

    path: Path
    captions: dict[str, Caption]
    errors: dict[str, tuple[str, str]]
    """Stage and reason."""

    @property
    def pattern(self) -> str:
        return f"{self.path}/*"
