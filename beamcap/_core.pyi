"""The C++ core: preprocessing, search, runtime."""

from collections.abc import Sequence
from typing import Any, Literal, TypedDict

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

class Recipe:
    """How an image becomes the encoder's input: resize, centre crop, rescale, normalise, pad."""

    def __init__(
        self,
        *,
        size: tuple[int, int] | None = None,
        shortest_edge: int | None = None,
        longest_edge: int | None = None,
        max_size: tuple[int, int] | None = None,
        thumbnail: tuple[int, int] | None = None,
        crop_size: tuple[int, int] | None = None,
        pad_size: tuple[int, int] | None = None,
        padding: str = "after",
        resample: int = 2,
        pass_order: str = "horizontal_first",
        rescale_factor: float = ...,
        image_mean: Sequence[float] = (0, 0, 0),
        image_std: Sequence[float] = (1, 1, 1),
    ) -> None: ...
    @property
    def size(self) -> tuple[int, int] | None: ...
    @property
    def shortest_edge(self) -> int | None: ...
    @property
    def longest_edge(self) -> int | None: ...
    @property
    def max_size(self) -> tuple[int, int] | None: ...
    @property
    def thumbnail(self) -> tuple[int, int] | None: ...
    @property
    def crop_size(self) -> tuple[int, int] | None: ...
    @property
    def pad_size(self) -> tuple[int, int] | None: ...
    @property
    def padding(self) -> str: ...
    @property
    def resample(self) -> int: ...
    @property
    def pass_order(self) -> str: ...
    @property
    def rescale_factor(self) -> float: ...
    @property
    def image_mean(self) -> list[float]: ...
    @property
    def image_std(self) -> list[float]: ...
    @property
    def fixed_size(self) -> tuple[int, int] | None: ...
    def output_size(self, height: int, width: int) -> tuple[int, int]: ...

def preprocess(
    images: Sequence[NDArray[np.uint8]],
    recipe: Recipe,
    threads: int = 1,
    dtype: DTypeLike = "float32",
) -> NDArray[Any]: ...
def preprocess_into(image: NDArray[np.uint8], recipe: Recipe, out: NDArray[Any]) -> None: ...
def resize(
    image: NDArray[np.uint8],
    height: int,
    width: int,
    resample: int,
    pass_order: str = "horizontal_first",
) -> NDArray[np.uint8]: ...

class StopStrings:
    """Strings that end a caption as soon as its text holds one of them. Immutable."""

    def __init__(self, stop_strings: Sequence[str], token_texts: Sequence[str | bytes]) -> None: ...

class Options:
    """The resolved options of one search; lengths count the prompt, every default is off."""

    def __init__(
        self,
        *,
        num_beams: int = 1,
        num_return_sequences: int = 1,
        max_length: int = 20,
        min_length: int = 0,
        min_new_tokens: int = 0,
        length_penalty: float = 1.0,
        early_stopping: bool | Literal["never"] = False,
        eos_token_ids: Sequence[int] = (),
        stop_strings: StopStrings | None = None,
        sequence_bias: Sequence[tuple[Sequence[int], float]] = (),
        repetition_penalty: float = 1.0,
        no_repeat_ngram_size: int = 0,
        bad_words_ids: Sequence[Sequence[int]] = (),
        forced_bos_token_id: int | None = None,
        forced_eos_token_ids: Sequence[int] = (),
        remove_invalid_values: bool = False,
        exponential_decay_length_penalty: tuple[int, float] | None = None,
        suppress_tokens: Sequence[int] = (),
        begin_suppress_tokens: Sequence[int] = (),
        renormalize_logits: bool = False,
        do_sample: bool = False,
        temperature: float = 1.0,
        top_k: int = 0,
        top_p: float = 1.0,
        min_p: float = 0.0,
        typical_p: float = 1.0,
        epsilon_cutoff: float = 0.0,
        eta_cutoff: float = 0.0,
    ) -> None: ...
    @property
    def num_beams(self) -> int: ...
    @property
    def num_return_sequences(self) -> int: ...
    @property
    def max_length(self) -> int: ...
    @property
    def min_length(self) -> int: ...
    @property
    def min_new_tokens(self) -> int: ...
    @property
    def length_penalty(self) -> float: ...
    @property
    def early_stopping(self) -> bool | Literal["never"]: ...
    @property
    def eos_token_ids(self) -> list[int]: ...
    @property
    def stop_strings(self) -> StopStrings | None: ...
    @property
    def sequence_bias(self) -> list[tuple[list[int], float]]: ...
    @property
    def repetition_penalty(self) -> float: ...
    @property
    def no_repeat_ngram_size(self) -> int: ...
    @property
    def bad_words_ids(self) -> list[list[int]]: ...
    @property
    def forced_bos_token_id(self) -> int | None: ...
    @property
    def forced_eos_token_ids(self) -> list[int]: ...
    @property
    def remove_invalid_values(self) -> bool: ...
    @property
    def exponential_decay_length_penalty(self) -> tuple[int, float] | None: ...
    @property
    def suppress_tokens(self) -> list[int]: ...
    @property
    def begin_suppress_tokens(self) -> list[int]: ...
    @property
    def renormalize_logits(self) -> bool: ...
    @property
    def do_sample(self) -> bool: ...
    @property
    def temperature(self) -> float: ...
    @property
    def top_k(self) -> int: ...
    @property
    def top_p(self) -> float: ...
    @property
    def min_p(self) -> float: ...
    @property
    def typical_p(self) -> float: ...
    @property
    def epsilon_cutoff(self) -> float: ...
    @property
    def eta_cutoff(self) -> float: ...
    def validate(self, prompt: Sequence[int]) -> None:
        """Raises ValueError for an option out of its range, or that leaves the prompt no token."""

class Hypothesis:
    """One caption as the search found it."""

    @property
    def tokens(self) -> list[int]: ...
    @property
    def token_log_probs(self) -> list[float]: ...
    @property
    def score(self) -> float: ...
    @property
    def finish_reason(self) -> Literal["eos", "stop_string", "length"]: ...

class ImageResult:
    """What the search found for one image: hypotheses, or why there are none."""

    @property
    def hypotheses(self) -> list[Hypothesis]: ...
    @property
    def error(self) -> str | None: ...

class Decoder:
    """Subclass it to search with a model of one's own."""

    def __init__(self) -> None: ...
    def step(self, tokens: NDArray[np.int64]) -> ArrayLike: ...
    def gather(self, parents: NDArray[np.int32]) -> None: ...
    def compact(self, images: NDArray[np.int32]) -> None: ...

def search(
    decoder: Decoder,
    images: int,
    prompt: Sequence[int],
    options: Options,
    image_seeds: Sequence[int] | None = None,
) -> list[ImageResult]: ...
def load_onnxruntime(library_path: str) -> str: ...

class Generated:
    """What a search made of a batch, and what it took."""

    @property
    def results(self) -> list[ImageResult]: ...
    @property
    def encode_ms(self) -> float: ...
    @property
    def search_ms(self) -> float: ...
    @property
    def steps(self) -> int: ...

class PortDescription(TypedDict):
    name: str
    meaning: str
    type: str
    shape: list[int | str | None]

class GraphDescription(TypedDict):
    role: str
    path: str
    inputs: list[PortDescription]
    outputs: list[PortDescription]

class Model:
    """A bundle's graphs, loaded. Safe to use from several threads at once."""

    def __init__(
        self,
        encoder: str,
        decoder: str,
        decoder_with_past: str | None,
        *,
        intra_op_threads: int,
    ) -> None: ...
    @property
    def vocab_size(self) -> int | None: ...
    @property
    def pixel_shape(self) -> tuple[int, int | None, int | None]: ...
    def describe(self) -> list[GraphDescription]: ...
    def encode(self, pixel_values: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]: ...
    def generate(
        self,
        pixel_values: NDArray[np.float32],
        prompt: Sequence[int],
        options: Options,
        image_seeds: Sequence[int] | None = None,
    ) -> Generated: ...
