"""Our rows, known again in a process that decoded them by their schema alone."""

from __future__ import annotations

from typing import Any

from ..types import Candidate, Caption, CaptionError, ImageInput


def image_row(element: Any) -> ImageInput | CaptionError:
    """An element to caption, in its own class.

    Beam's schemas do not say which Python class a row is of: in another process than the one that
    built the pipeline, what crossed a shuffle is of a generated class with the same fields.

    Raises:
        TypeError: it is no such row.
    """
    if isinstance(element, (ImageInput, CaptionError)):
        return element
    for row in (ImageInput, CaptionError):
        if _has_fields_of(element, row):
            return row(*element)
    raise TypeError(
        f"an element of type {type(element).__name__} cannot be captioned: give "
        "beamcap.ImageInput(key, uri, data)"
    )


def result_row(element: Any) -> Caption | CaptionError:
    """A result, in its own class; see image_row.

    Raises:
        TypeError: it is no such row.
    """
    if isinstance(element, (Caption, CaptionError)):
        return element
    if _has_fields_of(element, CaptionError):
        return CaptionError(*element)
    if _has_fields_of(element, Caption):
        caption = Caption(*element)
        return caption._replace(candidates=[Candidate(*each) for each in caption.candidates])
    raise TypeError(f"an element of type {type(element).__name__} is no Caption or CaptionError")


def _has_fields_of(element: Any, row: type[ImageInput | Caption | CaptionError]) -> bool:
    return getattr(element, "_fields", None) == row._fields
