"""The whole pipeline, from files to files, on every mode of the local runner."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from fakes import FailingHandler, FakeHandler, Folder

from beamcap import CaptionError, GenerationOptions, ImageInput
from beamcap.beam import (
    CaptionedImages,
    CaptionImages,
    CaptionModelHandler,
    ReadImages,
    WriteCaptions,
)
from beamcap.beam.launch import Launch, prepare
from beamcap.beam.pipeline import caption_files
from beamcap.beam.runner import choose_runner
from beamcap.beam.sinks import errors_path


def by_key(records: Iterable[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    listed = list(records)
    keyed = {record["key"]: record for record in listed}
    assert len(keyed) == len(listed)
    return keyed


def check(output: WriteCaptions, folder: Folder) -> None:
    """Every file of the folder has its own record, in one of the two files."""
    captions = by_key(output.read_captions())
    assert set(captions) == set(folder.captions)
    for key, caption in folder.captions.items():
        record = captions[key]
        candidates = [candidate._asdict() for candidate in caption.candidates]
        assert record == {**caption._asdict(), "candidates": candidates}
    errors = by_key(output.read_errors())
    assert {key: (e["stage"], e["reason"]) for key, e in errors.items()} == folder.errors
    assert all(set(error) == set(CaptionError._fields) for error in errors.values())
    assert all(error["uri"] == key and error["message"] for key, error in errors.items())


def launch(
    folder: Folder, output: WriteCaptions, *flags: str, handler: type[CaptionModelHandler]
) -> Launch:
    return prepare(
        choose_runner(flags),
        [folder.pattern],
        handler(batch_size=3),
        GenerationOptions(),
        output,
        max_image_bytes=1 << 20,
    )


@pytest.mark.parametrize(
    "flags",
    [
        (),
        ("--runner=DirectRunner", "--direct_num_workers=2"),
        ("--direct_running_mode=multi_threading", "--direct_num_workers=2"),
        ("--direct_running_mode=multi_processing", "--direct_num_workers=2"),
    ],
    ids=["default", "in_memory", "multi_threading", "multi_processing"],
)
def test_every_file_has_its_record(
    folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: tuple[str, ...]
) -> None:
    # What the workers of another process unpickle, they have to find.
    here = [str(Path(__file__).parent), str(Path(__file__).parents[2])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([*here, os.environ.get("PYTHONPATH", "")]))
    output = WriteCaptions(str(tmp_path / "captions.jsonl"))
    counts = launch(folder, output, *flags, handler=FakeHandler).run()
    assert counts[:2] == (len(folder.captions), len(folder.errors))
    check(output, folder)


def test_in_process_the_order_is_that_of_the_names(folder: Folder, tmp_path: Path) -> None:
    output = WriteCaptions(str(tmp_path / "captions.jsonl"))
    launch(folder, output, handler=FakeHandler).run()
    assert [record["key"] for record in output.read_captions()] == sorted(folder.captions)
    assert [record["key"] for record in output.read_errors()] == sorted(folder.errors)


def test_the_parts_chain(folder: Folder, tmp_path: Path, pipeline: beam.Pipeline) -> None:
    output = WriteCaptions(str(tmp_path / "captions.jsonl"))
    pipeline | ReadImages(folder.pattern) | CaptionImages(FakeHandler()) | output
    pipeline.run()
    check(output, folder)


def test_rows_may_cross_a_shuffle_between_processes(
    folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = [str(Path(__file__).parent), str(Path(__file__).parents[2])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([*here, os.environ.get("PYTHONPATH", "")]))
    runner = choose_runner(["--direct_running_mode=multi_processing", "--direct_num_workers=2"])
    output = WriteCaptions(str(tmp_path / "captions.jsonl"))
    images = [ImageInput(key, key, Path(key).read_bytes()) for key in folder.captions]
    unread = [CaptionError(key, key, *why, "a message") for key, why in folder.errors.items()]
    with beam.Pipeline(runner=runner.runner, options=runner.options) as pipeline:
        # One class a collection: that is coded by its schema, which does not name the class.
        captioned = pipeline | beam.Create(images) | beam.Reshuffle() | CaptionImages(FakeHandler())
        errors = pipeline | "Unread" >> beam.Create(unread)
        captions = captioned.captions | "ShuffleCaptions" >> beam.Reshuffle()
        CaptionedImages(captions, errors | "ShuffleErrors" >> beam.Reshuffle()) | output
    check(output, folder)


def test_images_never_cross_a_shuffle(monkeypatch: pytest.MonkeyPatch) -> None:
    stages: list[set[str]] = []
    create_stages = FnApiRunner.create_stages

    def spy(runner: FnApiRunner, proto: Any) -> Any:
        context, created = create_stages(runner, proto)
        stages.extend({t.unique_name for t in stage.transforms} for stage in created)
        return context, created

    monkeypatch.setattr(FnApiRunner, "create_stages", spy)
    pipeline = beam.Pipeline(runner=FnApiRunner())
    caption_files(
        pipeline,
        ["/nowhere/*"],
        CaptionModelHandler(),
        GenerationOptions(),
        WriteCaptions("captions.jsonl"),
        max_image_bytes=1,
    )
    pipeline.runner.create_stages(pipeline.to_runner_api())
    reading = [stage for stage in stages if "ReadImages/Read" in stage]
    assert len(reading) == 1
    for name in (
        "CaptionImages/RunInference/BeamML_RunInference",
        "WriteCaptions/WriteCaptions",
        "WriteCaptions/WriteErrors",
    ):
        assert name in reading[0], f"{name} is not fused with the reading"


def test_a_run_that_fails_writes_nothing(folder: Folder, tmp_path: Path) -> None:
    path = tmp_path / "captions.jsonl"
    path.write_text("of an earlier run\n")
    output = WriteCaptions(str(path))
    failing = launch(folder, output, handler=FailingHandler)
    with pytest.raises(RuntimeError, match="the machine is on fire"):
        failing.run()
    assert path.read_text() == "of an earlier run\n"
    assert not Path(errors_path(str(path))).exists()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["captions.jsonl", "images"]
