"""The command line: what it prints, what it ends with, what it finds out before any work."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import asdict, astuple
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from fakes import FakeCaptioner, Folder

from beamcap import Caption, Captioner, GenerationOptions
from beamcap.beam import CaptionModelHandler, launch
from beamcap.bundle import Bundle
from beamcap.cli import _caption_parser, main
from beamcap.decode import DEFAULT_MAX_IMAGE_BYTES, DEFAULT_MAX_IMAGE_PIXELS
from beamcap.options import OPTIONS

HERE = Path(__file__).parent
RUN_WITH_FAKE_MODEL = """
import sys
from fakes import FakeCaptioner
from beamcap.beam import CaptionModelHandler
from beamcap.decode import DEFAULT_MAX_IMAGE_BYTES, DEFAULT_MAX_IMAGE_PIXELS
from beamcap.cli import main
CaptionModelHandler.load_model = lambda handler: FakeCaptioner(seconds_a_batch=0.2)
sys.exit(main())
"""


def python(*arguments: str, **kwargs: Any) -> subprocess.Popen[str]:
    path = os.pathsep.join([str(HERE), str(HERE.parents[1]), os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen(
        [sys.executable, *arguments],
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **kwargs,
    )


@pytest.fixture
def no_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails the test if a pipeline runs."""

    def run(self: object) -> None:
        pytest.fail("the pipeline ran")

    monkeypatch.setattr(launch.Launch, "run", run)


def complaint(capsys: pytest.CaptureFixture[str]) -> str:
    """The one line on stderr, where nothing else was printed."""
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("beamcap: ") and err.count("\n") == 1, err
    return err


def test_a_run(
    folder: Folder, tmp_path: Path, fake_model: FakeCaptioner, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "captions.jsonl"
    assert main(["--input", folder.pattern, "--output", str(output)]) == 0
    out, err = capsys.readouterr()
    assert err == "", "no progress bar, no warnings where stderr is no terminal"
    rows = [line.split() for line in out.splitlines() if line.strip()]
    assert rows[0] == ["image", "caption", "score"]
    first = next(iter(folder.captions.values()))
    assert rows[2] == ["00.jpg", *first.caption.split(), "0.000"]
    assert ["07_folder.jpg", "read:", "is_directory"] in [row[:3] for row in rows]
    assert rows[-1][:5] == ["20", "images", "captioned,", "8", "failed,"]
    assert rows[-1][6] == "images/s," and rows[-1][8] == "s"
    assert len(output.read_text().splitlines()) == 20
    assert len(Path(f"{output}.errors.jsonl").read_text().splitlines()) == 8


@pytest.mark.parametrize(
    "options",
    [
        GenerationOptions(num_beams=2, max_new_tokens=8),
        GenerationOptions(
            num_beams=1,
            num_return_sequences=2,
            do_sample=True,
            seed=7,
            prompt="a dog",
            bad_words_ids=[[5, 7], [9]],
            stop_strings=[" on"],
            output_token_log_probs=True,
        ),
    ],
    ids=["beams", "sampling"],
)
def test_the_embedded_model_in_the_pipeline_captions_as_in_the_library(
    photos: dict[str, bytes],
    broken_files: dict[str, bytes],
    tmp_path: Path,
    options: GenerationOptions,
) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    for name, data in {**photos, **broken_files}.items():
        (folder / name).write_bytes(data)
    output = tmp_path / "captions.jsonl"
    given = {name: value for name, value in asdict(options).items() if value is not None}
    flags = [f"--{name}={_written(value)}" for name, value in given.items()]
    arguments = ["--input", f"{folder}/*", "--output", str(output), "--batch_size=3", *flags]
    assert main(arguments) == 0
    expected = Captioner.load().caption([str(folder / name) for name in sorted(photos)], options)
    records = [json.loads(line) for line in output.read_text().splitlines()]
    for record, caption in zip(records, expected, strict=True):
        assert isinstance(caption, Caption)
        candidates = [candidate._asdict() for candidate in caption.candidates]
        assert record == {**caption._asdict(), "candidates": candidates}


def test_only_the_first_captions_and_errors_are_shown(
    pictures: list[bytes],
    tmp_path: Path,
    fake_model: FakeCaptioner,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    for index, data in enumerate(pictures):
        (folder / f"{index:02}.jpg").write_bytes(data if index < 40 else data[:100])
    output = tmp_path / "captions.parquet"
    assert main(["--input", f"{folder}/*", "--output", str(output)]) == 0
    out = capsys.readouterr().out
    assert " 19.jpg " in out and " 20.jpg " not in out
    assert f"... and 20 more captions in {output}\n" in out
    assert " 49.jpg " in out and " 50.jpg " not in out
    assert f"... and 14 more errors in {output}.errors.jsonl\n" in out
    assert pq.read_table(output).num_rows == 40


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_sees_how_far_the_run_is(
    folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = FakeCaptioner(seconds_a_batch=0.1)
    monkeypatch.setattr(CaptionModelHandler, "load_model", lambda handler: slow)
    terminal = _Terminal()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", terminal)
        patch.setenv("TERM", "xterm")
        assert main(["--input", folder.pattern, "--output", str(tmp_path / "c.jsonl")]) == 0
    shown = terminal.getvalue()
    assert "captioning" in shown and "28/28" in shown


def test_what_is_printed_cannot_command_the_terminal(
    pictures: list[bytes],
    tmp_path: Path,
    fake_model: FakeCaptioner,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "\x1b[31m[bold]red.jpg").write_bytes(pictures[0])
    output = tmp_path / "captions.jsonl"
    assert main(["--input", f"{tmp_path}/*.jpg", "--output", str(output)]) == 0
    assert "\N{REPLACEMENT CHARACTER}[31m[bold]red.jpg" in capsys.readouterr().out


def test_generation_options_arrive(
    folder: Folder, tmp_path: Path, fake_model: FakeCaptioner
) -> None:
    output = tmp_path / "captions.jsonl"
    flags = ["--num_beams", "3", "--num_return_sequences", "2", "--output_token_log_probs"]
    assert main(["--input", folder.pattern, "--output", str(output), *flags]) == 0
    records = [json.loads(line) for line in output.read_text().splitlines()]
    assert {len(record["candidates"]) for record in records} == {2}
    assert {len(each["token_log_probs"]) for each in records[0]["candidates"]} == {3}


def test_every_generation_option_is_a_flag() -> None:
    given = GenerationOptions(
        num_beams=4,
        num_return_sequences=2,
        max_length=30,
        max_new_tokens=20,
        min_length=3,
        min_new_tokens=2,
        length_penalty=-1.5,
        early_stopping="never",
        repetition_penalty=1.2,
        no_repeat_ngram_size=3,
        sequence_bias=[[[5, 7], -2.5]],
        bad_words_ids=[[5, 7], [9]],
        forced_bos_token_id=1,
        forced_eos_token_id=[2, 3],
        exponential_decay_length_penalty=(10, 1.1),
        suppress_tokens=[5, 7],
        begin_suppress_tokens=[9],
        remove_invalid_values=True,
        renormalize_logits=True,
        stop_strings=[".", " and"],
        do_sample=True,
        temperature=0.7,
        top_k=40,
        top_p=0.9,
        min_p=0.05,
        typical_p=0.8,
        epsilon_cutoff=0.01,
        eta_cutoff=0.02,
        seed=7,
        prompt="a picture of",
        strip_prompt=True,
        output_token_log_probs=True,
    )
    assert None not in astuple(given), "every option is among them"
    flags = [f"--{name}={_written(value)}" for name, value in asdict(given).items()]
    args = _caption_parser().parse_args(["--input", "x", "--output", "y", *flags])
    assert GenerationOptions(**{name: getattr(args, name) for name in OPTIONS}) == given


def _written(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def test_a_switch_needs_no_value() -> None:
    flags = ["--do_sample", "--prompt", "a", "--strip_prompt=false", "--suppress_tokens", "5,7"]
    args = _caption_parser().parse_args(["--input", "x", "--output", "y", *flags])
    assert (args.do_sample, args.strip_prompt, args.suppress_tokens) == (True, False, [5, 7])


@pytest.mark.parametrize(
    ("flags", "configuration"),
    [
        ([], {"_model": "beamcap-small", "_batch_size": 8, "_max_image_pixels": 89_478_485}),
        (["--model=m", "--threads=3", "--batch_size=2"], {"_model": "m", "_threads": 3}),
        (["--max_image_pixels=9", "--max_image_bytes=8"], {"_max_image_pixels": 9}),
        (["--direct_running_mode=multi_threading", "--direct_num_workers=1000"], {"_threads": 1}),
    ],
)
def test_what_the_model_is_given(
    folder: Folder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    flags: list[str],
    configuration: dict[str, Any],
) -> None:
    seen = {}

    def load_model(handler: CaptionModelHandler) -> FakeCaptioner:
        seen.update(vars(handler))
        raise ValueError("seen")

    monkeypatch.setattr(CaptionModelHandler, "load_model", load_model)
    output = str(tmp_path / "captions.jsonl")
    assert main(["--input", folder.pattern, "--output", output, *flags]) == 2
    assert seen.items() >= configuration.items()


@pytest.mark.parametrize(("allowed", "status"), [("1.0", 0), ("0.3", 0), ("0.28", 3), ("0", 3)])
def test_more_failures_than_allowed(
    folder: Folder,
    tmp_path: Path,
    fake_model: FakeCaptioner,
    capsys: pytest.CaptureFixture[str],
    allowed: str,
    status: int,
) -> None:
    output = tmp_path / "captions.jsonl"
    flags = ["--max_error_ratio", allowed]
    assert main(["--input", folder.pattern, "--output", str(output), *flags]) == status
    assert output.exists(), "the captions are written either way"
    err = capsys.readouterr().err
    assert err == "" if status == 0 else "8 of 28 images failed" in err


def test_a_failing_pipeline_writes_nothing_and_ends_with_1(
    folder: Folder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    class Failing(FakeCaptioner):
        def caption_batch(self, *args: object) -> Any:
            raise RuntimeError("the machine is on fire")

    monkeypatch.setattr(CaptionModelHandler, "load_model", lambda handler: Failing())
    output = tmp_path / "captions.jsonl"
    assert main(["--input", folder.pattern, "--output", str(output)]) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("beamcap: the pipeline failed: RuntimeError: the machine is on fire")
    assert [path.name for path in tmp_path.iterdir()] == ["images"]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--num_beams=0"], "num_beams=0 is not allowed"),
        (["--num_beams=2", "--num_return_sequences=3"], "raise num_beams"),
        (["--max_length=1"], "max_length=1 leaves no token"),
        (["--bad_words_ids=[5]"], "bad_words_ids=[5] is not allowed"),
        (["--num_beam=3"], "--num_beam is not known: did you mean --num_beams?"),
        (["stray.jpg"], "unrecognized arguments: stray.jpg"),
        (["--streaming", "stray.jpg"], "unrecognized arguments: stray.jpg"),
        (["--direct_num_workers=-1"], "--direct_num_workers=-1 is not allowed"),
        (["--runner=DaskRunner"], "DaskRunner is refused"),
        (["--runner=NoSuchRunner"], "runner 'NoSuchRunner' cannot be used"),
        (["--format=parquet", "--output={folder}"], "is there and is not a file"),
        (["--output=captions.txt"], "cannot tell the format of 'captions.txt'"),
        (["--output=/proc/captions.jsonl"], "/proc/"),
        (["--output=nosuchscheme://bucket/captions.jsonl"], "nosuchscheme://bucket"),
    ],
)
def test_wrong_usage_is_found_before_any_work(
    folder: Folder,
    tmp_path: Path,
    fake_model: FakeCaptioner,
    no_work: None,
    capsys: pytest.CaptureFixture[str],
    flags: list[str],
    message: str,
) -> None:
    flags = [flag.format(folder=folder.path) for flag in flags]
    output = str(tmp_path / "captions.jsonl")
    assert main(["--input", folder.pattern, "--output", output, *flags]) == 2
    assert message in complaint(capsys)
    assert [path.name for path in tmp_path.iterdir()] == ["images"]


def test_a_model_with_a_missing_file(
    folder: Folder, tmp_path: Path, no_work: None, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tmp_path / "model"
    shutil.copytree(Bundle.find("beamcap-small").path, model)
    (model / "tokenizer.json").unlink()
    output = str(tmp_path / "captions.jsonl")
    assert main(["--input", folder.pattern, "--output", output, "--model", str(model)]) == 2
    assert complaint(capsys) == f"beamcap: model {model}: tokenizer.json is missing\n"


@pytest.mark.usefixtures("fake_model", "no_work")
def test_an_input_that_the_output_would_replace(
    tmp_path: Path, pictures: list[bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(pictures[0])
    arguments = ["--input", str(photo), "--output", str(photo), "--format", "jsonl"]
    assert main(arguments) == 2
    assert "would be overwritten" in complaint(capsys)
    assert photo.read_bytes() == pictures[0]


@pytest.mark.usefixtures("fake_model", "no_work")
def test_a_flag_that_is_almost_ours_is_refused_whatever_the_runner(
    folder: Folder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = str(tmp_path / "captions.jsonl")
    flags = ["--runner", "PortableRunner", "--num_beam=3", "--flag_of_a_job_server=1"]
    assert main(["--input", folder.pattern, "--output", output, *flags]) == 2
    assert "--num_beam is not known: did you mean --num_beams?" in complaint(capsys)


@pytest.mark.parametrize("pattern", ["none/*.jpg", "none.jpg"])
def test_an_input_that_matches_nothing(
    tmp_path: Path,
    fake_model: FakeCaptioner,
    no_work: None,
    capsys: pytest.CaptureFixture[str],
    pattern: str,
) -> None:
    given = str(tmp_path / pattern)
    assert main(["--input", given, "--output", str(tmp_path / "captions.jsonl")]) == 2
    assert f"no file matches --input {given}" in complaint(capsys)


def test_a_pattern_that_matches_nothing_beside_one_that_does(
    folder: Folder,
    tmp_path: Path,
    fake_model: FakeCaptioner,
    caplog: pytest.LogCaptureFixture,
) -> None:
    patterns = [folder.pattern, f"{tmp_path}/none/*.jpg", f"{tmp_path}/none.jpg"]
    output = tmp_path / "captions.jsonl"
    assert main(["--input", *patterns, "--output", str(output)]) == 0
    warnings = [f"no file matches --input {pattern}" for pattern in patterns[1:]]
    assert caplog.messages == warnings
    errors = map(json.loads, Path(f"{output}.errors.jsonl").read_text().splitlines())
    assert [e["reason"] for e in errors if e["key"] == patterns[2]] == ["not_found"]


@pytest.mark.parametrize(
    "verb", [["--input", "{input}", "--output", "{output}", "--model"], ["inspect"]]
)
def test_a_model_that_cannot_be_found(
    folder: Folder,
    tmp_path: Path,
    no_work: None,
    capsys: pytest.CaptureFixture[str],
    verb: list[str],
) -> None:
    output = str(tmp_path / "captions.jsonl")
    arguments = [word.format(input=folder.pattern, output=output) for word in verb]
    assert main([*arguments, str(tmp_path / "no-model")]) == 2
    assert "no-model' does not exist" in complaint(capsys)


def test_inspect(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", "beamcap-small"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    lines = [line.split() for line in out.splitlines()]
    assert lines[0][0].startswith("beamcap-small@")
    assert ["encode:", "encoder_model.onnx"] in lines
    pixels = ["pixel_values", "pixels", "float32", "[batch_size,", "3,", "224,", "224]"]
    assert ["input", *pixels] in lines
    assert ["size", "[224,", "224]"] in lines
    assert ["num_beams", "3"] in lines


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--input", "x"],
        ["--output", "x.jsonl"],
        ["--input", "--output", "x.jsonl"],
        ["--input", "x", "--output", "x.jsonl", "--batch_size", "0"],
        ["--input", "x", "--output", "x.jsonl", "--max_error_ratio", "1.1"],
        ["--input", "x", "--output", "x.jsonl", "--early_stopping", "maybe"],
        ["--input", "x", "--output", "x.jsonl", "--num_beams", "many"],
        ["--input", "x", "--output", "x.jsonl", "--do_sample", "maybe"],
        ["--input", "x", "--output", "x.jsonl", "--bad_words_ids", "red"],
        ["--input", "x", "--output", "x.jsonl", "--bad_words_ids", "[" * 100_000],
        ["--input", "x", "--output", "x.jsonl", "--format", "csv"],
        ["inspect"],
    ],
)
def test_arguments_that_cannot_be_parsed(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert "usage: python -m beamcap" in capsys.readouterr().err


@pytest.mark.parametrize("verb", [[], ["inspect"]])
def test_help_imports_nothing_heavy(verb: list[str]) -> None:
    script = (
        "import sys; from beamcap.cli import main; status = main(sys.argv[1:]);"
        "heavy = {'apache_beam', 'onnxruntime', 'cv2', 'numpy', 'PIL', 'beamcap._core', 'rich'};"
        "sys.exit(status or ' '.join(heavy & set(sys.modules)) or 0)"
    )
    process = python("-c", script, *verb, "--help")
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert out.startswith("usage: python -m beamcap")


def test_help_tells_the_limits() -> None:
    text = " ".join(_caption_parser().format_help().split())
    assert f"pixel is decoded; default: {DEFAULT_MAX_IMAGE_PIXELS:,}" in text
    assert f"of the encoded image; default: {DEFAULT_MAX_IMAGE_BYTES:,}" in text


@pytest.fixture
def running(pictures: list[bytes], tmp_path: Path) -> subprocess.Popen[str]:
    """A command line that has begun to write tmp_path / "captions.jsonl"."""
    folder = tmp_path / "images"
    folder.mkdir()
    for index in range(500):
        (folder / f"{index}.jpg").write_bytes(pictures[index % 64])
    output = tmp_path / "captions.jsonl"
    output.write_text("of an earlier run\n")
    arguments = ["--input", f"{folder}/*", "--output", str(output)]
    process = python("-c", RUN_WITH_FAKE_MODEL, *arguments)
    deadline = time.monotonic() + 60
    while not any(part.name != "probe" for part in tmp_path.glob(".captions.jsonl.*/*")):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.05)
    return process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_leaves_nothing(
    running: subprocess.Popen[str], tmp_path: Path, number: signal.Signals
) -> None:
    running.send_signal(number)
    out, err = running.communicate(timeout=60)
    assert running.returncode == 128 + number
    assert out == "" and "Traceback" not in err
    assert err.splitlines()[-1] == "beamcap: interrupted"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["captions.jsonl", "images"]
    assert (tmp_path / "captions.jsonl").read_text() == "of an earlier run\n"


def test_a_killed_run_leaves_what_was_there(running: subprocess.Popen[str], tmp_path: Path) -> None:
    running.kill()
    running.communicate(timeout=60)
    assert (tmp_path / "captions.jsonl").read_text() == "of an earlier run\n"
    assert not (tmp_path / "captions.jsonl.errors.jsonl").exists()
