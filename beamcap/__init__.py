"""beamcap: image captioning by the million.

    from beamcap import Captioner
    for result in Captioner.load().caption(["photo.jpg"]):
        print(result)

Names are imported when first used: `import beamcap` costs nothing, and plain use of the library
never imports Beam.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .captioner import Captioner
    from .options import GenerationOptions
    from .preprocess import Preprocessor
    from .types import Candidate, Caption, CaptionError, ImageInput

__version__ = "0.1.0"

_HOME = {
    "Candidate": ".types",
    "Caption": ".types",
    "CaptionError": ".types",
    "Captioner": ".captioner",
    "GenerationOptions": ".options",
    "ImageInput": ".types",
    "Preprocessor": ".preprocess",
}

__all__ = [
    "Candidate",
    "Caption",
    "CaptionError",
    "Captioner",
    "GenerationOptions",
    "ImageInput",
    "Preprocessor",
    "__version__",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name], __name__), name)
