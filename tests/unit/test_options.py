"""GenerationOptions: what is allowed, what is refused, what wins over what."""

from __future__ import annotations

import math
import pickle
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from beamcap import GenerationOptions
from beamcap.generation_config import read_generation_config
from beamcap.options import OPTIONS

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize(
    ("given", "error", "says"),
    [
        ({"num_beams": 0}, ValueError, "num_beams=0 is not allowed: it must be >= 1"),
        ({"num_beams": 2.0}, TypeError, "num_beams=2.0 is not allowed: it must be an integer"),
        ({"num_beams": True}, TypeError, "num_beams=True"),
        ({"num_beams": 10**30}, ValueError, f"num_beams={10**30} is not allowed"),
        ({"max_new_tokens": 0}, ValueError, "max_new_tokens=0"),
        ({"min_length": -1}, ValueError, "min_length=-1"),
        ({"length_penalty": float("nan")}, ValueError, "length_penalty=nan"),
        ({"length_penalty": float("-inf")}, ValueError, "length_penalty=-inf"),
        ({"length_penalty": 10**400}, ValueError, "it must be finite"),
        ({"length_penalty": "1"}, TypeError, "length_penalty='1'"),
        ({"repetition_penalty": 0.0}, ValueError, "must be above 0"),
        ({"early_stopping": "always"}, ValueError, "early_stopping='always'"),
        ({"early_stopping": 1}, ValueError, "early_stopping=1"),
        ({"num_beams": 2, "num_return_sequences": 3}, ValueError, "more than num_beams=2"),
        ({"do_sample": 1}, TypeError, "do_sample=1 is not allowed: it must be True or False"),
        ({"temperature": 0.0}, ValueError, "temperature=0.0 is not allowed: it must be above 0"),
        ({"top_k": -1}, ValueError, "top_k=-1"),
        ({"top_p": 1.5}, ValueError, "top_p=1.5 is not allowed: it must be <= 1"),
        ({"top_p": -0.5}, ValueError, "top_p=-0.5"),
        ({"min_p": 1.5}, ValueError, "min_p=1.5"),
        ({"typical_p": 0.0}, ValueError, "typical_p=0.0 is not allowed: it must be above 0"),
        ({"epsilon_cutoff": 1.0}, ValueError, "epsilon_cutoff=1.0 .* it must be below 1"),
        ({"eta_cutoff": -0.1}, ValueError, "eta_cutoff=-0.1"),
        ({"seed": -1}, ValueError, "seed=-1"),
        ({"sequence_bias": []}, ValueError, r"sequence_bias=\[\] .* none of them empty"),
        ({"sequence_bias": {}}, ValueError, "sequence_bias={}"),
        ({"sequence_bias": [[[], 1.0]]}, ValueError, "none of them empty"),
        ({"sequence_bias": [[[5], "1"]]}, TypeError, "it must be a number"),
        ({"sequence_bias": [[[5], math.inf]]}, ValueError, "it must be finite"),
        ({"sequence_bias": [[5, 1.0]]}, TypeError, "a list of token ids"),
        ({"sequence_bias": [[[5], 1.0, 2]]}, ValueError, "pairs of token ids and a bias"),
        ({"bad_words_ids": []}, ValueError, r"bad_words_ids=\[\]"),
        ({"bad_words_ids": [[]]}, ValueError, "none of them empty"),
        ({"bad_words_ids": [5]}, TypeError, "a list of token ids"),
        ({"bad_words_ids": [[-1]]}, ValueError, "-1 is none"),
        ({"bad_words_ids": "red"}, TypeError, "bad_words_ids='red'"),
        ({"forced_bos_token_id": [5]}, TypeError, "it must be an integer >= 0"),
        ({"forced_bos_token_id": -1}, ValueError, "forced_bos_token_id=-1"),
        ({"forced_eos_token_id": []}, ValueError, "at least one token id"),
        ({"forced_eos_token_id": True}, TypeError, "a list of token ids"),
        ({"suppress_tokens": 5}, TypeError, "suppress_tokens=5"),
        ({"begin_suppress_tokens": [1.0]}, TypeError, "1.0 is none"),
        ({"exponential_decay_length_penalty": [3]}, ValueError, "a pair of a start and a factor"),
        ({"exponential_decay_length_penalty": (1.5, 1.1)}, TypeError, "it must be an integer"),
        ({"exponential_decay_length_penalty": (3, math.nan)}, ValueError, "it must be finite"),
        ({"stop_strings": []}, ValueError, r"stop_strings=\[\]"),
        ({"stop_strings": ["a", ""]}, ValueError, "none of them empty"),
        ({"stop_strings": 5}, TypeError, "text, or a list of texts"),
        (
            {"prompt": " "},
            ValueError,
            "prompt=' ' is not allowed: it must be valid Unicode, and not blank",
        ),
        ({"prompt": "caf\udce9"}, ValueError, "valid Unicode"),
        ({"stop_strings": ["a", "caf\udce9"]}, ValueError, "it must be valid Unicode"),
        ({"prompt": 5}, TypeError, "prompt=5"),
        ({"forced_bos_token_id": 5, "suppress_tokens": [4, 5]}, ValueError, "forced_bos_token_id"),
        ({"forced_eos_token_id": [5, 4], "suppress_tokens": [4, 5]}, ValueError, "min_new_tokens"),
    ],
)
def test_a_bad_value_is_refused_by_name(given: dict[str, Any], error: type, says: str) -> None:
    with pytest.raises(error, match=says):
        GenerationOptions(**given)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({"top_k": np.int64(5)}, 5),
        ({"length_penalty": 2}, 2.0),
        ({"sequence_bias": {(5, 7): -2.5, (9,): -math.inf}}, (((5, 7), -2.5), ((9,), -math.inf))),
        ({"sequence_bias": [[[5], 1.0], [[5], 2.0]]}, (((5,), 2.0),)),
        ({"bad_words_ids": [[5, 7], (np.int64(9),)]}, ((5, 7), (9,))),
        ({"forced_eos_token_id": 2}, (2,)),
        ({"suppress_tokens": []}, ()),
        ({"exponential_decay_length_penalty": [3, 2]}, (3, 2.0)),
        ({"stop_strings": "."}, (".",)),
        ({"stop_strings": [".", " and"]}, (".", " and")),
        ({"forced_eos_token_id": [5, 4], "suppress_tokens": [4]}, (5, 4)),
    ],
)
def test_values_are_kept_in_one_form(given: dict[str, Any], kept: Any) -> None:
    name = next(iter(given))
    options = GenerationOptions(**given)
    assert getattr(options, name) == kept
    assert type(getattr(options, name)) is type(kept)
    assert hash(options) == hash(GenerationOptions(**asdict(options)))


def test_unset_options_take_the_defaults_given() -> None:
    call = GenerationOptions(num_beams=1, early_stopping=False)
    model = GenerationOptions(num_beams=3, early_stopping=True, max_length=16)
    assert call.over(model) == GenerationOptions(num_beams=1, early_stopping=False, max_length=16)


def test_more_sequences_than_the_models_beams_are_refused_once_merged() -> None:
    with pytest.raises(ValueError, match="num_return_sequences=4 is more than num_beams=3"):
        GenerationOptions(num_return_sequences=4).over(GenerationOptions(num_beams=3))


def test_sampling_returns_as_many_sequences_as_it_draws() -> None:
    drawn = GenerationOptions(num_return_sequences=5, num_beams=1, do_sample=True)
    assert drawn.search_arguments(prompt_length=1)["num_return_sequences"] == 5
    model = GenerationOptions(do_sample=True)
    merged = GenerationOptions(num_return_sequences=5).over(model)
    assert merged.search_arguments(prompt_length=1)["num_return_sequences"] == 5
    with pytest.raises(ValueError, match="num_return_sequences=5 is more than num_beams=2"):
        GenerationOptions(num_return_sequences=5, num_beams=2, do_sample=True)


def test_several_sequences_from_greedy_are_refused() -> None:
    with pytest.raises(ValueError, match="num_return_sequences=2 is more than num_beams=1"):
        GenerationOptions(num_return_sequences=2).search_arguments(prompt_length=1)


def test_nothing_set_is_the_references_defaults() -> None:
    assert GenerationOptions().search_arguments(prompt_length=2) == {
        "num_beams": 1,
        "num_return_sequences": 1,
        "max_length": 22,
        "min_length": 0,
        "min_new_tokens": 0,
        "length_penalty": 1.0,
        "early_stopping": False,
        "repetition_penalty": 1.0,
        "no_repeat_ngram_size": 0,
        "sequence_bias": (),
        "bad_words_ids": (),
        "forced_bos_token_id": None,
        "forced_eos_token_ids": (),
        "exponential_decay_length_penalty": None,
        "suppress_tokens": (),
        "begin_suppress_tokens": (),
        "remove_invalid_values": False,
        "renormalize_logits": False,
        "do_sample": False,
        "temperature": 1.0,
        "top_k": 0,
        "top_p": 1.0,
        "min_p": 0.0,
        "typical_p": 1.0,
        "epsilon_cutoff": 0.0,
        "eta_cutoff": 0.0,
    }


def test_sampling_is_from_the_50_likeliest_unless_said_otherwise() -> None:
    sampling = GenerationOptions(do_sample=True)
    assert sampling.search_arguments(prompt_length=1)["top_k"] == 50
    everything = GenerationOptions(top_k=0).over(sampling)
    assert everything.search_arguments(prompt_length=1)["top_k"] == 0


@pytest.mark.parametrize(
    "given",
    [
        {"temperature": 0.7},
        {"top_k": 50},
        {"top_p": 0.9},
        {"min_p": 0.1},
        {"typical_p": 0.9},
        {"epsilon_cutoff": 0.1},
        {"eta_cutoff": 0.1},
        {"seed": 7},
    ],
    ids=lambda given: next(iter(given)),
)
def test_an_option_of_sampling_is_refused_without_sampling(given: dict[str, Any]) -> None:
    name, value = next(iter(given.items()))
    for model in (GenerationOptions(), GenerationOptions(do_sample=False)):
        with pytest.raises(ValueError, match=f"{name}={value} has no effect without do_sample"):
            GenerationOptions(**given).over(model)
    merged = GenerationOptions(**given).over(GenerationOptions(do_sample=True))
    assert getattr(merged, name) == value
    off = OPTIONS[name].off
    assert getattr(GenerationOptions(**{name: off}).over(GenerationOptions()), name) == off


def test_a_models_options_of_sampling_sleep_until_a_call_samples() -> None:
    model = read_generation_config({"temperature": 0.7, "top_k": 5})
    assert model.search_arguments(prompt_length=1)["temperature"] == 1.0
    merged = GenerationOptions(do_sample=True).over(model)
    arguments = merged.search_arguments(prompt_length=1)
    assert (arguments["temperature"], arguments["top_k"]) == (0.7, 5)


def test_a_prompt_stands_where_the_forced_first_token_would() -> None:
    with pytest.raises(ValueError, match="forced_bos_token_id=5 has no effect with a prompt"):
        GenerationOptions(forced_bos_token_id=5, prompt="a").over(GenerationOptions())
    with pytest.raises(ValueError, match="strip_prompt=True has no effect without a prompt"):
        GenerationOptions(strip_prompt=True).over(GenerationOptions())
    # Where the model forces it, the reference forgets it too.
    model = GenerationOptions(forced_bos_token_id=5)
    assert GenerationOptions(prompt="a").over(model).prompt == "a"


def test_new_tokens_win_over_lengths_and_count_from_the_prompt() -> None:
    options = GenerationOptions(max_length=50, max_new_tokens=5, min_length=9, min_new_tokens=2)
    arguments = options.search_arguments(prompt_length=3)
    assert (arguments["max_length"], arguments["min_length"]) == (8, 0)
    assert arguments["min_new_tokens"] == 2


@pytest.mark.parametrize("least_or_most", ["min", "max"])
def test_a_length_that_the_models_new_tokens_win_over_is_refused(least_or_most: str) -> None:
    length, winner = f"{least_or_most}_length", f"{least_or_most}_new_tokens"
    model = GenerationOptions(**{winner: 20})
    with pytest.raises(ValueError, match=f"{length}=10 would have no effect.*{winner}=20"):
        GenerationOptions(**{length: 10}).over(model)
    both = GenerationOptions(**{length: 10, winner: 5})
    assert both.over(model) == both


def test_no_new_tokens_win_over_a_length_too() -> None:
    arguments = GenerationOptions(min_length=9, min_new_tokens=0).search_arguments(prompt_length=3)
    assert (arguments["min_length"], arguments["min_new_tokens"]) == (0, 0)


@pytest.mark.parametrize("value", [True, "never"])
def test_early_stopping_without_beams_is_refused(value: bool | str) -> None:
    options = GenerationOptions(early_stopping=value)
    with pytest.raises(ValueError, match=f"early_stopping={value} has no effect with num_beams=1"):
        options.over(GenerationOptions())
    assert options.over(GenerationOptions(num_beams=2)).early_stopping == value
    sleeping = GenerationOptions(num_beams=1).over(
        GenerationOptions(num_beams=2, early_stopping=value)
    )
    assert sleeping.num_beams == 1


def test_strip_prompt_alone_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="no effect without a prompt"):
        GenerationOptions(strip_prompt=True)


def test_a_length_that_the_prompt_fills_is_refused() -> None:
    with pytest.raises(ValueError, match="max_length=4 leaves no token to generate"):
        GenerationOptions(max_length=4).search_arguments(prompt_length=4)


def test_a_generation_config_is_read() -> None:
    config = {
        "num_beams": 3,
        "max_length": 16,
        "bad_words_ids": [[5, 7]],
        "eos_token_id": 2,
        "transformers_version": "5.0",
        "length_penalty": None,
        "constraints": [],
        "prompt": "beamcap's own options are no model's to set",
        "seed": 7,
    }
    assert read_generation_config(config) == GenerationOptions(
        num_beams=3, max_length=16, bad_words_ids=[[5, 7]]
    )


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"num_beam_groups": 2}, "groups of beams"),
        ({"force_words_ids": [[5]]}, "constrained"),
        ({"penalty_alpha": 0.6}, "contrastive"),
        ({"guidance_scale": 1.5}, "guidance"),
        ({"max_time": 1.0}, "speed"),
        ({"top_h": 0.4}, "top-h"),
    ],
)
def test_a_generation_config_with_an_option_not_honoured_is_refused(
    config: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ValueError, match=f"sets {next(iter(config))}=.*{reason}"):
        read_generation_config(config)


def test_every_option_is_documented() -> None:
    text = (DOCS / "semantics.md").read_text()
    for name, option in OPTIONS.items():
        assert f"| {name} | {_documented(option.default)}" in text


def _documented(default: Any) -> str:
    return {(): "none", None: ""}.get(default, str(default))


def test_options_travel_to_workers() -> None:
    options = GenerationOptions(num_beams=4, early_stopping="never")
    assert pickle.loads(pickle.dumps(options)) == options
