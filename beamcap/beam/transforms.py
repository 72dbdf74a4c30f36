"""Images in, captions and errors out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import NamedTuple

import apache_beam as beam
from apache_beam.ml.inference.base import KeyedModelHandler, RunInference
from apache_beam.pvalue import TaggedOutput
from apache_beam.transforms.window import BoundedWindow
from apache_beam.utils.timestamp import Timestamp
from apache_beam.utils.windowed_value import WindowedValue

from ..options import GenerationOptions
from ..types import Caption, CaptionError, ImageInput
from .handler import CaptionModelHandler

_ERRORS = "errors"
_CAPTIONS = "captions"


class CaptionedImages(NamedTuple):
    """What became of a collection of images: every one is in exactly one of the two."""

    captions: beam.PCollection[Caption]
    errors: beam.PCollection[CaptionError]


class CaptionImages(beam.PTransform):
    """Captions images: PCollection[ImageInput | CaptionError] -> CaptionedImages.

    A CaptionError in the input (an image that could not be read) goes to the errors. Captions and
    errors keep the event timestamp and the window of their image.
    """

    def __init__(
        self, handler: CaptionModelHandler, options: GenerationOptions | None = None
    ) -> None:
        """Configures the transform.

        Args:
            handler: the model and how to run it.
            options: generation options; unset ones take the model's defaults.
        """
        super().__init__()
        self._handler = handler
        self._options = options or GenerationOptions()

    def expand(self, images: beam.PCollection[ImageInput | CaptionError]) -> CaptionedImages:
        """Builds the transform."""
        # RunInference's batches have a timestamp of their own: each element's travels beside it.
        outputs = (
            images
            | "KeepTimestamp"
            >> beam.ParDo(_KeepTimestamp()).with_input_types(ImageInput | CaptionError)
            | "RunInference"
            >> RunInference(KeyedModelHandler(self._handler), inference_args=asdict(self._options))
            | "RestoreTimestamp"
            >> beam.ParDo(_RestoreTimestamp()).with_outputs(_ERRORS, main=_CAPTIONS)
        )
        captions = outputs[_CAPTIONS]
        errors = outputs[_ERRORS]
        captions.element_type = Caption
        errors.element_type = CaptionError
        return CaptionedImages(captions, errors)


class _KeepTimestamp(beam.DoFn):
    def process(
        self,
        element: ImageInput | CaptionError,
        timestamp: Timestamp = beam.DoFn.TimestampParam,
    ) -> Iterator[tuple[Timestamp, ImageInput | CaptionError]]:
        yield timestamp, element


class _RestoreTimestamp(beam.DoFn):
    def process(
        self,
        element: tuple[Timestamp, Caption | CaptionError],
        window: BoundedWindow = beam.DoFn.WindowParam,
    ) -> Iterator[WindowedValue | TaggedOutput]:
        timestamp, result = element
        # Not a TimestampedValue: that would assign windows anew, which a merged window or a
        # sliding one does not survive.
        value = WindowedValue(result, timestamp, (window,))
        yield TaggedOutput(_ERRORS, value) if isinstance(result, CaptionError) else value
