"""Captions a folder: the command line, the library, and a hand-written script, in turns.

    python -m benchmarks.folder --images DIR [--count 1000] [--rounds 3]

Each runs as a process of its own on the same files with the same model, options and threads;
printed are the medians of the rounds: images/s over the whole process (start-up included), peak
memory, where the time of the command line goes, its memory after a fifth of the images and after
all, and how many captions agree with the script's.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

from . import machine

_BATCH_SIZE = 8
_MODES = ("command", "library", "script")


class Run(NamedTuple):
    """One process: what it took, and what it said of itself."""

    seconds: float
    peak_mb: float
    said: dict[str, Any]


def main() -> None:
    """Parses the arguments, runs all modes in turns, prints the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=Path, required=True, help="a folder of images")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--child", choices=_MODES, help=argparse.SUPPRESS)
    args = parser.parse_args()
    paths = sorted(path for path in args.images.iterdir() if path.is_file())[: args.count]
    if args.child:
        print(json.dumps(_CHILDREN[args.child](paths)))
        return
    print(machine.describe())
    print(f"{len(paths)} images of {args.images}, batches of {_BATCH_SIZE}")
    runs: dict[str, list[Run]] = {mode: [] for mode in _MODES}
    for _ in range(args.rounds):
        for mode in _MODES:
            runs[mode].append(_run(mode, args.images, args.count))
    _report(runs, len(paths))


def _run(mode: str, images: Path, count: int) -> Run:
    command = [sys.executable, "-m", "benchmarks.folder", "--images", str(images)]
    started = time.perf_counter()
    with subprocess.Popen(
        [*command, "--count", str(count), "--child", mode], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        said = process.stdout.read().splitlines()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{mode} ended with {process.returncode}")
    return Run(time.perf_counter() - started, usage.ru_maxrss / 1024, json.loads(said[-1]))


def _report(runs: dict[str, list[Run]], count: int) -> None:
    print(f"{'':10}{'images/s':>10}{'peak MB':>10}")
    for mode, all_runs in runs.items():
        rate = count / statistics.median(run.seconds for run in all_runs)
        peak = statistics.median(run.peak_mb for run in all_runs)
        print(f"{mode:10}{rate:10.1f}{peak:10.0f}")
    _report_command(runs["command"])
    ours, theirs = runs["library"][0].said["captions"], runs["script"][0].said["captions"]
    equal = sum(a == b for a, b in zip(ours, theirs, strict=True))
    print(f"library and script agree on {equal} of {count} captions")


def _report_command(runs: list[Run]) -> None:
    def median(key: str) -> float:
        return statistics.median(run.said[key] for run in runs)

    seconds = statistics.median(run.seconds for run in runs)
    parts = ("decode_s", "preprocess_s", "encode_s", "search_s")
    shares = ", ".join(f"{part[:-2]} {median(part) / seconds:.1%}" for part in parts)
    print(f"command: of the process's time {shares} (decode and preprocess: sum / threads)")
    outside = 1 - sum(median(part) for part in parts) / seconds
    print(f"command: {outside:.1%} outside of these, start-up included")
    for clock, what in ((seconds, "process, start-up included"), (median("run_s"), "run")):
        share = 1 - median("library_s") / clock
        print(f"command: {share:.1%} of the {what}, outside of the library")
    fifth, whole = median("fifth_mb"), median("whole_mb")
    print(f"command: {fifth:.0f} MB after a fifth of the images, {whole:.0f} MB after all")


def _command(paths: list[Path]) -> dict[str, Any]:
    """`python -m beamcap` in this process, with the library's part timed from outside."""
    from beamcap import cli
    from beamcap.beam.launch import Launch
    from beamcap.captioner import Captioner
    from beamcap.cpu import available_cores

    marks: list[tuple[int, float]] = []  # images done, memory
    spent = dict.fromkeys(("run", "library", "decode", "preprocess", "encode", "search"), 0.0)
    caption_batch = Captioner.caption_batch

    def timed(self: Captioner, images: Any, options: Any = None) -> Any:
        images = list(images)
        started = time.perf_counter()
        batch = caption_batch(self, images, options)
        spent["library"] += time.perf_counter() - started
        spent["decode"] += batch.timings.decode_ms / 1e3 / available_cores()
        spent["preprocess"] += batch.timings.preprocess_ms / 1e3 / available_cores()
        spent["encode"] += batch.timings.encode_ms / 1e3
        spent["search"] += batch.timings.search_ms / 1e3
        marks.append(((marks[-1][0] if marks else 0) + len(images), _memory_mb()))
        return batch

    run = Launch.run

    def timed_run(self: Launch) -> Any:
        started = time.perf_counter()
        counts = run(self)
        spent["run"] = time.perf_counter() - started
        return counts

    Captioner.caption_batch = timed  # type: ignore[method-assign]
    Launch.run = timed_run  # type: ignore[method-assign]
    with tempfile.TemporaryDirectory() as folder:
        output = str(Path(folder) / "captions.jsonl")
        status = cli.main(["--input", *map(str, paths), "--output", output])
    if status:
        sys.exit(status)
    fifth = next(memory for done, memory in marks if done >= len(paths) / 5)
    seconds = {f"{part}_s": value for part, value in spent.items()}
    return {**seconds, "fifth_mb": fifth, "whole_mb": marks[-1][1]}


def _library(paths: list[Path]) -> dict[str, Any]:
    from beamcap import Caption, Captioner

    results = Captioner.load(batch_size=_BATCH_SIZE).caption(paths)
    return {"captions": [r.caption if isinstance(r, Caption) else None for r in results]}


def _script(paths: list[Path]) -> dict[str, Any]:
    from beamcap.bundle import Bundle
    from beamcap.cpu import available_cores

    from .script_peer import ScriptPeer

    peer = ScriptPeer(Bundle.find("beamcap-small").path, available_cores())
    captions = []
    for start in range(0, len(paths), _BATCH_SIZE):
        captions += peer.caption(paths[start : start + _BATCH_SIZE])
    return {"captions": captions}


def _memory_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


_CHILDREN = {"command": _command, "library": _library, "script": _script}

if __name__ == "__main__":
    main()
