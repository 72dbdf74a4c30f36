"""Bundle.find: whole bundles are found; broken ones are refused, naming the file."""

from __future__ import annotations

import json
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from beamcap.bundle import Bundle


def _graph(path: Path, external_data: str | None = None) -> None:
    """A graph of one Identity; with its weights in a file of that name if asked."""
    weight = helper.make_tensor("weight", TensorProto.FLOAT, [2], [1.0, 2.0])
    if external_data is not None:
        weight.ClearField("float_data")
        weight.data_location = TensorProto.EXTERNAL
        weight.external_data.add(key="location", value=external_data)
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, [2])
    node = helper.make_node("Identity", ["weight"], ["y"])
    graph = helper.make_graph([node], "graph", [], [output], [weight])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(helper.make_model(graph).SerializeToString())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A bundle whose files are all there (its graphs are none that could caption)."""
    bundle = tmp_path / "model"
    _graph(bundle / "encoder_model.onnx")
    _graph(bundle / "decoder_model.onnx")
    (bundle / "config.json").write_text(json.dumps({"model_type": "vision-encoder-decoder"}))
    generation = {"decoder_start_token_id": 1, "eos_token_id": 2, "pad_token_id": 0, "num_beams": 2}
    (bundle / "generation_config.json").write_text(json.dumps(generation))
    (bundle / "preprocessor_config.json").write_text(json.dumps({"size": 8}))
    (bundle / "tokenizer.json").write_text("{}")
    return bundle


def test_a_whole_bundle_is_found(folder: Path) -> None:
    bundle = Bundle.find(folder)
    assert bundle.name == "model"
    assert bundle.decoder.name == "decoder_model.onnx"
    assert bundle.decoder_with_past is None
    assert (bundle.start_token_id, bundle.eos_token_ids, bundle.pad_token_id) == (1, (2,), 0)
    assert bundle.defaults.num_beams == 2


def test_graphs_under_onnx_and_a_merged_decoder_are_found(folder: Path) -> None:
    for graph in folder.glob("*.onnx"):
        graph.unlink()
    for name in ("encoder_model", "decoder_model", "decoder_with_past_model"):
        _graph(folder / "onnx" / f"{name}.onnx")
    assert Bundle.find(folder).decoder_with_past == folder / "onnx/decoder_with_past_model.onnx"
    _graph(folder / "onnx/decoder_model_merged.onnx")
    bundle = Bundle.find(folder)
    assert bundle.decoder.name == "decoder_model_merged.onnx"
    assert bundle.decoder_with_past is None


@pytest.mark.parametrize(
    "name",
    [
        "encoder_model.onnx",
        "decoder_model.onnx",
        "config.json",
        "preprocessor_config.json",
        "tokenizer.json",
    ],
)
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(ValueError, match=name):
        Bundle.find(folder)


@pytest.mark.parametrize("content", ["not json", "[" * 100_000])
def test_a_config_that_is_no_json_is_named(folder: Path, content: str) -> None:
    (folder / "config.json").write_text(content)
    with pytest.raises(ValueError, match=r"config\.json cannot be read"):
        Bundle.find(folder)


def test_no_such_model_lists_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="beamcap-small"):
        Bundle.find(tmp_path / "nowhere")


def test_a_name_that_no_folder_can_have_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot be looked up"):
        Bundle.find("x" * 300)


def test_without_a_generation_config_the_config_speaks(folder: Path) -> None:
    (folder / "generation_config.json").unlink()
    config = {"eos_token_id": None, "decoder": {"bos_token_id": 5, "eos_token_id": [6, 7]}}
    (folder / "config.json").write_text(json.dumps(config))
    bundle = Bundle.find(folder)
    assert (bundle.start_token_id, bundle.eos_token_ids) == (5, (6, 7))


def test_no_start_token_is_refused(folder: Path) -> None:
    (folder / "generation_config.json").write_text("{}")
    with pytest.raises(ValueError, match="no token to start from"):
        Bundle.find(folder)


@pytest.mark.parametrize("token", [-1, 1 << 31, 10**30, True, "2"])
def test_what_is_no_token_id_is_refused(folder: Path, token: object) -> None:
    generation = {"decoder_start_token_id": 1, "eos_token_id": token}
    (folder / "generation_config.json").write_text(json.dumps(generation))
    with pytest.raises(ValueError, match=f"eos_token_id={token!r} is not a token id"):
        Bundle.find(folder)


def test_missing_external_data_is_named(folder: Path) -> None:
    _graph(folder / "decoder_model.onnx", external_data="weights.bin")
    with pytest.raises(ValueError, match=r"weights\.bin, which is missing"):
        Bundle.find(folder)


@pytest.mark.parametrize("name", ["../weights.bin", "/etc/passwd", "a/../../b"])
def test_external_data_outside_the_bundle_is_refused(folder: Path, name: str) -> None:
    _graph(folder / "decoder_model.onnx", external_data=name)
    with pytest.raises(ValueError, match="outside it"):
        Bundle.find(folder)


def test_a_long_name_of_external_data_is_read_whole(folder: Path) -> None:
    name = "w" * 200 + ".bin"
    _graph(folder / "decoder_model.onnx", external_data=name)
    with pytest.raises(ValueError, match=f"in {name}, which is missing"):
        Bundle.find(folder)


def test_external_data_of_a_name_that_no_file_can_have_is_missing(folder: Path) -> None:
    _graph(folder / "decoder_model.onnx", external_data="w" * 300)
    with pytest.raises(ValueError, match="which is missing"):
        Bundle.find(folder)


def test_the_fingerprint_follows_what_captions_depend_on(folder: Path) -> None:
    _graph(folder / "decoder_model.onnx", external_data="weights.bin")
    (folder / "weights.bin").write_bytes(b"12345678")
    first = Bundle.find(folder).fingerprint
    (folder / "README.md").write_text("a model card")
    assert Bundle.find(folder).fingerprint == first
    (folder / "weights.bin").write_bytes(b"12345679")
    assert Bundle.find(folder).fingerprint != first


def test_the_graphs_of_these_tests_are_valid(folder: Path) -> None:
    onnx.checker.check_model(onnx.load(folder / "decoder_model.onnx"))
