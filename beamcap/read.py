"""A file's encoded bytes, or why they cannot be read."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import BinaryIO

_CHUNK = 1 << 20


class ReadError(Exception):
    """Why a file has no bytes: reason is a word for machines, the message is for a person."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def read_file(path: Path, max_bytes: int) -> bytes:
    """The bytes of a local file.

    Raises:
        ReadError: whatever keeps it from being read.
    """
    try:
        check_file(path, max_bytes)
        with path.open("rb") as stream:
            return read_stream(stream, max_bytes)
    except (OSError, ValueError) as error:  # ValueError: a name with a null character
        raise as_read_error(error) from error


def check_file(path: Path, max_bytes: int) -> None:
    """Raises ReadError or OSError where a local file need not even be opened."""
    status = path.stat()
    if stat.S_ISDIR(status.st_mode):
        raise ReadError(
            "is_directory", f"a directory, not a file; {path / '*'} matches the files in it"
        )
    if not stat.S_ISREG(status.st_mode):
        # Opening a pipe or a device could wait for ever.
        raise ReadError("not_a_file", "a pipe, socket or device, not a file")
    if status.st_size > max_bytes:
        raise _too_many_bytes(status.st_size, max_bytes)


def read_stream(stream: BinaryIO, max_bytes: int) -> bytes:
    """All bytes of a stream, which is given up beyond max_bytes.

    Raises:
        ReadError: it is empty, or larger than that.
    """
    chunks = []
    size = 0
    while chunk := stream.read(_CHUNK):
        chunks.append(chunk)
        size += len(chunk)
        if size > max_bytes:
            raise _too_many_bytes(size, max_bytes)
    if not size:
        raise ReadError("empty", "the file is empty")
    return b"".join(chunks)


def as_read_error(error: Exception) -> ReadError:
    """Whatever reading raised, as a ReadError."""
    if isinstance(error, ReadError):
        return error
    if isinstance(error, FileNotFoundError):
        return ReadError("not_found", "no such file")
    if isinstance(error, PermissionError):
        return ReadError("permission_denied", "no permission to read the file")
    strerror = error.strerror if isinstance(error, OSError) else None
    return ReadError("unreadable", strerror or str(error) or type(error).__name__)


def _too_many_bytes(size: int, max_bytes: int) -> ReadError:
    return ReadError(
        "too_many_bytes", f"at least {size:,} bytes, more than max_image_bytes={max_bytes:,}"
    )
