"""Writes the bundle: python -m training.export --checkpoint FILE --tokenizer FILE --out DIR."""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

import torch

from training.backbone import MobileNetV2
from training.graphs import DecoderGraph, SharedWeights, encoder_graph
from training.model import Captioner, Sizes
from training.text import BOS, EOS, PAD

WEIGHTS = "decoder_weights.bin"
MAX_LENGTH = 25  # <s> included; captions longer than this are under 2 % of the training text


def configs(sizes: Sizes) -> dict[str, dict]:
    """The JSON files of the bundle, in transformers' names."""
    ids = {"pad_token_id": PAD, "bos_token_id": BOS, "eos_token_id": EOS}
    ids["decoder_start_token_id"] = BOS
    shape = {
        "hidden_size": sizes.width,
        "num_attention_heads": sizes.heads,
        "intermediate_size": sizes.inner,
        "hidden_act": "relu",
    }
    encoder = {"model_type": "mobilenet_v2", "image_size": 224, "num_channels": 3}
    encoder |= shape | {"num_hidden_layers": sizes.encoder_layers}
    decoder = {"model_type": "beamcap-decoder", "is_decoder": True, "add_cross_attention": True}
    decoder |= shape | {
        "num_hidden_layers": sizes.decoder_layers,
        "vocab_size": sizes.vocabulary,
        "max_position_embeddings": sizes.positions,
    }
    half = [0.5, 0.5, 0.5]
    return {
        "config.json": {
            "architectures": ["VisionEncoderDecoderModel"],
            "model_type": "vision-encoder-decoder",
            "name": "beamcap-small",
            "is_encoder_decoder": True,
            "vocab_size": sizes.vocabulary,
            "tie_word_embeddings": True,
            **ids,
            "encoder": encoder,
            "decoder": decoder,
        },
        "generation_config.json": {
            **ids,
            "do_sample": False,
            "num_beams": 3,
            "max_length": MAX_LENGTH,
            "early_stopping": True,
            "length_penalty": 1.6,
        },
        "preprocessor_config.json": {
            "image_processor_type": "ViTImageProcessor",
            "do_resize": True,
            "size": {"height": 224, "width": 224},
            "resample": 2,
            "do_rescale": True,
            "rescale_factor": 1 / 255,
            "do_normalize": True,
            "image_mean": half,
            "image_std": half,
        },
    }


def export(model: Captioner, tokenizer: Path, out: Path, half: bool = True) -> None:
    """Graphs, tokenizer and configs of `model` into `out`; float32 weights with half=False."""
    out.mkdir(parents=True, exist_ok=True)
    shared = SharedWeights(WEIGHTS)
    encoder_graph(model.encoder, model.sizes, half).save(out / "encoder_model.onnx")
    for past, name in ((False, "decoder_model.onnx"), (True, "decoder_with_past_model.onnx")):
        DecoderGraph(model.decoder, model.sizes, shared, past, half).save(out / name)
    (out / WEIGHTS).write_bytes(shared.data)
    shutil.copyfile(tokenizer, out / "tokenizer.json")
    for name, content in configs(model.sizes).items():
        (out / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def load_checkpoint(path: Path) -> Captioner:
    """The averaged model of a training checkpoint."""
    model = Captioner(Sizes(), MobileNetV2(), 0.0)
    model.load_state_dict(torch.load(path)["average"])
    return model.eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--tokenizer", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--float32", action="store_true", help="keep float32 weights (to compare)")
    args = parser.parse_args()
    export(load_checkpoint(args.checkpoint), args.tokenizer, args.out, not args.float32)


if __name__ == "__main__":
    main()
