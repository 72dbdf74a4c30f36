"""The runtime against NumPy, over every form of bundle that it understands."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from tiny_reference import RecurrentReference, TransformerReference, encode, read_weights

from beamcap import _core
from beamcap.ort_library import load_onnxruntime

DATA = Path(__file__).parent.parent / "data"
TINY = DATA / "tiny"
FORMS = ("split", "merged", "no_cache", "half", "external", "gpt2", "recurrent")
EOS = 2
HALF_TOLERANCE = 2e-2

Change = Callable[[onnx.GraphProto], None]


@pytest.fixture(scope="session", autouse=True)
def _onnxruntime() -> None:
    load_onnxruntime()


def load(folder: Path, threads: int = 1) -> _core.Model:
    merged, with_past = (
        folder / f"{name}.onnx" for name in ("decoder_model_merged", "decoder_with_past_model")
    )
    decoder = merged if merged.exists() else folder / "decoder_model.onnx"
    return _core.Model(
        str(folder / "encoder_model.onnx"),
        str(decoder),
        str(with_past) if with_past.exists() else None,
        intra_op_threads=threads,
    )


def images(count: int, seed: int = 3) -> np.ndarray:
    random = np.random.default_rng(seed)
    return (random.normal(size=(count, 3, 4, 4)) * 1.5).astype(np.float32)


def options(**given: object) -> _core.Options:
    return _core.Options(**{"max_length": 14, "eos_token_ids": [EOS], **given})


def hypotheses(results: list[_core.ImageResult]) -> list[list[tuple[list[int], float, str]]]:
    assert not any(result.error for result in results)
    return [
        [
            (hypothesis.tokens, hypothesis.score, hypothesis.finish_reason)
            for hypothesis in result.hypotheses
        ]
        for result in results
    ]


def assert_same(found: list, expected: list, tolerance: float = 1e-4) -> None:
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert [(tokens, reason) for tokens, _, reason in one] == [
            (tokens, reason) for tokens, _, reason in other
        ]
        assert [score for _, score, _ in one] == pytest.approx(
            [score for _, score, _ in other], rel=tolerance
        )


SEARCHES = {
    "greedy": {},
    "beams": {"num_beams": 4, "num_return_sequences": 3},
    "beams to the end": {"num_beams": 3, "early_stopping": "never", "length_penalty": 2.0},
    "first beams": {"num_beams": 3, "early_stopping": True, "no_repeat_ngram_size": 2},
}


def reference(form: str, pixel_values: np.ndarray) -> _core.Decoder:
    if form == "recurrent":
        return RecurrentReference(read_weights(TINY / form), pixel_values)
    return TransformerReference(read_weights(TINY / "split"), pixel_values)


FLOAT32_FORMS = [form for form in FORMS if form != "half"]
# The recurrent graph takes one token at a time.
PROMPTS = [(form, [1]) for form in FLOAT32_FORMS] + [
    (form, [1, 7, 3]) for form in FLOAT32_FORMS if form != "recurrent"
]


@pytest.mark.parametrize("search", SEARCHES)
@pytest.mark.parametrize(("form", "prompt"), PROMPTS)
def test_captions_are_those_of_numpy(form: str, search: str, prompt: list[int]) -> None:
    pixel_values, chosen = images(12), options(**SEARCHES[search])
    generated = load(TINY / form).generate(pixel_values, prompt, chosen)
    expected = _core.search(reference(form, pixel_values), len(pixel_values), prompt, chosen)
    assert_same(hypotheses(generated.results), hypotheses(expected))


@pytest.mark.parametrize("beams", [1, 4])
def test_float16_captions_are_nearly_those_of_numpy(beams: int) -> None:
    pixel_values, chosen = images(12), options(num_beams=beams)
    generated = load(TINY / "half").generate(pixel_values, [1], chosen)
    expected = _core.search(reference("half", pixel_values), len(pixel_values), [1], chosen)
    assert_same(hypotheses(generated.results), hypotheses(expected), HALF_TOLERANCE)


def test_caches_that_no_graph_takes_are_left_alone(tmp_path: Path) -> None:
    (copy_of("split", tmp_path) / "decoder_with_past_model.onnx").unlink()
    pixel_values, chosen = images(5), options(num_beams=3)
    model = load(tmp_path)
    assert model.describe()[1]["role"] == "step without a cache"
    found = model.generate(pixel_values, [1], chosen)
    expected = load(TINY / "split").generate(pixel_values, [1], chosen)
    assert_same(hypotheses(found.results), hypotheses(expected.results))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("beams", [1, 4])
def test_a_caption_does_not_depend_on_its_batch(form: str, beams: int) -> None:
    model, pixel_values, chosen = load(TINY / form), images(16), options(num_beams=beams)
    together = hypotheses(model.generate(pixel_values, [1], chosen).results)
    for size in (1, 3, 8):
        parts = [pixel_values[start : start + size] for start in range(0, 16, size)]
        found = [
            result
            for part in parts
            for result in hypotheses(model.generate(part, [1], chosen).results)
        ]
        assert_same(found, together, HALF_TOLERANCE if form == "half" else 1e-5)
    backwards = model.generate(np.ascontiguousarray(pixel_values[::-1]), [1], chosen)
    assert_same(
        hypotheses(backwards.results)[::-1], together, HALF_TOLERANCE if form == "half" else 1e-5
    )


def test_the_encoder_alone() -> None:
    pixel_values = images(3)
    states = load(TINY / "split").encode(pixel_values)
    assert list(states) == ["encoder_hidden_states"]
    expected = encode(read_weights(TINY / "split"), pixel_values)
    np.testing.assert_allclose(states["encoder_hidden_states"], expected, rtol=1e-5, atol=1e-6)
    halves = load(TINY / "half").encode(pixel_values)["encoder_hidden_states"]
    assert halves.dtype == np.float32
    np.testing.assert_allclose(halves, expected, atol=1e-2)


def test_finished_images_leave_and_the_search_ends_with_the_last() -> None:
    model, chosen = load(TINY / "split"), options()
    alone = [model.generate(image[None], [1], chosen) for image in images(12)]
    steps = [generated.steps for generated in alone]
    lengths = [len(generated.results[0].hypotheses[0].tokens) for generated in alone]
    assert len(set(lengths)) > 1
    assert steps == lengths
    assert model.generate(images(12), [1], chosen).steps == max(steps)


def test_a_model_serves_several_threads_at_once() -> None:
    model, chosen = load(TINY / "merged", threads=2), options(num_beams=3)
    batches = [images(1 + seed % 5, seed) for seed in range(24)]
    expected = [hypotheses(model.generate(batch, [1], chosen).results) for batch in batches]
    with ThreadPoolExecutor(6) as pool:
        found = list(
            pool.map(lambda batch: hypotheses(model.generate(batch, [1], chosen).results), batches)
        )
    for one, other in zip(found, expected, strict=True):
        assert_same(one, other, 1e-6)


def test_it_tells_what_its_graphs_mean() -> None:
    model = load(TINY / "gpt2")
    assert model.vocab_size == 13
    assert model.pixel_shape == (3, 4, 4)
    encoder, decoder = model.describe()
    assert encoder["role"] == "encode"
    assert encoder["path"] == str(TINY / "gpt2/encoder_model.onnx")
    assert encoder["inputs"] == [
        {
            "name": "pixel_values",
            "meaning": "pixels",
            "type": "float32",
            "shape": ["batch_size", 3, 4, 4],
        }
    ]
    assert decoder["role"] == "step"
    assert {port["name"]: port["meaning"] for port in decoder["inputs"]} == {
        "input_ids": "tokens",
        "encoder_hidden_states": "state encoder_hidden_states",
        "encoder_attention_mask": "encoder attention mask",
        "attention_mask": "attention mask",
        "position_ids": "positions",
        "past_key_values.0.key": "state 0.key",
        "past_key_values.0.value": "state 0.value",
    }
    roles = {
        form: [graph["role"] for graph in load(TINY / form).describe()]
        for form in ("split", "no_cache")
    }
    assert roles == {
        "split": ["encode", "first step", "later steps"],
        "no_cache": ["encode", "step without a cache"],
    }


@pytest.mark.parametrize(
    ("pixel_values", "message"),
    [
        (np.zeros((0, 3, 4, 4), np.float32), r"shape \[0, 3, 4, 4\].*one image or more"),
        (np.zeros((1, 1, 4, 4), np.float32), r"shape \[1, 1, 4, 4\] do not fit.*pixel_values"),
        (np.zeros((1, 3, 4, 5), np.float32), r"\[batch_size, 3, 4, 4\]"),
        (np.zeros((3, 4, 4), np.float32), r"shape \[3, 4, 4\]"),
        (np.zeros((1, 3, 4, 4), np.float64), "must be float32, not float64"),
        (np.zeros((1, 3, 4, 4), ">f4"), "must be float32"),
        (np.zeros((2, 3, 4, 8), np.float32)[..., ::2], "C-contiguous"),
        (np.zeros((1, 4, 4, 3), np.float32).transpose(0, 3, 1, 2), "C-contiguous"),
        (np.zeros(193, np.uint8)[1:].view(np.float32).reshape(1, 3, 4, 4), "aligned"),
    ],
)
def test_pixels_of_another_shape_are_refused(pixel_values: np.ndarray, message: str) -> None:
    model = load(TINY / "split")
    with pytest.raises(ValueError, match=message):
        model.generate(pixel_values, [1], options())
    with pytest.raises(ValueError, match=message):
        model.encode(pixel_values)


@pytest.mark.parametrize(
    ("prompt", "given", "message"),
    [
        ([], {}, "prompt is empty"),
        ([-1], {}, "prompt token is -1"),
        ([1, 13], {}, "token 13 is not in the vocabulary of 13"),
        ([1], {"eos_token_ids": [13]}, "eos_token_ids"),
        ([1], {"num_beams": 0}, "num_beams"),
        ([1, 1], {"max_length": 2}, "max_length"),
    ],
)
def test_a_search_that_cannot_be_is_refused(
    prompt: list[int], given: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        load(TINY / "split").generate(images(1), prompt, options(**given))


def test_threads_must_be_positive() -> None:
    with pytest.raises(ValueError, match="intra_op_threads=0"):
        load(TINY / "split", threads=0)


def test_another_library_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="cannot load ONNX Runtime"):
        _core.load_onnxruntime(str(tmp_path / "libonnxruntime.so"))


def test_the_models_are_those_of_their_maker(tmp_path: Path) -> None:
    subprocess.run([sys.executable, DATA / "make_tiny_models.py", tmp_path], check=True)
    made = {path.relative_to(tmp_path) for path in tmp_path.rglob("*.*")}
    assert made == {path.relative_to(TINY) for path in TINY.rglob("*.*")}
    for name in made:
        if name.suffix == ".onnx":
            assert onnx.load(TINY / name) == onnx.load(tmp_path / name)
        else:
            assert (TINY / name).read_bytes() == (tmp_path / name).read_bytes()


# Bundles that are broken, or do not fit together.


def copy_of(form: str, folder: Path) -> Path:
    for file in (TINY / form).iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    return folder


def edit(file: Path, change: Change) -> None:
    model = onnx.load(file, load_external_data=False)
    change(model.graph)
    file.write_bytes(model.SerializeToString())


def rename_input(old: str, new: str) -> Change:
    def change(graph: onnx.GraphProto) -> None:
        for node in graph.node:
            node.input[:] = [new if name == old else name for name in node.input]
        for value in graph.input:
            value.name = new if value.name == old else value.name

    return change


def rename_output(old: str, new: str) -> Change:
    def change(graph: onnx.GraphProto) -> None:
        for node in graph.node:
            node.output[:] = [new if name == old else name for name in node.output]
        for value in graph.output:
            value.name = new if value.name == old else value.name

    return change


def test_a_missing_graph(tmp_path: Path) -> None:
    copy_of("split", tmp_path)
    (tmp_path / "encoder_model.onnx").unlink()
    with pytest.raises(RuntimeError, match=r"encoder_model\.onnx: no such file"):
        load(tmp_path)


def test_a_text_file_is_no_graph(tmp_path: Path) -> None:
    copy_of("split", tmp_path)
    (tmp_path / "decoder_model.onnx").write_text("This is no model, it is a letter.")
    with pytest.raises(RuntimeError, match=r"decoder_model\.onnx: .*[Pp]rotobuf"):
        load(tmp_path)


def test_missing_external_data(tmp_path: Path) -> None:
    copy_of("external", tmp_path)
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(RuntimeError, match=r"decoder_model\.onnx: .*weights\.bin"):
        load(tmp_path)


def test_an_unknown_input_is_named_with_those_that_are_known(tmp_path: Path) -> None:
    edit(copy_of("gpt2", tmp_path) / "decoder_model.onnx", rename_input("position_ids", "speed"))
    with pytest.raises(RuntimeError) as caught:
        load(tmp_path)
    message = str(caught.value)
    assert "decoder_model.onnx: unknown input speed int64 [batch_size, sequence_length]" in message
    assert "known: input_ids, encoder_hidden_states" in message
    assert "found:" in message
    assert "encoder_model.onnx: inputs pixel_values float32 [batch_size, 3, 4, 4]" in message


@pytest.mark.parametrize(
    ("form", "file", "change", "message"),
    [
        (
            "split",
            "encoder_model.onnx",
            rename_input("pixel_values", "pictures"),
            "encoder_model.onnx: no input pixel_values",
        ),
        (
            "split",
            "encoder_model.onnx",
            rename_output("last_hidden_state", "something"),
            "decoder_model.onnx: no output of encoder_model.onnx feeds input encoder_hidden_states",
        ),
        (
            "no_cache",
            "decoder_model.onnx",
            rename_input("input_ids", "past_key_values.0.words"),
            "decoder_model.onnx: no input input_ids",
        ),
        (
            "split",
            "decoder_with_past_model.onnx",
            rename_output("logits", "scores"),
            "decoder_with_past_model.onnx: no output logits; known: logits, present.*",
        ),
        (
            "split",
            "decoder_with_past_model.onnx",
            rename_output("present.0.decoder.key", "present.0.decoder.lock"),
            "decoder_with_past_model.onnx: no output renews input past_key_values.0.decoder.key",
        ),
        (
            "split",
            "decoder_model.onnx",
            rename_output("present.0.encoder.value", "other"),
            "decoder_with_past_model.onnx: no output of encoder_model.onnx or decoder_model.onnx "
            "feeds input past_key_values.0.encoder.value",
        ),
        (
            "merged",
            "decoder_model_merged.onnx",
            rename_output("present.0.encoder.key", "other"),
            "decoder_model_merged.onnx: no output of encoder_model.onnx feeds input "
            "past_key_values.0.encoder.key",
        ),
    ],
)
def test_an_input_or_output_that_is_missing(
    tmp_path: Path, form: str, file: str, change: Change, message: str
) -> None:
    edit(copy_of(form, tmp_path) / file, change)
    with pytest.raises(RuntimeError) as caught:
        load(tmp_path)
    assert message in str(caught.value)


def set_shape(name: str, axis: int, size: int) -> Change:
    def change(graph: onnx.GraphProto) -> None:
        for value in [*graph.input, *graph.output]:
            if value.name == name:
                value.type.tensor_type.shape.dim[axis].dim_value = size

    return change


@pytest.mark.parametrize(
    ("form", "file", "change", "message"),
    [
        (
            "no_cache",
            "decoder_model.onnx",
            set_shape("encoder_hidden_states", 1, 9),
            "does not fit input encoder_hidden_states float32 [batch_size, 9, 8]",
        ),
        (
            "split",
            "encoder_model.onnx",
            set_shape("pixel_values", 0, 1),
            "expected [batch (dynamic), 3, height, width]",
        ),
        (
            "split",
            "decoder_with_past_model.onnx",
            set_shape("past_key_values.0.encoder.key", 0, 1),
            "has no dynamic batch axis",
        ),
        (
            "merged",
            "decoder_model_merged.onnx",
            set_shape("input_ids", 0, 1),
            "input input_ids int64 [1, sequence_length]; expected [batch (dynamic), width]",
        ),
    ],
)
def test_shapes_that_do_not_fit_together(
    tmp_path: Path, form: str, file: str, change: Change, message: str
) -> None:
    edit(copy_of(form, tmp_path) / file, change)
    with pytest.raises(RuntimeError) as caught:
        load(tmp_path)
    assert "the model's graphs do not fit together:" in str(caught.value)
    assert message in str(caught.value)


def test_a_decoder_that_takes_a_past_needs_no_second_one(tmp_path: Path) -> None:
    copy_of("merged", tmp_path)
    (tmp_path / "decoder_model_merged.onnx").rename(tmp_path / "decoder_model.onnx")
    second = tmp_path / "decoder_with_past_model.onnx"
    second.write_bytes((TINY / "split/decoder_with_past_model.onnx").read_bytes())
    with pytest.raises(RuntimeError, match=r"needs no decoder_with_past_model\.onnx beside it"):
        load(tmp_path)


def test_a_second_decoder_that_takes_no_past(tmp_path: Path) -> None:
    copy_of("no_cache", tmp_path)
    second = tmp_path / "decoder_with_past_model.onnx"
    second.write_bytes((tmp_path / "decoder_model.onnx").read_bytes())
    with pytest.raises(RuntimeError, match="no past among the inputs; known: past_key_values"):
        load(tmp_path)


def test_graphs_of_different_float_types(tmp_path: Path) -> None:
    """Caches cannot be converted at every step; the encoder's states are, once."""
    copy_of("split", tmp_path)
    for name in ("encoder_model.onnx", "decoder_with_past_model.onnx"):
        (tmp_path / name).write_bytes((TINY / "half" / name).read_bytes())
    with pytest.raises(RuntimeError, match=r"present\.0\.decoder\.key float32 .* does not fit"):
        load(tmp_path)
    second = tmp_path / "decoder_with_past_model.onnx"
    second.write_bytes((TINY / "split/decoder_with_past_model.onnx").read_bytes())
    pixel_values, chosen = images(12), options()
    expected = load(TINY / "split").generate(pixel_values, [1], chosen)
    found = load(tmp_path).generate(pixel_values, [1], chosen)
    assert_same(hypotheses(found.results), hypotheses(expected.results), HALF_TOLERANCE)


def keep_one_row(output: str) -> Change:
    """The output loses all rows but the first."""

    def change(graph: onnx.GraphProto) -> None:
        rename_output(output, "all_rows")(graph)
        next(value for value in graph.output if value.name == "all_rows").name = output
        graph.node.extend(
            [
                constant("first", [0]),
                helper.make_node("Gather", ["all_rows", "first"], [output], axis=0),
            ]
        )

    return change


@pytest.mark.parametrize(
    ("form", "file", "output", "message"),
    [
        (
            "no_cache",
            "decoder_model.onnx",
            "logits",
            r"decoder_model\.onnx: the logits have the shape \[1, 1, 13\] for 2 rows",
        ),
        (
            "split",
            "decoder_model.onnx",
            "present.0.encoder.key",
            r"decoder_model\.onnx: .*present\.0\.encoder\.key has the shape \[1, 2, 4, 4\] for 2",
        ),
        (
            "split",
            "decoder_with_past_model.onnx",
            "present.0.decoder.value",
            r"past_model\.onnx: .*present\.0\.decoder\.value has the shape \[1, 2, 2, 4\] for 2",
        ),
    ],
)
def test_a_decoder_that_loses_rows_is_an_error(
    tmp_path: Path, form: str, file: str, output: str, message: str
) -> None:
    edit(copy_of(form, tmp_path) / file, keep_one_row(output))
    with pytest.raises(RuntimeError, match=message):
        load(tmp_path).generate(images(2), [1], options())


def write_encoder(file: Path, nodes: list[onnx.NodeProto], output_shape: list[object]) -> None:
    pixels = helper.make_tensor_value_info("pixel_values", TensorProto.FLOAT, ["batch", 3, 4, 4])
    output = helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, output_shape)
    graph = helper.make_graph(nodes, "broken", [pixels], [output])
    opset = [helper.make_opsetid("", 18)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=9), file)


def constant(name: str, value: list[int]) -> onnx.NodeProto:
    return helper.make_node("Constant", [], [name], value_ints=value)


def test_an_encoder_that_loses_images_is_an_error(tmp_path: Path) -> None:
    copy_of("split", tmp_path)
    # Two images go in, and one of twice the length comes out.
    nodes = [
        constant("shape", [1, -1, 8]),
        helper.make_node("Reshape", ["pixel_values", "shape"], ["last_hidden_state"]),
    ]
    write_encoder(tmp_path / "encoder_model.onnx", nodes, ["a", "b", 8])
    with pytest.raises(RuntimeError, match=r"last_hidden_state has the shape \[1, 12, 8\] for 2"):
        load(tmp_path).generate(images(2), [1], options())


def test_a_graph_that_fails_is_named(tmp_path: Path) -> None:
    copy_of("split", tmp_path)
    # Divides into rows that only an even number of images fills.
    nodes = [
        constant("shape", [2, -1, 6, 8]),
        helper.make_node("Reshape", ["pixel_values", "shape"], ["pairs"]),
        constant("shape_2", [-1, 6, 8]),
        helper.make_node("Reshape", ["pairs", "shape_2"], ["last_hidden_state"]),
    ]
    write_encoder(tmp_path / "encoder_model.onnx", nodes, ["batch", 6, 8])
    model = load(tmp_path)
    assert len(model.generate(images(2), [1], options()).results) == 2
    with pytest.raises(RuntimeError, match=r"encoder_model\.onnx: .*[Rr]eshape"):
        model.generate(images(1), [1], options())
