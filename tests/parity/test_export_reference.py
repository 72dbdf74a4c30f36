"""The exported graphs compute what the reference model computes, in every form."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
ort = pytest.importorskip("onnxruntime")

from configurations import Configuration, images, pixel_values  # noqa: E402
from export_reference import export, forms  # noqa: E402
from reference_models import build  # noqa: E402

MODELS = [("vit", "gpt2"), ("deit", "bert"), ("swin", "bart"), ("vit", "trocr")]
TOLERANCE = 5e-5
"""Of logits between about -15 and 15; the rounding differences seen are 1e-5."""


def run(graph: Any, **inputs: np.ndarray) -> dict[str, np.ndarray]:
    """Runs a graph with those of the inputs that it has."""
    names = [value.name for value in graph.get_inputs()]
    outputs = graph.run(None, {name: inputs[name] for name in names})
    return dict(zip([value.name for value in graph.get_outputs()], outputs, strict=True))


class Bundle:
    """Steps through an exported bundle as its form wants it."""

    def __init__(self, folder: Path) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        self.graphs = {
            path.stem: ort.InferenceSession(path, options) for path in folder.glob("*.onnx")
        }

    def logits(self, pixels: np.ndarray, captions: np.ndarray, prompt: int) -> np.ndarray:
        """Logits after each of captions' ids from the prompt's last on: [B, T - prompt + 1, V]."""
        states = run(self.graphs["encoder_model"], pixel_values=pixels)["last_hidden_state"]
        past: dict[str, np.ndarray] = {}
        steps = []
        for length in range(prompt, captions.shape[1] + 1):
            outputs = self._step(states, captions[:, :length], past)
            steps.append(outputs["logits"][:, -1])
            for name, tensor in outputs.items():
                if name != "logits" and tensor.size:  # empty: what only the first step makes
                    past[name.replace("present", "past_key_values")] = tensor
        return np.stack(steps, axis=1)

    def _step(
        self, states: np.ndarray, ids: np.ndarray, past: dict[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        last = ids[:, -1:] if past else ids
        merged = self.graphs.get("decoder_model_merged")
        if merged:
            empty = {
                value.name: np.zeros((len(ids), value.shape[1], 0, value.shape[3]), np.float32)
                for value in merged.get_inputs()
                if value.name.startswith("past_key_values")
            }
            flag = np.array([bool(past)])
            inputs = {**empty, **past, "use_cache_branch": flag}
            return run(merged, input_ids=last, encoder_hidden_states=states, **inputs)
        graph = self.graphs["decoder_with_past_model" if past else "decoder_model"]
        return run(graph, input_ids=last, encoder_hidden_states=states, **past)


@pytest.mark.parametrize(("encoder", "decoder"), MODELS)
def test_every_form_has_the_models_logits(tmp_path: Path, encoder: str, decoder: str) -> None:
    model, _, vocabulary = build(encoder, decoder, seed=11)
    rng = np.random.default_rng(0)
    for form in forms(model):
        export(model, tmp_path / form, form)
        bundle = Bundle(tmp_path / form)
        for batch, prompt, length in ((1, 1, 5), (3, 4, 9)):
            pixels = pixel_values(images(Configuration(batch, batch, [], {})))
            ids = rng.integers(vocabulary.size, size=(batch, length))
            with torch.no_grad():
                expected = model(
                    pixel_values=torch.from_numpy(pixels), decoder_input_ids=torch.from_numpy(ids)
                ).logits[:, prompt - 1 :]
            logits = bundle.logits(pixels, ids, prompt)
            np.testing.assert_allclose(logits, expected.numpy(), rtol=0, atol=TOLERANCE)


def test_graphs_carry_optimums_names(tmp_path: Path) -> None:
    model = build("vit", "trocr", seed=11).model
    export(model, tmp_path, "split")
    graphs = Bundle(tmp_path).graphs
    names = {
        stem: [
            [value.name for value in values] for values in (graph.get_inputs(), graph.get_outputs())
        ]
        for stem, graph in graphs.items()
    }
    cache = [
        f"{i}.{a}.{k}" for i in (0, 1) for a in ("decoder", "encoder") for k in ("key", "value")
    ]
    assert names["encoder_model"] == [["pixel_values"], ["last_hidden_state"]]
    assert names["decoder_model"] == [
        ["input_ids", "encoder_hidden_states"],
        ["logits", *(f"present.{name}" for name in cache)],
    ]
    assert names["decoder_with_past_model"] == [
        ["input_ids", *(f"past_key_values.{name}" for name in cache)],
        ["logits", *(f"present.{name}" for name in cache if "decoder" in name)],
    ]
