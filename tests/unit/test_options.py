"""GenerationOptions: what is allowed, what is refused, what wins over what."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from beamcap import GenerationOptions


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
        ({"num_beams": 2, "num_return_sequences": 3}, ValueError, "more than num_beams=2"),
    ],
)
def test_a_bad_value_is_refused_by_name(given: dict[str, Any], error: type, says: str) -> None:
    with pytest.raises(error, match=says):
        GenerationOptions(**given)


def test_unset_options_take_the_defaults_given() -> None:
    call = GenerationOptions(num_beams=1, early_stopping=False)
    model = GenerationOptions(num_beams=3, early_stopping=True, max_length=16)
    assert call.over(model) == GenerationOptions(num_beams=1, early_stopping=False, max_length=16)


def test_more_sequences_than_the_models_beams_are_refused_once_merged() -> None:
    with pytest.raises(ValueError, match="num_return_sequences=4 is more than num_beams=3"):
        GenerationOptions(num_return_sequences=4).over(GenerationOptions(num_beams=3))


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
    }


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


def test_a_length_that_the_prompt_fills_is_refused() -> None:
    with pytest.raises(ValueError, match="max_length=4 leaves no token to generate"):
        GenerationOptions(max_length=4).search_arguments(prompt_length=4)


def test_a_generation_config_is_read() -> None:
    config = {
        "num_beams": 3,
        "max_length": 16,
        "do_sample": False,
        "temperature": 0.7,  # without do_sample the reference ignores it too
        "eos_token_id": 2,
        "transformers_version": "5.0",
        "length_penalty": None,
    }
    read = GenerationOptions.from_generation_config(config)
    assert read == GenerationOptions(num_beams=3, max_length=16)


@pytest.mark.parametrize(
    "config", [{"do_sample": True}, {"forced_eos_token_id": 2}, {"bad_words_ids": [[5]]}]
)
def test_a_generation_config_with_an_option_not_honoured_is_refused(
    config: dict[str, Any],
) -> None:
    with pytest.raises(ValueError, match=f"sets {next(iter(config))}="):
        GenerationOptions.from_generation_config(config)


def test_options_travel_to_workers() -> None:
    options = GenerationOptions(num_beams=4, early_stopping="never")
    assert pickle.loads(pickle.dumps(options)) == options
