"""Where captions and errors go: one file each, complete or not there."""

from __future__ import annotations

import contextlib
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import apache_beam as beam
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems
from apache_beam.transforms.window import GlobalWindows
from apache_beam.utils.windowed_value import WindowedValue

from ..types import Caption, CaptionError
from .formats import CAPTION_SCHEMA, JSON_LINES, Format, Record, Writer, format_of
from .rows import result_row
from .sources import is_local, printable
from .transforms import CaptionedImages


class WriteCaptions(beam.PTransform):
    """Writes captions to a file, and errors to `<path>.errors.jsonl` beside it.

    CaptionedImages -> PCollection[str], the two paths once they are written. Both files appear
    complete, under their names, at the end of the run, in place of those of a former run; until
    then their parts are in a folder beside them, `staging`, which the end of the run removes.
    Without a failure the file of errors is there all the same, and empty.

    JSON Lines: an object a line with the fields of Caption or CaptionError, UTF-8. Parquet: the
    same fields as columns; errors are JSON Lines always.
    """

    def __init__(self, path: str, *, format: str | None = None) -> None:
        """Configures the transform.

        Args:
            path: the file, on any file system that Beam knows.
            format: "jsonl" or "parquet"; by default the path's extension.

        Raises:
            ValueError: the format is not known.
        """
        super().__init__()
        # Whole: a worker may have another working directory.
        self.path = str(FileSystems.join(*FileSystems.split(path)))
        self.errors_path = errors_path(self.path)
        self.format = format_of(path, format)
        self.staging = staging_folder(self.path)

    def expand(self, captioned: CaptionedImages) -> beam.PCollection[str]:
        """Builds the transform.

        Raises:
            ValueError: the images have no end, so a file of all of them is never complete.
        """
        captions, errors = captioned
        if not (captions.is_bounded and errors.is_bounded):
            raise ValueError("WriteCaptions writes one file, and its input is unbounded")
        publish = _Publish(
            staging=self.staging,
            # The captions last: where they are, the run is complete.
            files=[(self.errors_path, JSON_LINES), (self.path, self.format)],
        )
        return (
            captions.pipeline
            | "Once" >> beam.Create([None], reshuffle=False)
            | "Publish"
            >> beam.ParDo(
                publish,
                beam.pvalue.AsIter(self._write("Errors", errors, JSON_LINES)),
                beam.pvalue.AsIter(self._write("Captions", captions, self.format)),
            ).with_output_types(str)
        )

    def read_captions(self) -> Iterator[dict[str, Any]]:
        """The captions of a finished run, read as they are asked for."""
        with _open(self.path) as stream:
            yield from self.format.read(stream)

    def read_errors(self) -> Iterator[dict[str, Any]]:
        """The errors of a finished run, read as they are asked for."""
        with _open(self.errors_path) as stream:
            yield from JSON_LINES.read(stream)

    def _write(
        self,
        label: str,
        results: beam.PCollection[Caption] | beam.PCollection[CaptionError],
        format: Format,
    ) -> beam.PCollection[str]:
        return (
            results
            | f"Window{label}" >> beam.WindowInto(GlobalWindows())
            | f"Write{label}" >> beam.ParDo(_WritePart(self.staging, format)).with_output_types(str)
        )


def errors_path(path: str) -> str:
    """The file of errors that goes with a file of captions."""
    return f"{path}.errors.jsonl"


def check_writable(path: str) -> None:
    """Makes sure that a run can write its captions to `path` and its errors beside it.

    Raises:
        OSError: it cannot; the message says why.
        ValueError: Beam has no file system for the path's scheme.
    """
    for file in (path, errors_path(path)):
        if is_local(file) and Path(file).exists():
            _check_replaceable(file)
    # By doing it: permissions, quotas and buckets have too many ways to refuse.
    staging = staging_folder(path)
    with contextlib.closing(_create(FileSystems.join(staging, "probe"))):
        pass
    remove_staging(staging)


def staging_folder(path: str) -> str:
    """A folder for the parts of `path`: beside it, so that publishing them is a rename; and another
    one each time, so that runs do not meet."""
    folder, name = FileSystems.split(path)
    return str(FileSystems.join(folder, f".{name}.{uuid.uuid4().hex}"))


def remove_staging(staging: str) -> None:
    """Removes what an interrupted run left; nothing there is no error."""
    if is_local(staging):
        # Beam's delete takes its argument for a pattern, and a bracket in the path for a wildcard.
        shutil.rmtree(staging, ignore_errors=True)
        return
    left = FileSystems.match([FileSystems.join(staging, "*")])[0].metadata_list
    FileSystems.delete([file.path for file in left])


class _WritePart(beam.DoFn):
    """Writes the results of a bundle to a file in the staging folder; its name there at the end.

    A path need not be valid Unicode, and Beam's coder of text takes nothing else.
    """

    def __init__(self, staging: str, format: Format) -> None:
        self._staging = staging
        self._format = format

    def start_bundle(self) -> None:
        self._part: str | None = None

    def process(self, result: Caption | CaptionError) -> None:
        if self._part is None:
            self._part = uuid.uuid4().hex
            self._stream = _create(FileSystems.join(self._staging, self._part))
            self._writer: Writer = self._format.writer(self._stream)
        self._writer.write(_record(result_row(result)))

    def finish_bundle(self) -> Iterator[WindowedValue]:
        if self._part is not None:
            self._writer.close()
            self._stream.close()
            yield GlobalWindows.windowed_value_at_end_of_window(self._part)


class _Publish(beam.DoFn):
    """Joins the parts of every file, gives it its name, and removes the staging folder."""

    def __init__(self, staging: str, files: list[tuple[str, Format]]) -> None:
        self._staging = staging
        self._files = files

    def process(self, once: None, *parts: Iterable[str]) -> Iterator[str]:
        for (path, format), names in zip(self._files, parts, strict=True):
            file_parts = [FileSystems.join(self._staging, name) for name in sorted(names)]
            self._publish(path, format, file_parts)
        remove_staging(self._staging)
        for path, _ in self._files:
            yield printable(path)

    def _publish(self, path: str, format: Format, parts: list[str]) -> None:
        if parts and not FileSystems.exists(parts[0]):
            # The staging folder goes after both files are there: this is a second attempt.
            return
        # A copy even of a single part: a second attempt must find it.
        whole = FileSystems.join(self._staging, uuid.uuid4().hex)
        with contextlib.closing(_create(whole)) as stream:
            if parts:
                format.concatenate(_opened(parts), stream)
            else:
                format.writer(stream).close()
        if FileSystems.get_scheme(path) == "hdfs" and FileSystems.exists(path):
            FileSystems.delete([path])  # the only file system whose rename does not replace
        FileSystems.rename([whole], [path])


def _record(result: Caption | CaptionError) -> Record:
    fields = result._asdict()
    if isinstance(result, CaptionError):
        return fields
    fields["candidates"] = [candidate._asdict() for candidate in result.candidates]
    return {name: fields[name] for name in CAPTION_SCHEMA.names}


def _check_replaceable(file: str) -> None:
    # Publishing replaces what has the name, be it a device.
    if not Path(file).is_file():
        raise FileExistsError(f"{file} is there and is not a file")
    if not os.access(file, os.W_OK):
        raise PermissionError(f"{file} is there and is not writable")


def _create(path: str) -> BinaryIO:
    stream: BinaryIO = FileSystems.create(path, compression_type=CompressionTypes.UNCOMPRESSED)
    return stream


def _open(path: str) -> BinaryIO:
    stream: BinaryIO = FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED)
    return stream


def _opened(paths: Iterable[str]) -> Iterator[BinaryIO]:
    for path in paths:
        with _open(path) as stream:
            yield stream
