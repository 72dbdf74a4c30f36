"""What a run shows its user: a progress bar meanwhile, a table and a summary in the end."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from itertools import islice
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from .beam.launch import Counts
    from .beam.progress import Snapshot
    from .beam.sinks import WriteCaptions

_CAPTIONS_SHOWN = 20
_ERRORS_SHOWN = 10
_WIDTH_WHEN_PIPED = 120
_WIDTH_OF_A_MODEL_WHEN_PIPED = 200


def progress_bar(snapshot: Callable[[], Snapshot]) -> AbstractContextManager[object]:
    """Shows on stderr how far a run is, while the context lasts; nothing if that is no terminal."""
    return _Bar(snapshot) if sys.stderr.isatty() else nullcontext()


def print_records(output: WriteCaptions, counts: Counts) -> None:
    """Prints the first captions and errors of a run, read from its files."""
    console = _console(_WIDTH_WHEN_PIPED)
    if counts.captioned:
        console.print(_captions(output.read_captions()))
        _print_rest(console, counts.captioned - _CAPTIONS_SHOWN, "captions", output.path)
    if counts.failed:
        console.print(_errors(output.read_errors()))
        _print_rest(console, counts.failed - _ERRORS_SHOWN, "errors", output.errors_path)


def print_summary(counts: Counts) -> None:
    """Prints what became of the images of a run, in one line."""
    total = counts.captioned + counts.failed
    rate = total / counts.seconds if counts.seconds else 0.0
    print(
        f"{counts.captioned:,} images captioned, {counts.failed:,} failed, "
        f"{rate:.1f} images/s, {counts.seconds:.1f} s"
    )


def print_model(description: Mapping[str, Any]) -> None:
    """Prints what Captioner.describe() says of a model."""
    console = _console(_WIDTH_OF_A_MODEL_WHEN_PIPED)
    folder = description["path"]
    console.print(Text(f"{description['model']} in {folder}"), soft_wrap=True)
    for graph in description["graphs"]:
        file = graph["path"].removeprefix(folder).lstrip("/")
        console.print(Text(f"\n{graph['role']}: {file}"), soft_wrap=True)
        console.print(_tensors(graph))
    for section in ("preprocessing", "tokens", "generation"):
        console.print(Text(f"\n{section}"))
        console.print(_settings(description[section]))


class _Bar(Progress):
    """A bar that looks up how far the run is whenever it is drawn."""

    def __init__(self, snapshot: Callable[[], Snapshot]) -> None:
        self._snapshot = snapshot
        self._run: TaskID | None = None
        super().__init__(
            TextColumn("captioning"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._run = self.add_task("", total=None)

    def get_renderables(self) -> Iterable[RenderableType]:
        if self._run is not None:
            found, done = self._snapshot()
            self.update(self._run, completed=done, total=found or None)
        return super().get_renderables()


def _console(width_when_piped: int) -> Console:
    return Console(width=None if sys.stdout.isatty() else width_when_piped, highlight=False)


def _captions(records: Iterable[dict[str, Any]]) -> Table:
    table = Table("image", "caption", box=box.SIMPLE_HEAD)
    table.add_column("score", justify="right", no_wrap=True)
    for record in islice(records, _CAPTIONS_SHOWN):
        score = f"{record['score']:.3f}"
        table.add_row(_text(_short(record["uri"])), _text(record["caption"]), score)
    return table


def _errors(records: Iterable[dict[str, Any]]) -> Table:
    table = Table("not captioned", "reason", "message", box=box.SIMPLE_HEAD)
    for record in islice(records, _ERRORS_SHOWN):
        table.add_row(
            _text(_short(record["uri"])),
            _text(f"{record['stage']}: {record['reason']}"),
            _text(record["message"]),
        )
    return table


def _print_rest(console: Console, more: int, what: str, path: str) -> None:
    if more > 0:
        console.print(_text(f"  ... and {more:,} more {what} in {path}"), soft_wrap=True)


def _short(uri: str) -> str:
    """The last part of a path; the file has all of it."""
    return uri.rstrip("/").rpartition("/")[2] or uri


def _text(value: str) -> Text:
    """Shown as it is: no markup, and nothing that a terminal would obey."""
    shown = (char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in value)
    return Text("".join(shown))


def _tensors(graph: Mapping[str, Any]) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    for side in ("inputs", "outputs"):
        for tensor in graph[side]:
            shape = ", ".join(str(dimension) for dimension in tensor["shape"])
            cells = (side[:-1], tensor["name"], tensor["meaning"], f"{tensor['type']} [{shape}]")
            table.add_row("", *(_text(cell) for cell in cells))
    return table


def _settings(section: Mapping[str, Any]) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    for name, value in section.items():
        table.add_row("", name, _text(json.dumps(value, ensure_ascii=False)))
    return table
