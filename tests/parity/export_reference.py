"""Exports a reference model to a bundle in the layout that optimum writes. Needs torch and onnx.

Three forms of the decoder:

- plain: decoder_model.onnx, which reads the whole caption at every step.
- split: decoder_model.onnx for the first step, decoder_with_past_model.onnx for the others.
- merged: decoder_model_merged.onnx, both behind the flag use_cache_branch.

As optimum does it, a GPT-2 decoder caches its self-attention only (past_key_values.0.key), a
BART-like one also its cross-attention (past_key_values.0.encoder.key), which comes out of the first
step and stays as it is; and the projection between the widths of encoder and decoder belongs to the
decoder's graph.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import onnx
import torch
from configurations import IMAGE_SIZE
from merge_decoders import merge_decoders
from reference_models import DECODER_LAYERS, tokenizer_json
from transformers import VisionEncoderDecoderModel
from transformers.cache_utils import DynamicCache, EncoderDecoderCache

OPSET = 17

Axes = dict[str, dict[int, str]]
"""The dynamic axes of tensors by name."""


def forms(model: VisionEncoderDecoderModel) -> tuple[str, ...]:
    """The forms in which optimum exports this decoder; it knows no cache for BERT."""
    if model.config.decoder.model_type == "bert":
        return ("plain",)
    return ("plain", "split", "merged")


def export(model: VisionEncoderDecoderModel, folder: Path, form: str) -> None:
    """Writes the bundle: graphs, configs and a tokenizer of the words w0, w1, ..."""
    folder.mkdir(parents=True, exist_ok=True)
    _export_encoder(model, folder / "encoder_model.onnx")
    first = folder / "decoder_model.onnx"
    _export_decoder(model, first, past=[], presents=_cache(model) if form != "plain" else [])
    if form != "plain":
        later = folder / "decoder_with_past_model.onnx"
        grown = [tensor for tensor in _cache(model) if not tensor.cross]
        _export_decoder(model, later, past=_cache(model), presents=grown)
        if form == "merged":
            merged = merge_decoders(onnx.load(first), onnx.load(later))
            onnx.save(merged, folder / "decoder_model_merged.onnx")
            first.unlink()
            later.unlink()
    model.config.save_pretrained(folder)
    model.generation_config.save_pretrained(folder)
    _write_json(folder / "preprocessor_config.json", _preprocessor_config())
    _write_json(folder / "tokenizer.json", tokenizer_json(model.config.decoder.vocab_size))


class CacheTensor(NamedTuple):
    """One tensor of the decoder's cache: [batch, heads, positions, width of a head]."""

    layer: int
    attention: str
    """"decoder" (the tokens so far) or "encoder" (the image)."""
    kind: str
    """"key" or "value"."""
    name: str
    """In a graph, behind "past_key_values." or "present."."""

    @property
    def cross(self) -> bool:
        return self.attention == "encoder"

    def of(self, cache: EncoderDecoderCache) -> torch.Tensor:
        part = cache.cross_attention_cache if self.cross else cache.self_attention_cache
        layer = part.layers[self.layer]
        return layer.keys if self.kind == "key" else layer.values


def _cache(model: VisionEncoderDecoderModel) -> list[CacheTensor]:
    both = model.config.decoder.model_type != "gpt2"
    return [
        CacheTensor(layer, attention, kind, f"{layer}.{attention + '.' if both else ''}{kind}")
        for layer in range(DECODER_LAYERS)
        for attention in (("decoder", "encoder") if both else ("decoder",))
        for kind in ("key", "value")
    ]


class Decoder(torch.nn.Module):
    """The graph to export: input_ids [B, T], encoder_hidden_states [B, S, E] and the tensors of
    `past` -> logits [B, T, V] and the tensors of `presents`."""

    def __init__(
        self,
        model: VisionEncoderDecoderModel,
        past: list[CacheTensor],
        presents: list[CacheTensor],
    ) -> None:
        super().__init__()
        self.model = model
        self.past = past
        self.presents = presents
        self.eval()

    def forward(
        self, input_ids: torch.Tensor, encoder_hidden_states: torch.Tensor, *past: torch.Tensor
    ) -> tuple[torch.Tensor, ...]:
        if hasattr(self.model, "enc_to_dec_proj"):
            encoder_hidden_states = self.model.enc_to_dec_proj(encoder_hidden_states)
        parts = {"decoder": DynamicCache(), "encoder": DynamicCache()}
        for i in range(0, len(past), 2):
            tensor = self.past[i]
            parts[tensor.attention].update(past[i], past[i + 1], tensor.layer)
        output = self.model.decoder(
            input_ids=input_ids,
            encoder_hidden_states=encoder_hidden_states,
            past_key_values=EncoderDecoderCache(parts["decoder"], parts["encoder"]),
            use_cache=True,
        )
        return output.logits, *(tensor.of(output.past_key_values) for tensor in self.presents)


class _Encoder(torch.nn.Module):
    def __init__(self, model: VisionEncoderDecoderModel) -> None:
        super().__init__()
        self.encoder = model.encoder
        self.eval()

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        return self.encoder(pixel_values=pixel_values).last_hidden_state


def _export_encoder(model: VisionEncoderDecoderModel, path: Path) -> None:
    axes = dict(enumerate(("batch_size", "num_channels", "height", "width")))
    _export(
        _Encoder(model),
        {"pixel_values": torch.rand(2, 3, IMAGE_SIZE, IMAGE_SIZE)},
        {"pixel_values": axes},
        {"last_hidden_state": {0: "batch_size"}},
        path,
    )


def _export_decoder(
    model: VisionEncoderDecoderModel,
    path: Path,
    past: list[CacheTensor],
    presents: list[CacheTensor],
) -> None:
    inputs = {
        "input_ids": torch.tensor([[1, 2, 3], [4, 5, 6]]),
        "encoder_hidden_states": torch.rand(2, 5, model.config.encoder.hidden_size),
    }
    input_axes = {
        "input_ids": {0: "batch_size", 1: "decoder_sequence_length"},
        "encoder_hidden_states": {0: "batch_size", 1: "encoder_sequence_length"},
    }
    new_length = "decoder_sequence_length"
    if past:
        _, *values = Decoder(model, [], past)(**inputs)
        inputs["input_ids"] = torch.tensor([[1], [2]])
        input_axes["input_ids"] = {0: "batch_size"}
        for tensor, value in zip(past, values, strict=True):
            inputs[f"past_key_values.{tensor.name}"] = value
        input_axes |= _cache_axes("past_key_values", past, "past_decoder_sequence_length")
        new_length = "past_decoder_sequence_length + 1"
    output_axes = {"logits": input_axes["input_ids"]} | _cache_axes("present", presents, new_length)
    _export(Decoder(model, past, presents), inputs, input_axes, output_axes, path)


def _cache_axes(prefix: str, tensors: list[CacheTensor], length: str) -> Axes:
    return {
        f"{prefix}.{tensor.name}": {
            0: "batch_size",
            2: "encoder_sequence_length" if tensor.cross else length,
        }
        for tensor in tensors
    }


def _export(
    module: torch.nn.Module,
    inputs: dict[str, torch.Tensor],
    input_axes: Axes,
    output_axes: Axes,
    path: Path,
) -> None:
    torch.onnx.export(
        module,
        tuple(inputs.values()),
        path,
        input_names=list(inputs),
        output_names=list(output_axes),
        dynamic_axes=input_axes | output_axes,
        opset_version=OPSET,
        dynamo=False,
    )
    graph = onnx.load(path)
    _shorten_names(graph.graph)
    onnx.save(graph, path)


def _shorten_names(graph: onnx.GraphProto) -> None:
    """Half of a KB-size file would be the paths of its nodes in the module tree."""
    kept = {value.name for value in (*graph.input, *graph.output, *graph.initializer)}
    names: dict[str, str] = {}
    for node in graph.node:
        node.ClearField("name")
        node.ClearField("doc_string")
        for field in (node.input, node.output):
            for i, name in enumerate(field):
                if name and name not in kept:
                    field[i] = names.setdefault(name, f"v{len(names)}")
    del graph.value_info[:]


def _preprocessor_config() -> dict[str, Any]:
    return {
        "image_processor_type": "ViTImageProcessor",
        "do_resize": True,
        "size": {"height": IMAGE_SIZE, "width": IMAGE_SIZE},
        "resample": 2,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
    }


def _write_json(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n")
