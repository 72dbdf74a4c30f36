"""Captioner: results in order, errors as values, no caption that depends on its neighbours."""

from __future__ import annotations

import io
import json
import os
import random
import shutil
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageSequence

from beamcap import Caption, Captioner, CaptionError, GenerationOptions, ImageInput


@pytest.fixture(scope="module")
def captioner() -> Captioner:
    return Captioner.load()


def _captions(results: list[Caption | CaptionError]) -> list[Caption]:
    assert all(isinstance(result, Caption) for result in results), results
    return [result for result in results if isinstance(result, Caption)]


def test_every_kind_of_image_gives_the_same_caption(
    captioner: Captioner, photos: dict[str, bytes], tmp_path: Path
) -> None:
    data = photos["chelsea"]
    path = tmp_path / "chelsea.jpg"
    path.write_bytes(data)
    picture = Image.open(io.BytesIO(data))
    array = np.asarray(picture.convert("RGB"))
    given = [data, path, str(path), picture, array, ImageInput("k", "u", data, {"a": "b"})]
    captions = _captions(captioner.caption(given))
    assert len({(c.caption, c.score, tuple(c.token_ids)) for c in captions}) == 1
    assert [c.key for c in captions] == ["0", str(path), str(path), "3", "4", "k"]
    assert [c.uri for c in captions] == ["", str(path), str(path), "", "", "u"]
    assert captions[5].metadata == {"a": "b"}
    assert {(c.width, c.height) for c in captions} == {picture.size}
    assert {c.model_id for c in captions} == {captioner.model_id}


def test_a_pillow_image_may_be_given_twice_and_closed_behind_us(
    captioner: Captioner, photos: dict[str, bytes]
) -> None:
    # Large, so that several threads would be at its file at the same time.
    large = Image.open(io.BytesIO(photos["chelsea"])).resize((2000, 1500))
    stream = io.BytesIO()
    large.save(stream, "PNG", compress_level=1)
    expected = _captions(captioner.caption([stream.getvalue()]))[0]

    def closing() -> Iterator[Image.Image]:
        with Image.open(stream) as opened:
            yield opened
            yield opened
            yield opened

    for caption in _captions(captioner.caption(closing())):
        assert caption[2:] == expected[2:]


def test_the_frames_of_an_animation_are_taken_as_they_come(
    captioner: Captioner, many_photos: list[bytes]
) -> None:
    frames = [Image.open(io.BytesIO(data)).resize((200, 200)) for data in many_photos[:6]]
    stream = io.BytesIO()
    frames[0].save(stream, "WEBP", lossless=True, save_all=True, append_images=frames[1:])
    expected = _captions(captioner.caption(frames))
    with Image.open(stream) as animation:
        results = _captions(captioner.caption(ImageSequence.Iterator(animation)))
    assert [r.score for r in results] == [e.score for e in expected]


def test_a_caption_is_its_best_candidate(captioner: Captioner, photos: dict[str, bytes]) -> None:
    options = GenerationOptions(num_beams=4, num_return_sequences=3)
    caption = _captions(captioner.caption([photos["coffee"]], options))[0]
    assert len(caption.candidates) == 3
    assert caption[2:9] == caption.candidates[0]
    scores = [candidate.score for candidate in caption.candidates]
    assert scores == sorted(scores, reverse=True)
    assert caption.caption and caption.caption == caption.caption.strip()


def test_confidence_and_log_probabilities_are_the_models_own(
    captioner: Captioner, photos: dict[str, bytes]
) -> None:
    greedy = GenerationOptions(num_beams=1, length_penalty=1.0, output_token_log_probs=True)
    beams = GenerationOptions(num_beams=3, num_return_sequences=3, output_token_log_probs=True)
    for options in (greedy, beams):
        (caption,) = _captions(captioner.caption([photos["coffee"]], options))
        for candidate in caption.candidates:
            log_probs = candidate.token_log_probs
            assert len(log_probs) == len(candidate.token_ids)
            assert candidate.confidence == pytest.approx(np.exp(log_probs).mean())
            length_penalty = options.length_penalty or captioner.bundle.defaults.length_penalty
            assert length_penalty is not None
            # No processor acts here, so what the model gave is what the search added up.
            expected = sum(log_probs) / len(log_probs) ** length_penalty
            assert candidate.score == pytest.approx(expected, rel=1e-5)
    (plain,) = _captions(captioner.caption([photos["coffee"]]))
    assert plain.token_log_probs == [] and 0 < plain.confidence < 1


def test_what_the_model_thought_does_not_depend_on_the_options(
    captioner: Captioner, photos: dict[str, bytes]
) -> None:
    free = GenerationOptions(num_beams=1, output_token_log_probs=True)
    (expected,) = _captions(captioner.caption([photos["coffee"]], free))
    unlikely = [[token] for token in range(3, 200) if token not in expected.token_ids]
    for changed in (
        GenerationOptions(num_beams=1, bad_words_ids=unlikely, output_token_log_probs=True),
        GenerationOptions(num_beams=1, do_sample=True, top_k=1, output_token_log_probs=True),
    ):
        (found,) = _captions(captioner.caption([photos["coffee"]], changed))
        assert found.token_ids == expected.token_ids
        assert found.token_log_probs == pytest.approx(expected.token_log_probs, rel=1e-5)


def test_a_caption_that_goes_round_in_circles_is_marked(
    captioner: Captioner, photos: dict[str, bytes]
) -> None:
    dog = captioner._tokenizer.encode(" dog", add_special_tokens=False).ids[0]
    only_dogs = [token for token in range(captioner._tokenizer.get_vocab_size()) if token != dog]
    options = GenerationOptions(num_beams=1, max_new_tokens=4, suppress_tokens=only_dogs)
    looping, plain = _captions(
        captioner.caption([photos["coffee"]], options) + captioner.caption([photos["coffee"]])
    )
    assert (looping.caption, looping.repetition) == ("dog dog dog dog", True)
    assert not plain.repetition


def test_a_prompt_is_what_the_caption_goes_on_from(
    captioner: Captioner, photos: dict[str, bytes]
) -> None:
    free = GenerationOptions(num_beams=1)
    (whole,) = _captions(captioner.caption([photos["chelsea"]], free))
    # The greedy caption's own beginning as a prompt: it goes on as it did.
    words = whole.caption.split()
    prompt, rest = " ".join(words[:3]), " ".join(words[3:])
    given = len(captioner._tokenizer.encode(prompt, add_special_tokens=False).ids)
    kept = GenerationOptions(num_beams=1, prompt=prompt)
    stripped = GenerationOptions(num_beams=1, prompt=prompt, strip_prompt=True)
    with_prompt, without = _captions(
        captioner.caption([photos["chelsea"]], kept)
        + captioner.caption([photos["chelsea"]], stripped)
    )
    assert (with_prompt.caption, without.caption) == (whole.caption, rest)
    assert with_prompt.token_ids == without.token_ids == whole.token_ids[given:]


def test_a_prompt_counts_as_decoder_input_ids_do(
    captioner: Captioner, photos: dict[str, bytes]
) -> None:
    prompt = "a black and white dog"  # five tokens, and the start token
    limits = {"max_length": (12, 6), "max_new_tokens": (12, 12)}
    for name, (limit, generated) in limits.items():
        options = GenerationOptions(prompt=prompt, min_new_tokens=12, **{name: limit})
        (caption,) = _captions(captioner.caption([photos["chelsea"]], options))
        assert len(caption.token_ids) == generated
        assert caption.caption.startswith(prompt)
    with pytest.raises(ValueError, match="start token and the prompt already take 6"):
        captioner.check_options(GenerationOptions(prompt=prompt, max_length=6))
    with pytest.raises(ValueError, match="leaves no token"):
        captioner.check_options(GenerationOptions(prompt="a dog " * 1000))


def test_a_prompt_is_neither_padded_nor_cut(captioner: Captioner, tmp_path: Path) -> None:
    padding = {"strategy": {"Fixed": 32}, "direction": "Right", "pad_to_multiple_of": None}
    padding |= {"pad_id": 0, "pad_type_id": 0, "pad_token": "<pad>"}
    truncation = {"max_length": 1, "strategy": "LongestFirst", "stride": 0, "direction": "Right"}
    change = {"padding": padding, "truncation": truncation}
    model = Captioner.load(_copy(captioner.bundle.path, tmp_path, "tokenizer.json", change))
    with pytest.raises(ValueError, match="start token and the prompt already take 6"):
        model.check_options(GenerationOptions(prompt="a black and white dog", max_length=6))


def test_a_stop_string_ends_a_caption(captioner: Captioner, photos: dict[str, bytes]) -> None:
    (whole,) = _captions(captioner.caption([photos["chelsea"]], GenerationOptions(num_beams=1)))
    word = whole.caption.split()[3]
    # It begins and ends within tokens.
    stop = f"{whole.caption.split()[2][-1:]} {word[:2]}"
    options = GenerationOptions(num_beams=1, stop_strings=["☃ never", stop])
    (caption,) = _captions(captioner.caption([photos["chelsea"]], options))
    assert caption.finish_reason == "stop_string"
    assert stop in caption.caption and whole.caption.startswith(caption.caption)
    assert caption.token_ids == whole.token_ids[: len(caption.token_ids)]
    before = captioner._tokenizer.decode(caption.token_ids[:-1])
    assert stop not in before, "it ends with the first token that completes the string"


def test_a_drawn_caption_depends_on_its_seed_and_its_key_alone(
    captioner: Captioner, many_photos: list[bytes]
) -> None:
    images = [ImageInput(f"key {i}", "", data) for i, data in enumerate(many_photos[:20])]
    drawing = GenerationOptions(do_sample=True, num_beams=1, num_return_sequences=3, seed=5)
    expected = captioner.caption(images, drawing)
    assert captioner.caption(images, drawing) == expected, "the same seed, the same captions"
    for batch_size in (1, 7):
        other = Captioner.load(batch_size=batch_size)
        reversed_ = _captions(other.caption(images[::-1], drawing))[::-1]
        for found, wanted in zip(reversed_, _captions(expected), strict=True):
            assert [c.token_ids for c in found.candidates] == [
                c.token_ids for c in wanted.candidates
            ]
    for caption in _captions(expected):
        assert len({tuple(candidate.token_ids) for candidate in caption.candidates}) > 1
    again = captioner.caption(images, replace(drawing, seed=6))
    assert [r[4] for r in again] != [r[4] for r in expected]
    twice = [ImageInput(key, "", many_photos[0]) for key in "abcdefgh"]
    drawn = _captions(captioner.caption(twice, GenerationOptions(do_sample=True, num_beams=1)))
    assert len({caption.caption for caption in drawn}) > 1, "another key, other draws"


def test_a_model_may_sample_by_default(
    captioner: Captioner, photos: dict[str, bytes], tmp_path: Path
) -> None:
    change = {"do_sample": True, "num_beams": 1, "top_k": 5}
    model = Captioner.load(_copy(captioner.bundle.path, tmp_path, "generation_config.json", change))
    sampled = model.caption([photos["coffee"]], GenerationOptions(num_return_sequences=4))
    assert len(_captions(sampled)[0].candidates) == 4
    greedy = GenerationOptions(num_beams=1)
    (found,) = _captions(model.caption([photos["coffee"]], GenerationOptions(do_sample=False)))
    assert found.token_ids == _captions(captioner.caption([photos["coffee"]], greedy))[0].token_ids


@pytest.mark.parametrize("position", [0, 3, 7])
def test_a_bad_image_is_an_error_in_its_place_and_changes_no_other(
    captioner: Captioner,
    many_photos: list[bytes],
    broken_files: dict[str, bytes],
    position: int,
) -> None:
    good = many_photos[:10]
    alone = captioner.caption(good)
    for name, data in broken_files.items():
        mixed = [*good[:position], ImageInput(name, f"{name}.jpg", data), *good[position:]]
        results = captioner.caption(mixed)
        error = results.pop(position)
        assert isinstance(error, CaptionError)
        assert (error.key, error.uri, error.stage) == (name, f"{name}.jpg", "decode")
        assert error.reason and error.message
        assert [r[2:12] for r in results] == [r[2:12] for r in alone]


def test_what_cannot_be_read_is_an_error_that_says_why(
    captioner: Captioner, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "empty.jpg").touch()
    names = {
        "missing.jpg": "not_found",
        "pipe": "not_a_file",
        "empty.jpg": "empty",
        ".": "is_directory",
        "null\0.jpg": "unreadable",
    }
    results = captioner.caption([f"{tmp_path}/{name}" for name in names])
    assert [(r.stage, r.reason) for r in results if isinstance(r, CaptionError)] == [
        ("read", reason) for reason in names.values()
    ]


def test_an_array_may_be_a_view(captioner: Captioner, photos: dict[str, bytes]) -> None:
    rgb = np.asarray(Image.open(io.BytesIO(photos["coffee"])))
    bgr = np.ascontiguousarray(rgb[..., ::-1])
    expected, viewed = _captions(captioner.caption([rgb, bgr[..., ::-1]]))
    assert viewed[2:9] == expected[2:9]


def test_an_array_of_the_wrong_shape_is_an_error(captioner: Captioner) -> None:
    shapes: list[Any] = [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32)]
    for result in captioner.caption(shapes):
        assert isinstance(result, CaptionError)
        assert result.stage == "preprocess"


def test_an_image_that_finds_no_memory_is_an_error(
    captioner: Captioner, photos: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = captioner.caption([photos["coffee"]])
    into = captioner._preprocessor.into

    def scarce(pixels: Any, out: Any) -> None:
        if pixels.shape == (1, 1, 3):
            raise MemoryError
        into(pixels, out)

    monkeypatch.setattr(captioner._preprocessor, "into", scarce)
    error, good = captioner.caption([np.zeros((1, 1, 3), np.uint8), photos["coffee"]])
    assert isinstance(error, CaptionError)
    assert (error.stage, error.reason) == ("preprocess", "out_of_memory")
    assert good[2:12] == expected[0][2:12]


def test_what_is_no_image_at_all_raises(captioner: Captioner) -> None:
    with pytest.raises(TypeError, match=r"images\[1\] is int"):
        captioner.caption([b"", 3])  # type: ignore[list-item]


@pytest.mark.parametrize(
    "image",
    [
        "photo.jpg",
        Path("photo.jpg"),
        b"\xff\xd8",
        np.zeros((4, 4, 3), np.uint8),
        ImageInput("k", "u", b""),
        Image.new("RGB", (4, 4)),
    ],
    ids=lambda image: type(image).__name__,
)
def test_a_single_image_is_refused(captioner: Captioner, image: Any) -> None:
    with pytest.raises(TypeError, match=r"images is a single \w+: give a list"):
        captioner.caption(image)
    assert len(captioner.caption([image])) == 1


def test_limits_are_errors_that_name_them(photos: dict[str, bytes]) -> None:
    small = Captioner.load(max_image_pixels=1000, max_image_bytes=40_000)
    reasons = [r.reason for r in small.caption(photos.values()) if isinstance(r, CaptionError)]
    assert len(reasons) == len(photos)
    assert set(reasons) == {"too_many_pixels", "too_many_bytes"}


def test_a_file_beyond_the_limit_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "large.jpg").write_bytes(bytes(1001))
    (error,) = Captioner.load(max_image_bytes=1000).caption([tmp_path / "large.jpg"])
    assert isinstance(error, CaptionError)
    assert (error.stage, error.reason) == ("read", "too_many_bytes")


@pytest.mark.parametrize("num_beams", [1, 3])
def test_no_caption_depends_on_its_batch(many_photos: list[bytes], num_beams: int) -> None:
    options = GenerationOptions(num_beams=num_beams)
    shuffled = random.Random(3).sample(range(64), 64)
    alone = Captioner.load(batch_size=1).caption(many_photos, options)
    expected = _captions([alone[i] for i in shuffled])
    for batch_size in (3, 8, 64):
        captioner = Captioner.load(batch_size=batch_size)
        results = _captions(captioner.caption([many_photos[i] for i in shuffled], options))
        assert [r.token_ids for r in results] == [e.token_ids for e in expected]
        np.testing.assert_allclose(
            [r.score for r in results], [e.score for e in expected], rtol=1e-5
        )


def test_several_threads_share_one_captioner(
    captioner: Captioner, many_photos: list[bytes]
) -> None:
    expected = captioner.caption(many_photos[:12])
    with ThreadPoolExecutor(4) as pool:
        for results in pool.map(lambda _: captioner.caption(many_photos[:12]), range(8)):
            assert [r[2:12] for r in results] == [e[2:12] for e in expected]


class _FailingModel:
    """Fails as a model does that runs out of memory above `most` images."""

    def __init__(self, model: Any, most: int) -> None:
        self._model, self._most, self.sizes = model, most, list[int]()

    vocab_size = None

    def generate(self, pixel_values: Any, *search: Any) -> Any:
        self.sizes.append(len(pixel_values))
        if len(pixel_values) > self._most:
            raise RuntimeError("out of memory")
        return self._model.generate(pixel_values, *search)


def test_a_batch_that_fails_is_halved(photos: dict[str, bytes]) -> None:
    captioner = Captioner.load()
    expected = captioner.caption(photos.values())
    failing = _FailingModel(captioner._model, most=2)
    captioner._model = failing
    results = captioner.caption(photos.values())
    assert failing.sizes == [5, 2, 3, 1, 2]
    assert [r[2:12] for r in results] == [e[2:12] for e in expected]


def test_a_model_that_always_fails_gives_errors(photos: dict[str, bytes]) -> None:
    captioner = Captioner.load()
    captioner._model = _FailingModel(captioner._model, most=0)
    for result in captioner.caption(photos.values()):
        assert isinstance(result, CaptionError)
        assert (result.stage, result.reason) == ("encode", "model_failed")
        assert captioner.model_id in result.message and "out of memory" in result.message


def test_an_image_whose_logits_are_nan_is_an_error(photos: dict[str, bytes]) -> None:
    captioner = Captioner.load()
    result = SimpleNamespace(error="the model gave NaN", hypotheses=[])
    generated = SimpleNamespace(results=[result], encode_ms=0.0, search_ms=0.0)
    captioner._model = SimpleNamespace(vocab_size=None, generate=lambda *_: generated)
    error = captioner.caption([photos["rocket"]])[0]
    assert isinstance(error, CaptionError)
    assert (error.stage, error.reason) == ("search", "bad_logits")
    assert captioner.model_id in error.message


def test_bad_options_raise_before_any_image_is_read(captioner: Captioner) -> None:
    wrong = {"num_return_sequences": 9, "num_beams": 4097, "length_penalty": 1e300}
    for name, value in wrong.items():
        with pytest.raises(ValueError, match=name):
            captioner.check_options(GenerationOptions(**{name: value}))
    with pytest.raises(ValueError, match="num_return_sequences=9"):
        captioner.caption(["/nowhere"], GenerationOptions(num_return_sequences=9))


@pytest.mark.parametrize(
    "given",
    [
        {"sequence_bias": [[[5, 3000], 1.0]]},
        {"bad_words_ids": [[5], [3000, 5]]},
        {"forced_bos_token_id": 3000},
        {"forced_eos_token_id": [5, 3000]},
        {"suppress_tokens": [3000]},
        {"begin_suppress_tokens": [5, 3000]},
    ],
    ids=lambda given: next(iter(given)),
)
def test_a_token_that_the_model_does_not_know_is_refused(
    captioner: Captioner, given: dict[str, Any]
) -> None:
    name = next(iter(given))
    with pytest.raises(ValueError, match=f"{name} names the token 3000, but .* knows 3000 tokens"):
        captioner.check_options(GenerationOptions(**given))


@pytest.mark.parametrize(
    "options",
    [
        GenerationOptions(length_penalty=400.0),
        GenerationOptions(num_beams=5000),
        GenerationOptions(repetition_penalty=1e-46),
        GenerationOptions(min_length=100_000),
        GenerationOptions(do_sample=True, temperature=1e-46),
        GenerationOptions(exponential_decay_length_penalty=(0, 1e30)),
    ],
)
def test_what_only_the_core_refuses_is_refused_before_any_work(
    captioner: Captioner, options: GenerationOptions
) -> None:
    with pytest.raises(ValueError, match="but must be"):
        captioner.check_options(options)


def test_the_longest_caption_that_the_model_has_positions_for(
    captioner: Captioner, photos: dict[str, bytes]
) -> None:
    positions = captioner.bundle.max_positions
    assert positions is not None
    longest = GenerationOptions(max_length=positions + 1, min_length=positions + 1)
    (caption,) = _captions(captioner.caption([photos["coffee"]], longest))
    assert len(caption.token_ids) == positions
    with pytest.raises(ValueError, match=f"longer than the {positions + 1} that"):
        captioner.caption([], GenerationOptions(max_length=positions + 2))


def _copy(bundle: Path, folder: Path, name: str, change: dict[str, Any]) -> Path:
    """A copy of a bundle with one of its JSON files changed."""
    copied = shutil.copytree(bundle, folder / "model")
    content = json.loads((copied / name).read_text())
    (copied / name).write_text(json.dumps(content | change))
    return copied


@pytest.mark.parametrize(
    ("name", "change", "says"),
    [
        ("preprocessor_config.json", {"size": 192}, "makes images of 192x192"),
        ("preprocessor_config.json", {"size": {"shortest_edge": 224}}, "size"),
        ("preprocessor_config.json", {"resample": 9}, "resample"),
        ("generation_config.json", {"eos_token_id": 99999}, "names the token 99999"),
        ("generation_config.json", {"num_beams": 0}, "num_beams=0"),
        ("generation_config.json", {"bad_words_ids": [[3000]]}, "names the token 3000"),
        ("generation_config.json", {"num_beam_groups": 3}, "groups of beams"),
        ("generation_config.json", {"stop_strings": ["\udcff"]}, "stop_strings"),
        ("generation_config.json", {"max_length": 1}, "max_length=1"),
        ("tokenizer.json", {"model": "none"}, "model"),
    ],
)
def test_a_mismatched_bundle_is_refused_at_load(
    captioner: Captioner, tmp_path: Path, name: str, change: dict[str, Any], says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        Captioner.load(_copy(captioner.bundle.path, tmp_path, name, change))


def test_a_start_token_that_is_eos_warns_where_processors_see_it(
    captioner: Captioner, tmp_path: Path
) -> None:
    change = {"decoder_start_token_id": captioner.bundle.eos_token_ids[0]}
    path = _copy(captioner.bundle.path, tmp_path, "generation_config.json", change)
    model = Captioner.load(path)
    with pytest.warns(UserWarning, match="no_repeat_ngram_size=1 bans EOS"):
        model.check_options(GenerationOptions(no_repeat_ngram_size=1))
    with pytest.warns(UserWarning, match="acts on EOS from step 1"):
        model.check_options(GenerationOptions(repetition_penalty=1.5))


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"threads": 0}, "threads=0"),
        ({"threads": 1000}, "threads=1000"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"providers": ("cuda",)}, "cuda"),
        ({"model": "/nowhere"}, "/nowhere"),
    ],
)
def test_a_bad_load_says_what_is_wrong(given: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Captioner.load(**given)


def test_nothing_gives_nothing(captioner: Captioner) -> None:
    assert captioner.caption([]) == []


def test_timings_add_up(captioner: Captioner, photos: dict[str, bytes]) -> None:
    batch = captioner.caption_batch(photos.values())
    assert all(part > 0 for part in astuple(batch.timings))
    tokens = sum(len(c.token_ids) for r in _captions(batch.results) for c in r.candidates)
    assert batch.timings.tokens == tokens


def test_describe_names_roles_and_defaults(captioner: Captioner) -> None:
    described = captioner.describe()
    assert described["model"] == captioner.model_id
    assert described["generation"]["num_beams"] == captioner.bundle.defaults.num_beams
    # What acts with do_sample only is shown as it would then be.
    assert described["generation"]["top_k"] == 50
    assert described["tokens"]["start"] == captioner.bundle.start_token_id


def test_a_captioner_can_be_weakly_referenced(captioner: Captioner) -> None:
    assert weakref.ref(captioner)() is captioner
