"""Which runner a command line gets, and how its workers share this machine."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import NamedTuple

from apache_beam.options.pipeline_options import (
    DirectOptions,
    PipelineOptions,
    StandardOptions,
    WorkerOptions,
    _BeamArgumentParser,
)
from apache_beam.portability.api import beam_provision_api_pb2
from apache_beam.runners.portability.fn_api_runner import fn_runner
from apache_beam.runners.portability.portable_runner import JobServiceHandle
from apache_beam.runners.runner import PipelineRunner, create_runner

from ..cpu import available_cores

_LOCAL = ("direct", "directrunner", "fnapirunner")
_REFUSED = ("dask", "daskrunner")


class Runner(NamedTuple):
    """Where a pipeline will run."""

    runner: PipelineRunner
    options: PipelineOptions
    local: bool
    """On this machine, as the direct runner."""
    in_process: bool
    """In this very process, so that it shares the model and its progress can be seen."""
    threads: int | None
    """Cores for each worker's model; None where its machine is not this one."""


def choose_runner(flags: Sequence[str], own_flags: Sequence[str] = ()) -> Runner:
    """The runner that Beam's flags ask for: the in-process one unless another is named.

    Beam's own DirectRunner first tries Prism, which it may have to download; this never does.

    Args:
        flags: what the command line did not know itself.
        own_flags: what it knows: what differs little from one of these is a slip.

    Raises:
        ValueError: a runner that is unknown or refused, or a flag that nobody knows.
    """
    options = PipelineOptions(flags)
    name = options.view_as(StandardOptions).runner or "DirectRunner"
    short_name = name.rpartition(".")[2].lower()
    if short_name in _REFUSED:
        raise ValueError(
            "DaskRunner is refused: it mixes up the outputs of a step that has several, and would "
            "write errors as captions; choose another runner"
        )
    unknown = _unknown_arguments(flags)
    _refuse_slips(unknown, own_flags)
    if short_name not in _LOCAL:
        # Such a runner may have flags of its own, which only its job server declares.
        return Runner(_create_runner(name), options, local=False, in_process=False, threads=None)
    if unknown:
        raise ValueError(f"unrecognized arguments: {' '.join(unknown)}")
    return _local_runner(options)


def _local_runner(options: PipelineOptions) -> Runner:
    direct = options.view_as(DirectOptions)
    if direct.direct_num_workers < 0:
        raise ValueError(
            f"--direct_num_workers={direct.direct_num_workers} is not allowed: give a number of "
            "workers, or 0 for one a core"
        )
    # For 0 Beam would count the machine's cores, and not those that the container has.
    direct.direct_num_workers = direct.direct_num_workers or available_cores()
    # Workers in other processes print all that they log, and by default they log every step.
    workers = options.view_as(WorkerOptions)
    workers.default_sdk_harness_log_level = workers.default_sdk_harness_log_level or "ERROR"
    # What Beam's DirectRunner does to hand the options to workers in other processes.
    encoded = JobServiceHandle.encode_pipeline_options(options.get_all_options())
    provision_info = fn_runner.ExtendedProvisionInfo(
        beam_provision_api_pb2.ProvisionInfo(pipeline_options=encoded)
    )
    return Runner(
        fn_runner.FnApiRunner(provision_info=provision_info),
        options,
        local=True,
        in_process=direct.direct_running_mode != "multi_processing",
        threads=max(1, available_cores() // direct.direct_num_workers),
    )


def _create_runner(name: str) -> PipelineRunner:
    try:
        return create_runner(name)
    except (AttributeError, ImportError, ValueError) as error:
        raise ValueError(f"runner {name!r} cannot be used: {error}") from error


def _refuse_slips(unknown: Sequence[str], own_flags: Sequence[str]) -> None:
    for argument in unknown:
        flag = argument.partition("=")[0]
        for meant in difflib.get_close_matches(flag, own_flags, n=1, cutoff=0.8):
            raise ValueError(f"{flag} is not known: did you mean {meant}?")


def _unknown_arguments(flags: Sequence[str]) -> list[str]:
    # Beam only logs what it does not know, and goes on without it. Its own parser is private, but
    # no other knows all of its flags.
    parser = _BeamArgumentParser(allow_abbrev=False, add_help=False)
    for group in PipelineOptions.__subclasses__():
        group._add_argparse_args(parser)
    _, unknown = parser.parse_known_args(flags)
    return list(unknown)
