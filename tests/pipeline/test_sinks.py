"""WriteCaptions: exact records, and no file under its name that is not complete."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow.parquet as pq
import pytest
from apache_beam.io.filesystems import FileSystems
from apache_beam.transforms.window import FixedWindows, TimestampedValue

from beamcap import Candidate, Caption, CaptionError
from beamcap.beam import CaptionedImages, WriteCaptions
from beamcap.beam.formats import CAPTION_SCHEMA, FORMATS, JSON_LINES
from beamcap.beam.sinks import _Publish, _WritePart, check_writable

CANDIDATES = [
    Candidate("ein Bär\n— 🐻", -0.125, [5, 7, 2], "eos", 0.75, False, [-0.25, -0.5, 0.0]),
    Candidate("", -2.5, [], "length", 0.5, True, []),
]
CAPTIONS = [
    Caption("k1", "gs://b/ü.jpg", *CANDIDATES[0], CANDIDATES, "m@1", 640, 427, {"row": "7"}),
    Caption("k2", "2.jpg", "a dog", -1.1, [9, 2], "eos", 0.1, False, [], [], "m@1", 1, 2),
]
ERRORS = [CaptionError("k3", "3.jpg", "decode", "truncated", "es fehlt ein Stück", 2, {"a": "b"})]

RECORDS = [
    {
        "uri": "gs://b/ü.jpg",
        "key": "k1",
        "caption": "ein Bär\n— 🐻",
        "score": -0.125,
        "finish_reason": "eos",
        "confidence": 0.75,
        "repetition": False,
        "candidates": [
            {
                "caption": "ein Bär\n— 🐻",
                "score": -0.125,
                "finish_reason": "eos",
                "confidence": 0.75,
                "repetition": False,
                "token_ids": [5, 7, 2],
                "token_log_probs": [-0.25, -0.5, 0.0],
            },
            {
                "caption": "",
                "score": -2.5,
                "finish_reason": "length",
                "confidence": 0.5,
                "repetition": True,
                "token_ids": [],
                "token_log_probs": [],
            },
        ],
        "token_ids": [5, 7, 2],
        "token_log_probs": [-0.25, -0.5, 0.0],
        "model_id": "m@1",
        "width": 640,
        "height": 427,
        "metadata": {"row": "7"},
    },
    {
        "uri": "2.jpg",
        "key": "k2",
        "caption": "a dog",
        "score": -1.1,
        "finish_reason": "eos",
        "confidence": 0.1,
        "repetition": False,
        "candidates": [],
        "token_ids": [9, 2],
        "token_log_probs": [],
        "model_id": "m@1",
        "width": 1,
        "height": 2,
        "metadata": {},
    },
]
ERROR_RECORDS = [
    {
        "key": "k3",
        "uri": "3.jpg",
        "stage": "decode",
        "reason": "truncated",
        "message": "es fehlt ein Stück",
        "attempts": 2,
        "metadata": {"a": "b"},
    }
]


def write(
    pipeline: beam.Pipeline,
    path: Path,
    captions: list[Caption],
    errors: list[CaptionError],
    format: str | None = None,
) -> None:
    captioned = CaptionedImages(
        pipeline | "Captions" >> beam.Create(captions, reshuffle=False),
        pipeline | "Errors" >> beam.Create(errors, reshuffle=False),
    )
    captioned | WriteCaptions(str(path), format=format)
    pipeline.run()


def lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_bytes().decode("utf-8").splitlines()]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_record_of_a_caption_holds_all_of_it() -> None:
    assert set(CAPTION_SCHEMA.names) == set(Caption._fields)
    candidate = CAPTION_SCHEMA.field("candidates").type.value_type
    assert {field.name for field in candidate} == set(Candidate._fields)


def test_json_lines(pipeline: beam.Pipeline, tmp_path: Path) -> None:
    write(pipeline, tmp_path / "captions.jsonl", CAPTIONS, ERRORS)
    assert names(tmp_path) == ["captions.jsonl", "captions.jsonl.errors.jsonl"]
    written = lines(tmp_path / "captions.jsonl")
    assert written == RECORDS
    assert [list(record) for record in written] == [CAPTION_SCHEMA.names] * 2
    assert lines(tmp_path / "captions.jsonl.errors.jsonl") == ERROR_RECORDS
    # As it reads, not as escapes.
    assert "Bär\\n— 🐻".encode() in (tmp_path / "captions.jsonl").read_bytes()


def test_parquet(pipeline: beam.Pipeline, tmp_path: Path) -> None:
    write(pipeline, tmp_path / "captions.parquet", CAPTIONS, ERRORS)
    assert names(tmp_path) == ["captions.parquet", "captions.parquet.errors.jsonl"]
    table = pq.read_table(tmp_path / "captions.parquet")
    assert table.schema.equals(CAPTION_SCHEMA)
    pairs = [{**record, "metadata": list(record["metadata"].items())} for record in RECORDS]
    assert table.to_pylist() == pairs
    assert lines(tmp_path / "captions.parquet.errors.jsonl") == ERROR_RECORDS


def test_the_format_may_be_named(pipeline: beam.Pipeline, tmp_path: Path) -> None:
    write(pipeline, tmp_path / "captions", CAPTIONS, [], "parquet")
    assert pq.read_table(tmp_path / "captions").num_rows == 2


@pytest.mark.parametrize("path", ["captions", "jsonl", "captions.txt", "folder.jsonl/captions"])
def test_an_unknown_format_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match=r"\.jsonl, \.parquet"):
        WriteCaptions(path)
    with pytest.raises(ValueError, match="'csv' is not known: allowed are jsonl, parquet"):
        WriteCaptions("captions.jsonl", format="csv")


@pytest.mark.parametrize("name", FORMATS)
def test_without_captions_and_errors_both_files_are_there_and_empty(
    pipeline: beam.Pipeline, tmp_path: Path, name: str
) -> None:
    path = tmp_path / f"captions.{name}"
    write(pipeline, path, [], [])
    assert names(tmp_path) == [path.name, f"{path.name}.errors.jsonl"]
    assert list(WriteCaptions(str(path)).read_captions()) == []
    assert (tmp_path / f"{path.name}.errors.jsonl").read_bytes() == b""


def test_a_run_replaces_the_files_of_the_last(pipeline: beam.Pipeline, tmp_path: Path) -> None:
    for name in ("captions.jsonl", "captions.jsonl.errors.jsonl"):
        (tmp_path / name).write_text("stale\n" * 1000)
    write(pipeline, tmp_path / "captions.jsonl", CAPTIONS[:1], [])
    assert lines(tmp_path / "captions.jsonl") == RECORDS[:1]
    assert (tmp_path / "captions.jsonl.errors.jsonl").read_bytes() == b""


def test_a_path_with_wildcards_in_its_name(pipeline: beam.Pipeline, tmp_path: Path) -> None:
    folder = tmp_path / "run [1]*"
    check_writable(str(folder / "captions?.jsonl"))
    assert names(folder) == []
    write(pipeline, folder / "captions?.jsonl", CAPTIONS, ERRORS)
    assert names(folder) == ["captions?.jsonl", "captions?.jsonl.errors.jsonl"]
    assert lines(folder / "captions?.jsonl") == RECORDS


def test_a_folder_whose_name_is_no_unicode(pipeline: beam.Pipeline, tmp_path: Path) -> None:
    folder = tmp_path / "caf\udce9"
    write(pipeline, folder / "captions.jsonl", CAPTIONS, ERRORS)
    assert names(folder) == ["captions.jsonl", "captions.jsonl.errors.jsonl"]
    assert lines(folder / "captions.jsonl") == RECORDS


@pytest.mark.parametrize("name", FORMATS)
def test_the_parts_of_many_bundles_are_joined(
    pipeline: beam.Pipeline, tmp_path: Path, name: str
) -> None:
    path = tmp_path / f"captions.{name}"
    sink = WriteCaptions(str(path))
    parts = list(_parts(sink, [CAPTIONS[:1], CAPTIONS[1:], CAPTIONS]))
    publish = _Publish(sink.staging, [(sink.path, sink.format)])
    assert list(publish.process(None, parts)) == [str(path)]
    found = sorted((record["key"], record["caption"]) for record in sink.read_captions())
    assert found == sorted((caption.key, caption.caption) for caption in CAPTIONS * 2)
    assert names(tmp_path) == [path.name]


def _parts(sink: WriteCaptions, bundles: list[list[Caption]]) -> Iterator[str]:
    for bundle in bundles:
        write_part = _WritePart(sink.staging, sink.format)
        write_part.start_bundle()
        for caption in bundle:
            write_part.process(caption)
        yield from (value.value for value in write_part.finish_bundle())


@pytest.mark.parametrize("fails_at", [0, 1])
def test_publishing_may_be_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails_at: int
) -> None:
    sink = WriteCaptions(str(tmp_path / "captions.jsonl"))
    parts = [list(_parts(sink, [CAPTIONS[:1]])), list(_parts(sink, [CAPTIONS[1:]]))]
    files = [(str(tmp_path / "1.jsonl"), JSON_LINES), (str(tmp_path / "2.jsonl"), JSON_LINES)]
    publish = _Publish(sink.staging, files)
    renamed = []
    rename = FileSystems.rename

    def failing(source: list[str], destination: list[str]) -> None:
        if len(renamed) == fails_at:
            raise OSError("the disk is gone")
        renamed.append(destination)
        rename(source, destination)

    with monkeypatch.context() as patch:
        patch.setattr(FileSystems, "rename", failing)
        with pytest.raises(OSError, match="the disk is gone"):
            list(publish.process(None, *parts))
    assert len([name for name in names(tmp_path) if name.endswith(".jsonl")]) == fails_at
    for _ in range(2):  # the second time as if the runner had not heard of the first
        list(publish.process(None, *parts))
        assert names(tmp_path) == ["1.jsonl", "2.jsonl"]
        assert lines(tmp_path / "1.jsonl") == RECORDS[:1]
        assert lines(tmp_path / "2.jsonl") == RECORDS[1:]


def test_windows_do_not_matter(pipeline: beam.Pipeline, tmp_path: Path) -> None:
    stamped = [TimestampedValue(caption, 100 * at) for at, caption in enumerate(CAPTIONS)]
    captions = (
        pipeline
        | "Captions" >> beam.Create(stamped, reshuffle=False).with_output_types(TimestampedValue)
        | beam.Map(lambda value: value)
        | beam.WindowInto(FixedWindows(10))
    )
    errors = pipeline | "Errors" >> beam.Create(ERRORS)
    CaptionedImages(captions, errors) | WriteCaptions(str(tmp_path / "captions.jsonl"))
    pipeline.run()
    assert lines(tmp_path / "captions.jsonl") == RECORDS


def test_an_unbounded_input_is_refused(pipeline: beam.Pipeline, tmp_path: Path) -> None:
    captions = pipeline | "Captions" >> beam.Create(CAPTIONS)
    captions.is_bounded = False
    errors = pipeline | "Errors" >> beam.Create(ERRORS)
    with pytest.raises(ValueError, match="unbounded"):
        CaptionedImages(captions, errors) | WriteCaptions(str(tmp_path / "captions.jsonl"))


def test_half_a_surrogate_pair_is_written_as_json_escapes_it(tmp_path: Path) -> None:
    with (tmp_path / "x").open("wb") as stream:
        JSON_LINES.writer(stream).write({"caption": "ü\udcff"})
    assert (tmp_path / "x").read_bytes() == '{"caption": "ü\\udcff"}\n'.encode()
    assert lines(tmp_path / "x") == [{"caption": "ü\udcff"}]


def test_an_output_that_cannot_be_written_is_found_out(tmp_path: Path) -> None:
    check_writable(str(tmp_path / "new" / "folder" / "captions.jsonl"))
    (tmp_path / "folder.jsonl").mkdir()
    (tmp_path / "x.jsonl.errors.jsonl").mkdir()
    (tmp_path / "file").touch()
    for path in ("folder.jsonl", "x.jsonl"):
        with pytest.raises(FileExistsError, match="is there and is not a file"):
            check_writable(str(tmp_path / path))
    with pytest.raises(FileExistsError, match="/dev/null is there"):
        check_writable("/dev/null")
    with pytest.raises(OSError):
        check_writable(str(tmp_path / "file" / "captions.jsonl"))
    with pytest.raises(ValueError, match="nosuchscheme"):
        check_writable("nosuchscheme://bucket/captions.jsonl")
    assert names(tmp_path) == ["file", "folder.jsonl", "new", "x.jsonl.errors.jsonl"]
