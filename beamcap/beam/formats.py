"""The files that records are written to: JSON Lines and Parquet."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePath
from typing import Any, BinaryIO, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

Record = Mapping[str, Any]
"""A row, as JSON would hold it."""

_ROWS_IN_A_GROUP = 10_000
_ROWS_READ_TOGETHER = 100

_CANDIDATE = pa.struct(
    [
        ("caption", pa.string()),
        ("score", pa.float64()),
        ("finish_reason", pa.string()),
        ("confidence", pa.float64()),
        ("repetition", pa.bool_()),
        ("token_ids", pa.list_(pa.int64())),
        ("token_log_probs", pa.list_(pa.float64())),
    ]
)
CAPTION_SCHEMA = pa.schema(
    [
        ("uri", pa.string()),
        ("key", pa.string()),
        ("caption", pa.string()),
        ("score", pa.float64()),
        ("finish_reason", pa.string()),
        ("confidence", pa.float64()),
        ("repetition", pa.bool_()),
        ("candidates", pa.list_(_CANDIDATE)),
        ("token_ids", pa.list_(pa.int64())),
        ("token_log_probs", pa.list_(pa.float64())),
        ("model_id", pa.string()),
        ("width", pa.int64()),
        ("height", pa.int64()),
        ("metadata", pa.map_(pa.string(), pa.string())),
    ]
)
"""The columns of a Parquet file of captions, and the order of the fields in JSON Lines."""


class Writer(Protocol):
    """Writes records to an open file, which it does not close."""

    def write(self, record: Record) -> None:
        """Adds a record."""

    def close(self) -> None:
        """Writes what is left."""


class Format(Protocol):
    """A kind of file."""

    def writer(self, stream: BinaryIO) -> Writer:
        """A writer to an empty file."""

    def concatenate(self, parts: Iterable[BinaryIO], stream: BinaryIO) -> None:
        """Writes the records of whole files, in their order, to an empty file."""

    def read(self, stream: BinaryIO) -> Iterator[dict[str, Any]]:
        """The records of a whole file, read as they are asked for."""


class _JsonLines:
    """One JSON object a line, UTF-8."""

    def writer(self, stream: BinaryIO) -> Writer:
        return _JsonLinesWriter(stream)

    def concatenate(self, parts: Iterable[BinaryIO], stream: BinaryIO) -> None:
        for part in parts:
            shutil.copyfileobj(part, stream)

    def read(self, stream: BinaryIO) -> Iterator[dict[str, Any]]:
        return map(json.loads, stream)


class _JsonLinesWriter:
    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def write(self, record: Record) -> None:
        line = json.dumps(record, ensure_ascii=False)
        # What UTF-8 cannot hold (half a surrogate pair) becomes JSON's own escape for it.
        self._stream.write(line.encode("utf-8", "backslashreplace") + b"\n")

    def close(self) -> None:
        pass


class _Parquet:
    """Row groups of captions."""

    def writer(self, stream: BinaryIO) -> Writer:
        return _ParquetWriter(stream)

    def concatenate(self, parts: Iterable[BinaryIO], stream: BinaryIO) -> None:
        with pq.ParquetWriter(stream, CAPTION_SCHEMA) as writer:
            for part in parts:
                file = pq.ParquetFile(part)
                for group in range(file.num_row_groups):
                    writer.write_table(file.read_row_group(group))

    def read(self, stream: BinaryIO) -> Iterator[dict[str, Any]]:
        for batch in pq.ParquetFile(stream).iter_batches(batch_size=_ROWS_READ_TOGETHER):
            yield from batch.to_pylist()


class _ParquetWriter:
    def __init__(self, stream: BinaryIO) -> None:
        self._writer = pq.ParquetWriter(stream, CAPTION_SCHEMA)
        self._rows: list[Record] = []

    def write(self, record: Record) -> None:
        self._rows.append(record)
        if len(self._rows) == _ROWS_IN_A_GROUP:
            self._flush()

    def close(self) -> None:
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        if self._rows:
            self._writer.write_table(pa.Table.from_pylist(self._rows, CAPTION_SCHEMA))
            self._rows = []


JSON_LINES: Format = _JsonLines()
FORMATS: Mapping[str, Format] = {"jsonl": JSON_LINES, "parquet": _Parquet()}
"""By name, which is also their file's extension."""


def format_of(path: str, name: str | None = None) -> Format:
    """The format called `name`; without a name, that of the path's extension.

    Raises:
        ValueError: there is no such format.
    """
    given = PurePath(path).suffix[1:].lower() if name is None else name
    if given in FORMATS:
        return FORMATS[given]
    allowed = ", ".join(FORMATS)
    if name is not None:
        raise ValueError(f"format {name!r} is not known: allowed are {allowed}")
    raise ValueError(
        f"cannot tell the format of {path!r} from its extension: end it in one of "
        f"{', '.join('.' + extension for extension in FORMATS)}, or give the format ({allowed})"
    )
