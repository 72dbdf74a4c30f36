"""Model bundles: find one, check that it is whole, read its configuration.

A bundle is a folder in the layout that Optimum's ONNX export writes: the graphs (next to the
configuration or under onnx/), config.json, generation_config.json, preprocessor_config.json and
tokenizer.json. Which role a graph's inputs play is the runtime's to find out.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

from .generation_config import read_generation_config
from .options import GenerationOptions

_EMBEDDED = Path(__file__).parent / "models"
_GRAPH_FOLDERS = (".", "onnx")
_ENCODER = "encoder_model.onnx"
_MERGED_DECODER = "decoder_model_merged.onnx"
_DECODER = "decoder_model.onnx"
_DECODER_WITH_PAST = "decoder_with_past_model.onnx"
_PREPROCESSOR_CONFIG = "preprocessor_config.json"
_TOKENIZER = "tokenizer.json"

# ONNX keeps the name of an external data file as a protobuf string map entry:
# key (field 1, 8 bytes) "location", value (field 2) with its length in a varint.
_EXTERNAL_DATA = re.compile(rb"\n\x08location\x12([\x01-\x7f]|[\x80-\xff][\x01-\x0f])")
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Bundle:
    """A model on disk, complete and with readable configuration; nothing is loaded yet."""

    name: str
    path: Path
    encoder: Path
    decoder: Path
    decoder_with_past: Path | None
    external_data: tuple[Path, ...]
    """The files beside the graphs that hold their weights."""
    tokenizer: Path
    preprocessor_config: dict[str, Any]
    defaults: GenerationOptions
    """The model's own generation defaults."""
    start_token_id: int
    eos_token_ids: tuple[int, ...]
    pad_token_id: int | None
    max_positions: int | None
    """Tokens that the decoder has positions for; None if the configuration does not say."""

    @classmethod
    def find(cls, model: str | Path) -> Bundle:
        """Finds the bundle of an embedded model's name or of a folder, and checks it.

        Raises:
            ValueError: there is no such model, or a file is missing or unreadable; the message
                names it.
        """
        path = _locate(model)
        encoder, decoder, decoder_with_past = graphs = _find_graphs(path)
        external_data = {data for graph in graphs if graph for data in _external_data(graph)}
        config = _read_json(path / "config.json")
        generation = _generation_config(path, config)
        tokenizer = path / _TOKENIZER
        if not tokenizer.is_file():
            raise ValueError(f"model {path}: {_TOKENIZER} is missing")
        try:
            defaults = read_generation_config(generation)
        except (TypeError, ValueError) as error:
            raise ValueError(f"model {path}: {error}") from error
        return cls(
            name=path.name,
            path=path,
            encoder=encoder,
            decoder=decoder,
            decoder_with_past=decoder_with_past,
            external_data=tuple(sorted(external_data)),
            tokenizer=tokenizer,
            preprocessor_config=_read_json(path / _PREPROCESSOR_CONFIG),
            defaults=defaults,
            start_token_id=_start_token_id(path, generation),
            eos_token_ids=_eos_token_ids(path, generation),
            pad_token_id=_token_id(path, "pad_token_id", generation.get("pad_token_id")),
            max_positions=_max_positions(config),
        )

    @cached_property
    def fingerprint(self) -> str:
        """16 hex digits of the SHA-256 over everything that a caption depends on."""
        graphs = (self.encoder, self.decoder, self.decoder_with_past)
        files = {file.name: file for file in (*graphs, *self.external_data) if file}
        for name in ("config.json", "generation_config.json", _PREPROCESSOR_CONFIG, _TOKENIZER):
            files[name] = self.path / name
        digest = hashlib.sha256()
        for name, file in sorted(files.items()):
            if file.is_file():
                digest.update(f"{name}\0{file.stat().st_size}\0".encode())
                _digest_file(digest, file)
        return digest.hexdigest()[:16]

    @property
    def model_id(self) -> str:
        """Names the model in every record: its name and its fingerprint."""
        return f"{self.name}@{self.fingerprint}"


def embedded_models() -> list[str]:
    """Names of the models that the package carries."""
    return sorted(
        folder.name for folder in _EMBEDDED.iterdir() if (folder / "config.json").exists()
    )


def _locate(model: str | Path) -> Path:
    embedded = embedded_models()
    if str(model) in embedded:
        return _EMBEDDED / str(model)
    path = Path(model)
    try:
        if path.is_dir():
            return path.resolve()
        what = "is a file" if path.exists() else "does not exist"
    except OSError as error:  # a name that is too long, or a folder that is closed to us
        what = f"cannot be looked up ({error.strerror})"
    raise ValueError(
        f"model {str(model)!r} {what}: give the folder of a model bundle, or the name of an "
        f"embedded model ({', '.join(embedded)})"
    )


def _find_graphs(path: Path) -> tuple[Path, Path, Path | None]:
    for folder in _GRAPH_FOLDERS:
        encoder = path / folder / _ENCODER
        if not encoder.is_file():
            continue
        merged, decoder, with_past = (
            encoder.with_name(name) for name in (_MERGED_DECODER, _DECODER, _DECODER_WITH_PAST)
        )
        if merged.is_file():
            return encoder, merged, None
        if decoder.is_file():
            return encoder, decoder, with_past if with_past.is_file() else None
        raise ValueError(
            f"model {path}: {encoder.name} has no decoder beside it: expected {_MERGED_DECODER}, "
            f"or {_DECODER} (with {_DECODER_WITH_PAST} for a cached decoder)"
        )
    raise ValueError(
        f"model {path}: {_ENCODER} is missing (looked in the folder and in onnx/): a bundle "
        "has the layout of Optimum's ONNX export"
    )


def _external_data(graph: Path) -> list[Path]:
    """The files beside a graph that hold its weights.

    Raises:
        ValueError: one is missing, or its name leaves the graph's folder.
    """
    names = set()
    with graph.open("rb") as stream, _mapped(stream) as content:
        for match in _EXTERNAL_DATA.finditer(content):
            varint = match.group(1)
            length = varint[0] if len(varint) == 1 else (varint[0] & 0x7F) | (varint[1] << 7)
            names.add(content[match.end() : match.end() + length].decode("utf-8", "replace"))
    for name in names:
        # By name, not resolved: a hub's cache links its files out of the folder.
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise ValueError(f"model {graph.parent}: {graph.name} refers to {name!r}, outside it")
        if not _is_file(graph.parent / name):
            raise ValueError(
                f"model {graph.parent}: {graph.name} keeps its weights in {name}, which is missing"
            )
    return [graph.parent / name for name in sorted(names)]


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # as in _locate
        return False


def _mapped(stream: BinaryIO) -> mmap.mmap:
    try:
        return mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
    except ValueError:
        raise ValueError(f"model graph {stream.name} is empty") from None


def _digest_file(digest: Any, file: Path) -> None:
    with file.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)


def _read_json(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(f"model {file.parent}: {file.name} is missing") from None
    except (OSError, RecursionError, ValueError) as error:
        raise ValueError(f"model {file.parent}: {file.name} cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"model {file.parent}: {file.name} must hold a JSON object")
    return content


def _generation_config(path: Path, config: dict[str, Any]) -> dict[str, Any]:
    """generation_config.json; where a bundle has none, what its config.json says, as the reference
    reads it: the decoder's part first, the model's own over it."""
    if (path / "generation_config.json").exists():
        return _read_json(path / "generation_config.json")
    decoder = config.get("decoder")
    merged = dict(decoder) if isinstance(decoder, dict) else {}
    merged.update({name: value for name, value in config.items() if value is not None})
    return merged


def _start_token_id(path: Path, generation: dict[str, Any]) -> int:
    for name in ("decoder_start_token_id", "bos_token_id"):
        token = _token_id(path, name, generation.get(name))
        if token is not None:
            return token
    raise ValueError(
        f"model {path}: neither decoder_start_token_id nor bos_token_id is set in "
        "generation_config.json: the search has no token to start from"
    )


def _eos_token_ids(path: Path, generation: dict[str, Any]) -> tuple[int, ...]:
    given = generation.get("eos_token_id")
    tokens = given if isinstance(given, list) else [] if given is None else [given]
    return tuple(_required_token_id(path, "eos_token_id", token) for token in tokens)


def _token_id(path: Path, name: str, token: object) -> int | None:
    return None if token is None else _required_token_id(path, name, token)


def _required_token_id(path: Path, name: str, token: object) -> int:
    # Some graphs take their tokens as int32.
    if isinstance(token, bool) or not isinstance(token, int) or not 0 <= token < 1 << 31:
        raise ValueError(
            f"model {path}: {name}={token!r} is not a token id (an integer >= 0 of 32 bits)"
        )
    return token


def _max_positions(config: dict[str, Any]) -> int | None:
    decoder = config.get("decoder")
    for name in ("max_position_embeddings", "n_positions"):
        positions = (decoder if isinstance(decoder, dict) else config).get(name)
        if isinstance(positions, int) and positions > 0:
            return positions
    return None
