"""The embedded bundle: its files, its size, and the names and shapes its graphs promise."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

ort = pytest.importorskip("onnxruntime")

BUNDLE = Path(__file__).parents[2] / "beamcap" / "models" / "beamcap-small"
FILES = {
    "README.md",
    "config.json",
    "decoder_model.onnx",
    "decoder_weights.bin",
    "decoder_with_past_model.onnx",
    "encoder_model.onnx",
    "generation_config.json",
    "preprocessor_config.json",
    "tokenizer.json",
}
LAYERS, HEADS, SIZE, TOKENS = 3, 8, 32, 50


def session(name: str) -> ort.InferenceSession:
    return ort.InferenceSession(str(BUNDLE / name), providers=["CPUExecutionProvider"])


def run(sess: ort.InferenceSession, feed: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    names = [output.name for output in sess.get_outputs()]
    return dict(zip(names, sess.run(names, feed), strict=True))


def cache_names(prefix: str, kind: str) -> set[str]:
    return {f"{prefix}.{i}.{kind}.{part}" for i in range(LAYERS) for part in ("key", "value")}


def as_past(outputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {
        name.replace("present", "past_key_values"): value
        for name, value in outputs.items()
        if name != "logits"
    }


def test_files_and_size() -> None:
    assert {path.name for path in BUNDLE.iterdir()} == FILES
    assert sum(path.stat().st_size for path in BUNDLE.iterdir()) <= 25 * 10**6


def test_configs_agree_with_the_tokenizer() -> None:
    config = json.loads((BUNDLE / "config.json").read_text(encoding="utf-8"))
    generation = json.loads((BUNDLE / "generation_config.json").read_text(encoding="utf-8"))
    vocabulary = json.loads((BUNDLE / "tokenizer.json").read_text(encoding="utf-8"))["model"][
        "vocab"
    ]
    assert len(vocabulary) == config["vocab_size"] == config["decoder"]["vocab_size"]
    for name, token in (("pad", "<pad>"), ("decoder_start", "<s>"), ("eos", "</s>")):
        assert config[f"{name}_token_id"] == generation[f"{name}_token_id"] == vocabulary[token]
    assert generation["num_beams"] == 3
    assert generation["max_length"] <= config["decoder"]["max_position_embeddings"]


def test_graph_names() -> None:
    first, later = session("decoder_model.onnx"), session("decoder_with_past_model.onnx")
    assert {i.name for i in first.get_inputs()} == {"input_ids", "encoder_hidden_states"}
    present = cache_names("present", "decoder")
    assert {o.name for o in first.get_outputs()} == (
        {"logits"} | present | cache_names("present", "encoder")
    )
    past = cache_names("past_key_values", "decoder") | cache_names("past_key_values", "encoder")
    assert {i.name for i in later.get_inputs()} == {"input_ids"} | past
    assert {o.name for o in later.get_outputs()} == {"logits"} | present


@pytest.mark.parametrize("new", [1, 2])
def test_cached_steps_agree_with_a_full_pass(new: int) -> None:
    encoder = session("encoder_model.onnx")
    first, later = session("decoder_model.onnx"), session("decoder_with_past_model.onnx")
    pixels = np.random.default_rng(0).uniform(-1, 1, (2, 3, 224, 224)).astype(np.float32)
    hidden = encoder.run(None, {"pixel_values": pixels})[0]
    assert hidden.shape == (2, TOKENS, HEADS * SIZE)
    ids = np.array([[1, 40, 300, 7], [1, 900, 12, 55]], np.int64)
    whole = run(first, {"input_ids": ids, "encoder_hidden_states": hidden})
    start = run(first, {"input_ids": ids[:, :-new], "encoder_hidden_states": hidden})
    step = run(later, {"input_ids": ids[:, -new:]} | as_past(start))
    np.testing.assert_allclose(step["logits"], whole["logits"][:, -new:], atol=1e-4)
    key = "present.0.decoder.key"
    assert whole["present.0.encoder.key"].shape == (2, HEADS, TOKENS, SIZE)
    np.testing.assert_allclose(step[key], whole[key], atol=1e-4)
