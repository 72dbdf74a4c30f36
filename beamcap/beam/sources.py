"""Where images come from: globs on any file system that Beam knows."""

from __future__ import annotations

import glob
import logging
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import apache_beam as beam
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems
from apache_beam.pvalue import PBegin

from ..decode import DEFAULT_MAX_IMAGE_BYTES
from ..read import as_read_error, check_file, read_stream
from ..types import CaptionError, ImageInput
from .progress import PROGRESS

_LOGGER = logging.getLogger(__name__)
# The first ** that is a whole component: top/**/rest.
_DEEP = re.compile(r"(?P<top>|.*?/)\*\*(?:/(?P<rest>.*))?", re.DOTALL)


class ReadImages(beam.PTransform):
    """Reads the images that patterns match: PCollection[ImageInput | CaptionError].

    Each file once, with its path as key and uri. Only names cross the shuffle that spreads the work
    over the workers; the bytes are read in the step that captions them. A file that cannot be read
    (or is empty, too large, a directory, missing) is a CaptionError of stage "read".

    Patterns of local files are the shell's, `**` for any depth of folders; those of other file
    systems are Beam's. A pattern that is the name of a file means that file, whatever is in it.
    """

    def __init__(
        self, patterns: str | Sequence[str], *, max_image_bytes: int = DEFAULT_MAX_IMAGE_BYTES
    ) -> None:
        """Configures the transform.

        Args:
            patterns: one or several of them.
            max_image_bytes: a larger file is a CaptionError, and is not read.
        """
        super().__init__()
        self._patterns = [patterns] if isinstance(patterns, str) else list(patterns)
        self._max_image_bytes = max_image_bytes

    def expand(self, begin: PBegin) -> beam.PCollection[ImageInput | CaptionError]:
        """Builds the transform."""
        return (
            begin
            # As bytes: a local name need not be valid Unicode.
            | "Patterns" >> beam.Create(map(os.fsencode, self._patterns), reshuffle=False)
            | "Match" >> beam.ParDo(_Match()).with_output_types(tuple[bytes, None])
            # By name: a file that two patterns match is read once, and the order that the names
            # come in is the order of the output wherever the runner keeps it.
            | "Distinct" >> beam.GroupByKey()
            | "Read"
            >> beam.ParDo(_Read(self._max_image_bytes)).with_output_types(ImageInput | CaptionError)
        )


def match_paths(pattern: str) -> Iterator[str]:
    """The paths that a pattern matches, sorted; a name without wildcards is always one of them.

    Raises:
        OSError: the file system cannot be listed.
        ValueError: Beam has no file system for the pattern's scheme.
    """
    if is_local(pattern):
        return iter(sorted(set(_glob_local(pattern))))
    matched = FileSystems.match([pattern])[0].metadata_list
    paths = sorted(metadata.path for metadata in matched)
    return iter(paths if paths or _has_wildcards(pattern) else [pattern])


def is_local(path: str) -> bool:
    """Whether a path or pattern is one of this machine's file system."""
    return FileSystems.get_scheme(path) is None


def printable(path: str) -> str:
    """A path as text that every output can hold: a local name need not be valid Unicode."""
    return path.encode("utf-8", "backslashreplace").decode()


def matches_something(pattern: str) -> bool:
    """Whether a pattern matches a file or folder that is there. Raises as match_paths."""
    if is_local(pattern):
        return any(os.path.lexists(path) for path in _glob_local(pattern))
    return bool(FileSystems.match([pattern], [1])[0].metadata_list)


def read_image(path: str, max_image_bytes: int) -> ImageInput | CaptionError:
    """Reads one file; whatever keeps it from being read is a CaptionError."""
    uri = printable(path)
    try:
        return ImageInput(uri, uri, _read(path, max_image_bytes))
    except Exception as error:  # file systems raise whatever their client does
        failure = as_read_error(error)
        return CaptionError(uri, uri, "read", failure.reason, str(failure))


class _Match(beam.DoFn):
    def process(self, pattern: bytes) -> Iterator[tuple[bytes, None]]:
        for path in match_paths(os.fsdecode(pattern)):
            PROGRESS.add(found=1)
            yield os.fsencode(path), None


class _Read(beam.DoFn):
    def __init__(self, max_image_bytes: int) -> None:
        self._max_image_bytes = max_image_bytes

    def process(self, match: tuple[bytes, Iterable[None]]) -> Iterator[ImageInput | CaptionError]:
        path, _ = match
        yield read_image(os.fsdecode(path), self._max_image_bytes)


def _glob_local(pattern: str) -> Iterator[str]:
    """What a pattern matches, as it is found: in no order, and perhaps twice."""
    # Python's glob and not Beam's: it names folders and dangling links too, so that none is dropped
    # without a word, and does not walk the tree below the pattern.
    if os.path.lexists(pattern) and not pattern.endswith(os.sep):
        yield pattern
        return
    if pattern.endswith(os.sep):
        pattern += "*"
    if not _has_wildcards(pattern):
        yield pattern
        return
    deep = _DEEP.fullmatch(pattern)
    if deep is None:
        yield from glob.iglob(pattern)  # noqa: PTH207 - takes any root
    else:
        yield from (path for path in _glob_deep(deep) if not Path(path).is_dir())


def _glob_deep(pattern: re.Match[str]) -> Iterator[str]:
    """What a pattern with ** matches. As in a shell, ** enters no hidden folder and follows no link
    to a folder: links can lead in circles."""
    top, rest = pattern["top"], pattern["rest"] or "*"
    deeper = _DEEP.fullmatch(rest)
    for root in glob.glob(top) if top else [top]:  # noqa: PTH207 - takes any root
        for folder, folders, _ in os.walk(root or os.curdir, onerror=_warn_of_folder):
            folders[:] = [name for name in folders if not name.startswith(".")]
            below = glob.escape(folder).removesuffix("/") + "/" + rest
            nested = deeper and _DEEP.fullmatch(below)
            matched = _glob_deep(nested) if nested else glob.iglob(below)  # noqa: PTH207
            yield from matched if root else (path.removeprefix("./") for path in matched)


def _warn_of_folder(error: OSError) -> None:
    _LOGGER.warning("the images in %s are left out: %s", error.filename, error.strerror)


def _has_wildcards(pattern: str) -> bool:
    return any(character in pattern for character in "*?[")


def _read(path: str, max_image_bytes: int) -> bytes:
    if is_local(path):
        check_file(Path(path), max_image_bytes)
    with FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED) as stream:
        return read_stream(stream, max_image_bytes)
