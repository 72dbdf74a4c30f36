"""Breaks the search on purpose, one small change at a time, and expects its tests to notice.

    python tests/mutation/run.py [--work FOLDER] [WORD ...]

Needs cmake, ninja and GoogleTest. Prints each mutant with the test that kills it, and fails if one
survives, no longer fits the source, or does not compile. WORDs pick mutants by their names; a
FOLDER of one's own keeps what is built for the next time.
"""

from __future__ import annotations

import argparse
import re
import resource
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[2]
CPU_SECONDS = 60
"""For the tests of a mutant, which may well run for ever."""


class Mutant(NamedTuple):
    """A small change of the source that a test must notice."""

    name: str
    """The step or rule that it breaks, and how."""
    file: str
    """Below csrc/search."""
    old: str
    new: str


class MutationError(Exception):
    """What keeps a mutant from being judged."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, help="where to build; default: a temporary folder")
    parser.add_argument("words", nargs="*", metavar="WORD", help="default: all mutants")
    args = parser.parse_args()
    mutants = read_mutants(Path(__file__).with_name("mutants.txt"))
    chosen = [m for m in mutants if not args.words or any(word in m.name for word in args.words)]
    with tempfile.TemporaryDirectory() as temporary:
        work = args.work or Path(temporary)
        prepare(work)
        if killer := build_and_test(work):
            sys.exit(f"without any mutant, {killer} fails")
        failures = [mutant.name for mutant in chosen if not judge(work, mutant)]
    print(f"{len(chosen) - len(failures)} of {len(chosen)} mutants killed")
    return len(failures) > 0


def read_mutants(path: Path) -> list[Mutant]:
    """Reads what mutants.txt describes."""
    _, *blocks = path.read_text().strip().split("\n\n")
    mutants = []
    for block in blocks:
        head, *lines = block.splitlines()
        name, file = head.split(" | ")
        old, new = ("\n".join(line[2:] for line in lines if line[0] == sign) for sign in "-+")
        mutants.append(Mutant(name, file, old, new))
    return mutants


def prepare(work: Path) -> None:
    """Copies the sources, so that no mutant gets into the checkout."""
    sources = [*(ROOT / "csrc/search").iterdir(), *(ROOT / "csrc/tests").glob("*.*")]
    copies = {work / path.relative_to(ROOT): path for path in sources}
    copies[work / "CMakeLists.txt"] = Path(__file__).with_name("CMakeLists.txt")
    for copy, path in copies.items():
        copy.parent.mkdir(parents=True, exist_ok=True)
        if not copy.exists() or copy.read_bytes() != path.read_bytes():  # else it is built already
            copy.write_bytes(path.read_bytes())
    command = ["cmake", "-S", work, "-B", work / "build", "-G", "Ninja"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def judge(work: Path, mutant: Mutant) -> bool:
    """Whether a test fails on the mutant."""
    try:
        with applied(work / "csrc/search" / mutant.file, mutant):
            killer = build_and_test(work)
    except MutationError as error:
        verdict, killed = f"cannot be judged: {error}", False
    else:
        verdict, killed = f"killed by {killer}" if killer else "SURVIVES", bool(killer)
    print(f"{mutant.name:80}{verdict}", flush=True)
    return killed


@contextmanager
def applied(file: Path, mutant: Mutant) -> Iterator[None]:
    """The file with the mutant in it, for a while."""
    source = file.read_text()
    if (count := source.count(mutant.old)) != 1:
        raise MutationError(f"{mutant.file} holds what it changes {count} times")
    file.write_text(source.replace(mutant.old, mutant.new))
    try:
        yield
    finally:
        file.write_text(source)


def build_and_test(work: Path) -> str | None:
    """Names the first test that fails, None if all pass."""
    build = run(["ninja", "-C", work / "build", "search_tests"])
    if build.returncode != 0:
        raise MutationError(f"it does not compile\n{build.stdout}")
    command = [work / "build/search_tests", "--gtest_fail_fast", "--gtest_brief=1"]
    tests = run(command, preexec_fn=limit_cpu_time)
    if tests.returncode == 0:
        return None
    if tests.returncode == -signal.SIGXCPU:
        return "the time limit"
    failed = re.search(r"\[  FAILED  \] (\S+)", tests.stdout)
    return failed[1] if failed else f"a crash ({tests.returncode})"


def limit_cpu_time() -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS + 1))


def run(command: list[str | Path], **more: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        **more,
    )


if __name__ == "__main__":
    sys.exit(main())
