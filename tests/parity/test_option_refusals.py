"""What generate() refuses, beamcap refuses too: found out by asking both."""

from __future__ import annotations

from typing import Any

import pytest

from beamcap import GenerationOptions
from beamcap.generation_config import read_generation_config

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

VOCABULARY = 32

# Special tokens, which the bundle reads; caches, drafts and compilation, which only make it fast;
# what generate() returns beside the captions.
NO_MATTER = {
    "_from_model_config",
    "assistant_confidence_threshold",
    "assistant_early_exit",
    "assistant_ensemble_weight",
    "assistant_lookbehind",
    "bos_token_id",
    "cache_config",
    "cache_implementation",
    "compile_config",
    "continuous_batching_config",
    "decoder_start_token_id",
    "disable_compile",
    "eos_token_id",
    "is_assistant",
    "low_memory",
    "max_cache_len",
    "max_matching_ngram_size",
    "num_assistant_tokens",
    "num_assistant_tokens_schedule",
    "output_attentions",
    "output_hidden_states",
    "output_logits",
    "output_scores",
    "pad_token_id",
    "prefill_chunk_size",
    "prompt_lookup_num_tokens",
    "return_dict_in_generate",
    "speculation_type",
    "target_lookbehind",
    "transformers_version",
    "use_cache",
}

# Each alone is refused; what the reference only warns of, or takes for off, is not among them.
REFUSED: list[dict[str, Any]] = [
    {"early_stopping": "always"},
    {"max_new_tokens": 0},
    {"num_return_sequences": 2},
    {"num_beams": 2, "num_return_sequences": 3},
    {"num_beams": 2, "num_return_sequences": 3, "do_sample": True},
    {"repetition_penalty": 0.0},
    {"repetition_penalty": -1.0},
    {"do_sample": True, "temperature": 0.0},
    {"do_sample": True, "temperature": -1.0},
    {"do_sample": True, "top_k": -1},
    {"do_sample": True, "top_k": 2.5},
    {"do_sample": True, "top_p": -0.1},
    {"do_sample": True, "min_p": -0.1},
    {"do_sample": True, "min_p": 1.1},
    {"do_sample": True, "typical_p": 0.0},
    {"do_sample": True, "typical_p": -0.5},
    {"sequence_bias": []},
    {"sequence_bias": {}},
    {"sequence_bias": {5: 1.0}},
    {"sequence_bias": {(): 1.0}},
    {"sequence_bias": {(5,): "1"}},
    {"sequence_bias": [[5, 1.0]]},
    {"sequence_bias": [[[-5], 1.0]]},
    {"bad_words_ids": []},
    {"bad_words_ids": [5]},
    {"bad_words_ids": [[-5]]},
    {"bad_words_ids": [[0.5]]},
    {"bad_words_ids": "red"},
    {"forced_eos_token_id": -2},
    {"forced_bos_token_id": 3, "suppress_tokens": [3, 4]},
    {"forced_eos_token_id": [3, 4], "suppress_tokens": [3, 4, 5]},
]


@pytest.fixture(scope="module")
def model() -> Any:
    config = transformers.GPT2Config(
        vocab_size=VOCABULARY, n_positions=16, n_embd=8, n_layer=1, n_head=1, eos_token_id=2
    )
    transformers.logging.set_verbosity_error()
    return transformers.GPT2LMHeadModel(config).eval()


def generate(model: Any, **options: Any) -> None:
    lengths = {} if "max_new_tokens" in options else {"max_length": 4}
    model.generate(torch.tensor([[1]]), pad_token_id=0, **lengths, **options)


@pytest.mark.parametrize("options", REFUSED, ids=str)
def test_both_refuse(model: Any, options: dict[str, Any]) -> None:
    with pytest.raises((TypeError, ValueError)):
        GenerationOptions(**options).search_arguments(prompt_length=1)
    with pytest.raises(Exception):  # noqa: B017 - some of them fail inside torch
        generate(model, **options)


def test_a_prompt_that_leaves_no_room(model: Any) -> None:
    with pytest.raises(ValueError):
        GenerationOptions(max_length=1).search_arguments(prompt_length=1)
    with pytest.raises(ValueError):
        model.generate(torch.tensor([[1]]), max_length=1)


def test_the_defaults_are_the_references() -> None:
    reference = transformers.GenerationConfig._get_default_generation_params()
    del reference["max_length"]  # 20 without a prompt is 20 behind one
    ours = GenerationOptions()
    for name in set(GenerationOptions.names()) & set(reference):
        assert (ours.value(name) or None) == (reference[name] or None), name


def test_every_key_of_a_generation_config_is_known() -> None:
    """A new version's keys are honoured, refused, or listed here as no matter to captions."""
    keys = set(transformers.GenerationConfig().to_dict())
    honoured = set(GenerationOptions.names())
    refused = set()
    for key in keys - honoured:
        try:
            read_generation_config({key: "something"})
        except ValueError:
            refused.add(key)
    assert keys - honoured - refused == NO_MATTER
