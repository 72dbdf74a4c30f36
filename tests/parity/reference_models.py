"""Small random VisionEncoderDecoderModels that behave like captioners. Needs torch.

A freshly initialised model is no test of a search: its logits are nearly flat, it says the same of
every image and never ends. Here the weights are drawn so that each layer keeps its signal and the
logits spread over several units, and the EOS ids are ids that the model does emit.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import torch
from configurations import IMAGE_SIZE, Configuration, Vocabulary, images, pixel_values, word
from tokenizers import Tokenizer
from transformers import (
    BartConfig,
    BertConfig,
    DeiTConfig,
    GenerationConfig,
    GPT2Config,
    PretrainedConfig,
    PreTrainedTokenizerFast,
    SwinConfig,
    TrOCRConfig,
    VisionEncoderDecoderConfig,
    VisionEncoderDecoderModel,
    ViTConfig,
)

ENCODER_WIDTH = 16
DECODER_WIDTH = 24
DECODER_LAYERS = 2
POSITIONS = 48
POISONED = 2
"""The token that poison() is about."""
LOGIT_SPREAD = (2.0, 4.5)
"""Standard deviation of a model's logits, least and most. Beams cross where they are flat; what a
hypothesis may still reach, which early_stopping asks, matters where tokens are nearly certain."""


class ReferenceModel(NamedTuple):
    """A model, its tokenizer and the ids to draw its configurations from."""

    model: VisionEncoderDecoderModel
    tokenizer: PreTrainedTokenizerFast
    vocabulary: Vocabulary


def build(encoder: str, decoder: str, seed: int, vocab_size: int = 64) -> ReferenceModel:
    """Builds e.g. build("vit", "gpt2", seed=1); the names are keys of the two tables below."""
    config = VisionEncoderDecoderConfig.from_encoder_decoder_configs(
        ENCODERS[encoder](), DECODERS[decoder](vocab_size)
    )
    model = VisionEncoderDecoderModel(config).eval()
    _draw_weights(model, np.random.default_rng(seed))
    start = 1
    # In place of what comes with the classes, such as BART's forced EOS.
    model.generation_config = GenerationConfig(decoder_start_token_id=start, pad_token_id=0)
    written = _captions_without_end(model)
    eos = _written_now_and_then(written, vocab_size)
    if decoder == "gpt2":
        start = eos[0]  # as the published ViT-GPT2 models have it: start, EOS and padding are one
        model.generation_config.pad_token_id = start
    model.generation_config.decoder_start_token_id = start
    model.generation_config.eos_token_id = eos[0]
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(tokenizer_json(vocab_size)))
    )
    return ReferenceModel(model, tokenizer, Vocabulary(vocab_size, start, eos, written))


def poison(model: VisionEncoderDecoderModel) -> None:
    """Makes the logit of a token NaN, +inf or -inf, as the caption goes, and most others negative,
    so that the 0 which remove_invalid_values puts in place of NaN may be the best."""
    head = model.decoder.get_output_embeddings()
    weight = head.weight.detach().clone()  # of its own: the embeddings stay sound
    weight[POISONED] = 0
    weight[POISONED, :2] = math.inf
    head.weight = torch.nn.Parameter(weight)
    head.bias = torch.nn.Parameter(torch.full((len(weight),), -7.0))


def tokenizer_json(vocab_size: int) -> dict[str, Any]:
    """A tokenizer.json of the words w0, w1, ..."""
    words = {word(token): token for token in range(vocab_size)}
    # Behind this word generate() finds out what each token adds to a text, for stop_strings.
    words["abcdef"] = vocab_size
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [],
        "normalizer": None,
        "pre_tokenizer": {"type": "WhitespaceSplit"},
        "post_processor": None,
        "decoder": None,
        "model": {"type": "WordLevel", "vocab": words, "unk_token": word(0)},
    }


def _vit(config_class: type[PretrainedConfig]) -> PretrainedConfig:
    return config_class(
        hidden_size=ENCODER_WIDTH,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        image_size=IMAGE_SIZE,
        patch_size=8,
    )


def _swin() -> PretrainedConfig:
    return SwinConfig(
        image_size=IMAGE_SIZE,
        patch_size=4,
        embed_dim=8,
        depths=[1, 1],
        num_heads=[2, 2],
        window_size=2,
    )


def _gpt2(vocab_size: int) -> PretrainedConfig:
    return GPT2Config(
        vocab_size=vocab_size,
        n_embd=DECODER_WIDTH,
        n_layer=DECODER_LAYERS,
        n_head=2,
        n_positions=POSITIONS,
        bos_token_id=None,  # the class's own defaults lie outside this vocabulary
        eos_token_id=None,
    )


def _bert(vocab_size: int) -> PretrainedConfig:
    return BertConfig(
        vocab_size=vocab_size,
        hidden_size=DECODER_WIDTH,
        num_hidden_layers=DECODER_LAYERS,
        num_attention_heads=2,
        intermediate_size=48,
        max_position_embeddings=POSITIONS,
    )


def _bart(config_class: type[PretrainedConfig], vocab_size: int) -> PretrainedConfig:
    return config_class(
        vocab_size=vocab_size,
        d_model=DECODER_WIDTH,
        decoder_layers=DECODER_LAYERS,
        decoder_attention_heads=2,
        decoder_ffn_dim=48,
        max_position_embeddings=POSITIONS,
    )


ENCODERS = {"vit": lambda: _vit(ViTConfig), "deit": lambda: _vit(DeiTConfig), "swin": _swin}
DECODERS = {
    "gpt2": _gpt2,
    "bert": _bert,
    "bart": lambda vocab_size: _bart(BartConfig, vocab_size),
    "trocr": lambda vocab_size: _bart(TrOCRConfig, vocab_size),
}


def _draw_weights(model: VisionEncoderDecoderModel, rng: np.random.Generator) -> None:
    head = model.decoder.get_output_embeddings().weight
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            noise = torch.from_numpy(rng.standard_normal(parameter.shape, dtype=np.float32))
            parameter.data = _scaled(module, name, noise)
    head.data *= rng.uniform(*LOGIT_SPREAD) / (head.data.std() * math.sqrt(head.shape[1]))


def _scaled(module: torch.nn.Module, name: str, noise: torch.Tensor) -> torch.Tensor:
    if isinstance(module, torch.nn.LayerNorm):
        return 0.1 * noise + (name == "weight")
    if noise.ndim < 2:
        return 0.2 * noise
    if isinstance(module, torch.nn.Embedding):
        return noise
    transposed = type(module).__name__ == "Conv1D"  # GPT-2 keeps its matrices as [in, out]
    fan_in = noise.shape[0] if transposed else noise[0].numel()
    return noise * (1.25 / math.sqrt(fan_in))


def _captions_without_end(model: VisionEncoderDecoderModel) -> list[list[int]]:
    probe = Configuration(image_seed=0, images=64, prompt=[], options={})
    pixels = torch.from_numpy(pixel_values(images(probe)))
    captions = model.generate(pixels, max_new_tokens=16, do_sample=False)
    return captions[:, 1:].tolist()


def _written_now_and_then(written: list[list[int]], vocab_size: int) -> list[int]:
    """Four ids that are most nearly one in eight of those written."""
    counts = Counter(chain.from_iterable(written))
    wanted = counts.total() / 8
    return sorted(range(vocab_size), key=lambda token: abs(counts[token] - wanted))[:4]
