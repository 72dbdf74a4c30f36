"""Any JSON in a bundle's files, or none at all: it is read, or refused by an error that names it.

An ordinary run tries a few examples, always the same. With BEAMCAP_FUZZ_SECONDS set, each test
draws new ones for about so long.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from beamcap import _core, preprocess
from beamcap.bundle import Bundle
from beamcap.options import GenerationOptions
from beamcap.preprocess import Preprocessor

SECONDS = float(os.environ.get("BEAMCAP_FUZZ_SECONDS", "0"))
TINY = Path(__file__).parent.parent / "data" / "parity" / "vit-gpt2-merged"
MOST_PIXELS = 1 << 20  # of an output that is made: larger ones are only described

TOKEN_KEYS = ("decoder_start_token_id", "bos_token_id", "eos_token_id", "pad_token_id")
MODEL_KEYS = ("decoder", "max_position_embeddings", "n_positions", "model_type")
GENERATION_KEYS = (*GenerationOptions.names(), *TOKEN_KEYS)
PREPROCESSOR_KEYS = sorted(preprocess._UNDERSTOOD | preprocess._INERT)
PROCESSORS = sorted(preprocess._DEFAULTS)
SIDES = ("height", "width", "shortest_edge", "longest_edge", "max_height", "max_width")

numbers = (
    st.integers(-2, 1000)
    | st.sampled_from([2**31 - 1, 2**31, 2**62, 2**63, 2**64, 10**400, -(10**400)])
    | st.floats()
    | st.floats(0, 2)
)
scalars = st.none() | st.booleans() | numbers | st.text(max_size=5)
anything = st.recursive(
    scalars,
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(max_size=5), values),
    max_leaves=5,
)
token_lists = st.lists(st.integers(-1, 100), max_size=3)
option_values = scalars | token_lists | st.lists(token_lists, max_size=3) | anything
sizes = st.dictionaries(st.sampled_from(SIDES), numbers, max_size=2) | st.lists(numbers, max_size=3)
pixel_values = scalars | sizes | st.sampled_from(PROCESSORS) | anything
model_values = scalars | st.dictionaries(st.sampled_from(MODEL_KEYS), scalars) | anything


def an_object(base: Any, keys: Any, values: Any) -> Any:
    """A JSON object that is right, but for a few keys: most of these are known."""
    known = st.sampled_from(keys)
    changes = st.dictionaries(known | known | known | st.text(max_size=3), values, max_size=4)
    return st.builds(lambda right, wrong: {**right, **wrong}, base, changes)


def a_file(objects: Any) -> Any:
    """The bytes of a file that should hold such an object."""
    encoded = st.builds(lambda content: json.dumps(content).encode(), objects)
    other = st.builds(lambda content: json.dumps(content).encode(), anything)
    cut = st.builds(lambda content, end: content[:end], encoded, st.integers(0, 100))
    broken = st.sampled_from(
        [b"[" * 20_000, b'{"size":' * 20_000, b"1" * 10_000, b"\xef\xbb\xbf{}"]
    )
    mostly = encoded | encoded | encoded | encoded
    return mostly | other | cut | broken | st.binary(max_size=20)


tokens = st.just({"decoder_start_token_id": 1, "eos_token_id": 2})
processors = st.builds(lambda name: {"image_processor_type": name}, st.sampled_from(PROCESSORS))
model_files = a_file(an_object(tokens, (*MODEL_KEYS, *GENERATION_KEYS), model_values))
generation_files = a_file(an_object(tokens, GENERATION_KEYS, option_values))
preprocessor_files = a_file(an_object(processors, PREPROCESSOR_KEYS, pixel_values))
file_names = st.text(max_size=5) | st.sampled_from(["weights.bin", "..", "/", ".", "x" * 300])


def a_graph(names: list[str]) -> bytes:
    """Enough of an ONNX graph to name the files of its weights."""
    return b"\x08\x07" + b"".join(b"\n\x08location\x12" + a_string(name) for name in names)


def a_string(text: str) -> bytes:
    """As protobuf writes it: its length in bytes, 7 bits a byte, the lowest first."""
    data = text.encode()
    length = (
        bytes([len(data)]) if len(data) < 128 else bytes([len(data) % 128 + 128, len(data) // 128])
    )
    return length + data


graph_files = st.builds(a_graph, st.lists(file_names, max_size=2)) | st.binary(max_size=40)
FILES = {
    "config.json": model_files,
    "generation_config.json": generation_files,
    "preprocessor_config.json": preprocessor_files,
    "encoder_model.onnx": graph_files,
}
ORIGINALS = {name: (TINY / name).read_bytes() for name in FILES}


def fuzz(**strategies: Any) -> Callable[[Callable[..., None]], Callable[[Path], None]]:
    """Makes a test of examples drawn from the strategies, all in one folder."""

    def decorate(test: Callable[..., None]) -> Callable[[Path], None]:
        run = settings(
            max_examples=100,
            derandomize=not SECONDS,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
        )(given(**strategies)(test))

        def fuzzed(tmp_path: Path) -> None:
            end = time.monotonic() + SECONDS
            run(tmp_path)
            while time.monotonic() < end:
                run(tmp_path)

        return fuzzed

    return decorate


@fuzz(files=st.fixed_dictionaries({}, optional=FILES), has_generation_config=st.booleans())
def test_bundle(folder: Path, files: dict[str, bytes], has_generation_config: bool) -> None:
    model = folder / "model"
    if not model.exists():
        shutil.copytree(TINY, model)
    for name, content in {**ORIGINALS, **files}.items():
        (model / name).write_bytes(content)
    if not has_generation_config:
        (model / "generation_config.json").unlink()
    try:
        bundle = Bundle.find(model)
    except ValueError as error:
        assert str(model) in str(error)
        return
    assert bundle.model_id.startswith("model@")
    check_options(bundle.defaults)


def check_options(options: GenerationOptions) -> None:
    """What the model's defaults passed, the core can be asked for, or refuses in its own words."""
    with suppress(ValueError):
        _core.Options(**options.search_arguments(1))


@fuzz(content=preprocessor_files)
def test_preprocessor(folder: Path, content: bytes) -> None:
    path = folder / "preprocessor_config.json"
    path.write_bytes(content)
    try:
        preprocessor = Preprocessor.load(path)
    except ValueError as error:
        assert str(path) in str(error)
        return
    check_pixels(preprocessor)


def check_pixels(preprocessor: Preprocessor) -> None:
    """What a recipe makes of an image is as large as it says, and finite."""
    try:
        shape = (preprocessor.height, preprocessor.width)
    except ValueError:
        return  # it follows the image
    if shape[0] * shape[1] > MOST_PIXELS:
        return
    try:
        pixels = preprocessor([np.arange(45, dtype=np.uint8).reshape(3, 5, 3)])
    except ValueError as error:
        assert "an image of 3x5 would become" in str(error)  # and not fit: that image's error
        return
    assert pixels.shape == (1, 3, *shape)
    assert np.isfinite(pixels).all()
