"""The command line: `python -m beamcap`."""

from __future__ import annotations

import argparse
import io
import logging
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any

from .option_kinds import Boolean, Kind
from .options import OPTIONS, GenerationOptions

# Nothing heavier is imported up here: --help has to be quick.
if TYPE_CHECKING:
    from .beam.launch import Counts, Launch

OK = 0
FAILED = 1
USAGE = 2
TOO_MANY_ERRORS = 3

_DESCRIPTION = """\
Captions images: every image that --input matches has its caption in --output, or the reason why it
has none in <output>.errors.jsonl.

Other verbs: `python -m beamcap inspect MODEL` describes a model."""

_EPILOG = """\
Any other flag is Apache Beam's: --runner, --direct_num_workers, --direct_running_mode, ...; without
--runner the pipeline runs in this process.

exit status:
  0    done
  1    the pipeline failed
  2    wrong usage, found before any work
  3    more images failed than --max_error_ratio allows
  128+ stopped by a signal (130: Ctrl-C)"""


class _FailedError(Exception):
    """Ends the command with one line on stderr and an exit status."""

    def __init__(self, status: int, message: object) -> None:
        super().__init__(message)
        self.status = status


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line and returns its exit status."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A caption or a file name that the terminal cannot show must not end the run.
            stream.reconfigure(errors="backslashreplace")
    arguments = list(sys.argv[1:] if argv is None else argv)
    verb: Callable[[list[str]], int] = _caption
    if arguments[:1] == ["inspect"]:
        verb, arguments = _inspect, arguments[1:]
    with _stoppable() as stopped:
        try:
            return verb(arguments)
        except SystemExit as end:  # how argparse ends
            return end.code if isinstance(end.code, int) else USAGE
        except BaseException as error:
            # First: Beam may turn the KeyboardInterrupt into an exception of its own.
            if stopped:
                return _complain("interrupted", 128 + stopped[0])
            if isinstance(error, _FailedError):
                return _complain(error, error.status)
            if isinstance(error, BrokenPipeError):  # what reads our output has read enough
                _discard_stdout()
                return OK
            raise


def _discard_stdout() -> None:
    # Else the interpreter's last flush would complain once more.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _caption(arguments: list[str]) -> int:
    parser = _caption_parser()
    args, beam_flags = parser.parse_known_args(arguments)
    with _usage_errors():
        launch = _prepare(args, beam_flags, own_flags=[*parser._option_string_actions])

    from . import report
    from .beam.progress import PROGRESS

    try:
        with report.progress_bar(PROGRESS.snapshot):
            counts = launch.run()
    except Exception as error:
        raise _FailedError(FAILED, f"the pipeline failed: {_last_line(error)}") from error
    # The workers of another runner may have written where this machine cannot read.
    if launch.runner.local:
        report.print_records(launch.output, counts)
    report.print_summary(counts)
    return _verdict(counts, args.max_error_ratio)


def _prepare(args: argparse.Namespace, beam_flags: list[str], own_flags: list[str]) -> Launch:
    """Checks all that was given; what is wrong with it raises."""
    options = GenerationOptions(**{name: getattr(args, name) for name in OPTIONS})
    _quieten()
    from .beam import CaptionModelHandler, WriteCaptions
    from .beam.launch import prepare
    from .beam.runner import choose_runner
    from .decode import DEFAULT_MAX_IMAGE_BYTES, DEFAULT_MAX_IMAGE_PIXELS

    runner = choose_runner(beam_flags, own_flags)
    max_image_bytes = args.max_image_bytes or DEFAULT_MAX_IMAGE_BYTES
    handler = CaptionModelHandler(
        args.model,
        threads=args.threads or runner.threads,
        batch_size=args.batch_size,
        max_image_pixels=args.max_image_pixels or DEFAULT_MAX_IMAGE_PIXELS,
        max_image_bytes=max_image_bytes,
    )
    output = WriteCaptions(args.output, format=args.format)
    return prepare(runner, args.input, handler, options, output, max_image_bytes=max_image_bytes)


def _inspect(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m beamcap inspect",
        description="Prints what a model is made of: the roles of its graphs, their inputs and "
        "outputs, its preprocessing, its generation defaults.",
    )
    parser.add_argument("model", help="an embedded model's name, or the folder of a model bundle")
    args = parser.parse_args(arguments)
    from .captioner import Captioner

    with _usage_errors():
        description = Captioner.load(args.model).describe()
    from . import report

    report.print_model(description)
    return OK


@contextmanager
def _usage_errors() -> Iterator[None]:
    """Checks go inside: what they raise is for the user to mend."""
    try:
        yield
    except (OSError, TypeError, ValueError) as error:
        raise _FailedError(USAGE, error) from error
    except RuntimeError as error:  # not the user's doing: ONNX Runtime is missing or unusable
        raise _FailedError(FAILED, error) from error


def _caption_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m beamcap",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        # Else an abbreviated flag of Beam's would be taken for one of these.
        allow_abbrev=False,
    )
    parser.add_argument(
        "--input",
        required=True,
        nargs="+",
        action="extend",
        metavar="GLOB",
        help="the images: files or patterns, on any file system that Beam knows (gs://, s3://, "
        "hdfs://, ...)",
    )
    parser.add_argument("--output", required=True, metavar="FILE", help="where captions go")
    parser.add_argument(
        "--format", choices=("jsonl", "parquet"), help="of the output; default: its extension"
    )
    parser.add_argument(
        "--model",
        default="beamcap-small",
        help="an embedded model's name, or the folder of a model bundle; default: %(default)s",
    )
    parser.add_argument(
        "--batch_size",
        type=_positive_int,
        default=8,
        metavar="N",
        help="images that go through the model together; default: %(default)s",
    )
    parser.add_argument(
        "--threads",
        type=_positive_int,
        metavar="N",
        help="cores for each worker's model; default: its share of those that there are",
    )
    parser.add_argument(
        "--max_error_ratio",
        type=_ratio,
        default=1.0,
        metavar="R",
        help="end with status 3 if a larger part of the images fails; default: %(default)s, never",
    )
    _add_limits(parser.add_argument_group("limits; an image beyond one is an error record"))
    _add_generation_options(parser)
    return parser


def _add_limits(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--max_image_pixels",
        type=_positive_int,
        metavar="N",
        help="width x height, known before any pixel is decoded; default: 89,478,485",
    )
    group.add_argument(
        "--max_image_bytes",
        type=_positive_int,
        metavar="N",
        help="of the encoded image; default: 268,435,456",
    )


def _add_generation_options(parser: argparse.ArgumentParser) -> None:
    reference = parser.add_argument_group(
        "generation options, as in transformers; default: the model's"
    )
    sampling = parser.add_argument_group("sampling, as in transformers; with --do_sample")
    own = parser.add_argument_group("more about captions")
    for name, option in OPTIONS.items():
        group = own if option.own else sampling if option.sampling else reference
        switch: dict[str, Any] = (
            {"nargs": "?", "const": True} if isinstance(option.kind, Boolean) else {}
        )
        group.add_argument(
            f"--{name}",
            type=_parser_of(option.kind),
            metavar=option.kind.metavar,
            help=option.help.replace("%", "%%"),
            **switch,
        )


def _parser_of(kind: Kind) -> Callable[[str], Any]:
    def parse(text: str) -> Any:
        try:
            return kind.parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"{text!r} is not allowed: {error}") from error

    return parse


def _positive_int(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not allowed: an integer, at least 1")
    return int(text)


def _ratio(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not allowed: a number from 0 to 1")
    return value


def _verdict(counts: Counts, max_error_ratio: float) -> int:
    total = counts.captioned + counts.failed
    if not counts.failed or counts.failed / total <= max_error_ratio:
        return OK
    return _complain(
        f"{counts.failed} of {total} images failed, more than --max_error_ratio={max_error_ratio}",
        TOO_MANY_ERRORS,
    )


def _complain(what: object, status: int) -> int:
    print(f"beamcap: {what}", file=sys.stderr)
    return status


def _last_line(error: Exception) -> str:
    """What happened: Beam's exceptions carry the traceback of the worker, and end with it."""
    return traceback.format_exception_only(error)[-1].strip().splitlines()[-1]


def _quieten() -> None:
    # Beam notes on the root logger, as warnings, which of its optional parts are not installed.
    logging.basicConfig(format="%(levelname)s: %(message)s")
    logging.getLogger().setLevel(logging.ERROR)
    for name in ("apache_beam", "beamcap"):
        logging.getLogger(name).setLevel(logging.WARNING)


@contextmanager
def _stoppable() -> Iterator[list[int]]:
    """SIGINT and SIGTERM interrupt what runs inside; the list then holds the signal's number."""
    stopped: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        stopped.append(number)
        logging.disable(logging.CRITICAL)  # what Beam has to say of an interrupted bundle
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield stopped  # only the main thread has signals
        return
    previous = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stopped
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        logging.disable(logging.NOTSET)
