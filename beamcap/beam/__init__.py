"""beamcap in Apache Beam: the only package that imports Beam.

The path of the data, each step a transform that can also be had alone:

    captioned = pipeline | ReadImages("photos/*.jpg") | CaptionImages(CaptionModelHandler())
    captioned | WriteCaptions("captions.jsonl")

CaptionModelHandler is what RunInference takes.
"""

from apache_beam import coders

from ..types import Caption, CaptionError, ImageInput
from .handler import CaptionModelHandler
from .sinks import WriteCaptions
from .sources import ReadImages
from .transforms import CaptionedImages, CaptionImages

# Rows with a schema, not pickles, where these values cross a shuffle or a language border.
for _row in (ImageInput, Caption, CaptionError):
    coders.registry.register_coder(_row, coders.RowCoder)

__all__ = [
    "CaptionImages",
    "CaptionModelHandler",
    "CaptionedImages",
    "ReadImages",
    "WriteCaptions",
]
