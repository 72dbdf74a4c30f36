"""How far the run in this process is: Beam reports its metrics only once a bundle is done.

The transforms count here wherever they run; only a command line whose workers are in its own
process reads it. In any other process the counts are simply never looked at.
"""

from __future__ import annotations

import threading
from typing import NamedTuple


class Snapshot(NamedTuple):
    """Counts of images at one moment."""

    found: int
    done: int
    """Captioned or failed."""


class Progress:
    """Counts images. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._found = 0
        self._done = 0

    def reset(self) -> None:
        """Starts another run."""
        with self._lock:
            self._found = self._done = 0

    def add(self, *, found: int = 0, done: int = 0) -> None:
        """Adds to the counts."""
        with self._lock:
            self._found += found
            self._done += done

    def snapshot(self) -> Snapshot:
        """The counts now."""
        with self._lock:
            return Snapshot(self._found, self._done)


PROGRESS = Progress()
"""The run in this process."""
