"""Where the product differs from transformers' generate() on purpose: each difference, both sides.

docs/semantics.md lists them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("onnx")

from configurations import Configuration, images, pixel_values  # noqa: E402
from export_reference import export  # noqa: E402
from product import Product  # noqa: E402
from reference_models import ReferenceModel, build, poison  # noqa: E402

from beamcap import _core  # noqa: E402


class Sides(NamedTuple):
    """A model, to be asked of both sides."""

    reference: ReferenceModel
    product: Product

    def ask(self, **options: Any) -> tuple[Any, list[_core.ImageResult]]:
        """What generate() returns for two images, and the product's results."""
        vocabulary = self.reference.vocabulary
        options = {"eos_token_id": vocabulary.eos[1:2], **options}
        configuration = Configuration(0, 2, [vocabulary.start], options)
        pixels = pixel_values(images(configuration))
        output = self.reference.model.generate(
            torch.from_numpy(pixels),
            decoder_input_ids=torch.tensor([configuration.prompt] * 2),
            return_dict_in_generate=True,
            output_scores=True,
            **options,
        )
        return output, self.product.results(pixels, configuration)


def make_sides(folder: Path, change: Callable[[Any], None] = lambda model: None) -> Sides:
    transformers.logging.set_verbosity_error()
    reference = build("vit", "gpt2", seed=6)
    change(reference.model)
    export(reference.model, folder, "plain")
    return Sides(reference, Product(folder))


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> Sides:
    return make_sides(tmp_path_factory.mktemp("usual"))


def tokens_of(result: _core.ImageResult) -> list[list[int]]:
    return [list(hypothesis.tokens) for hypothesis in result.hypotheses]


def tie_all_tokens(model: Any) -> None:
    head = model.decoder.get_output_embeddings()
    head.weight = torch.nn.Parameter(torch.zeros_like(head.weight))


def test_ties_go_to_the_smaller_beam_then_the_smaller_token(tmp_path: Path) -> None:
    tied = make_sides(tmp_path, tie_all_tokens)
    output, results = tied.ask(num_beams=3, num_return_sequences=3, max_new_tokens=2)
    for index, result in enumerate(results):
        assert tokens_of(result) == [[0, 0], [0, 1], [0, 2]]
        scores = output.sequences_scores[3 * index : 3 * index + 3].tolist()
        assert [h.score for h in result.hypotheses] == pytest.approx(scores, rel=1e-4)
    _, results = tied.ask(max_new_tokens=3)
    assert [tokens_of(result) for result in results] == [[[0, 0, 0]]] * 2


def test_greedy_captions_have_a_score(usual: Sides) -> None:
    output, results = usual.ask(max_new_tokens=5, length_penalty=2.0)
    assert "sequences_scores" not in output
    for result in results:
        (found,) = result.hypotheses
        score = sum(found.token_log_probs) / len(found.tokens) ** 2
        assert found.score == pytest.approx(score, rel=1e-6)


@pytest.mark.parametrize("num_beams", [1, 3])
def test_where_everything_is_banned_there_is_no_caption(usual: Sides, num_beams: int) -> None:
    everything = list(range(usual.reference.vocabulary.size))
    output, results = usual.ask(num_beams=num_beams, suppress_tokens=everything, max_new_tokens=3)
    assert len(output.sequences) == 2
    assert all("banned" in result.error for result in results)


def test_there_are_no_more_captions_than_are_possible(usual: Sides) -> None:
    output, results = usual.ask(
        num_beams=2,
        num_return_sequences=2,
        forced_bos_token_id=3,
        forced_eos_token_id=4,
        max_new_tokens=2,
    )
    assert output.sequences_scores.tolist() == [0.0, -5e8] * 2
    assert [tokens_of(result) for result in results] == [[[3, 4]]] * 2


@pytest.mark.parametrize("num_beams", [1, 3])
def test_nan_is_an_error(tmp_path: Path, num_beams: int) -> None:
    output, results = make_sides(tmp_path, poison).ask(num_beams=num_beams, max_new_tokens=20)
    assert len(output.sequences) == 2
    assert all("NaN" in result.error or "inf" in result.error for result in results)


def test_options_that_overflow_are_an_error(usual: Sides) -> None:
    # The ban of EOS, made finite, is trebled: +inf.
    output, results = usual.ask(
        min_new_tokens=6,
        max_new_tokens=6,
        remove_invalid_values=True,
        exponential_decay_length_penalty=[2, 3.0],
    )
    assert output.sequences.shape == (2, 1 + 4)
    assert all("+inf" in result.error for result in results)
