"""What the models of tests/data/tiny compute, in NumPy, as decoders that the search can drive.

They keep no caches: a step computes everything anew from all tokens so far, so that what they give
depends on nothing that the runtime has to keep, move or share.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from beamcap import _core

Floats = NDArray[np.float32]

HEADS = 2


def read_weights(folder: Path) -> dict[str, Floats]:
    """The weights of a model, by the names that make_tiny_models.py gave them."""
    return {
        tensor.name: numpy_helper.to_array(tensor).astype(np.float32)
        for file in sorted(folder.glob("*.onnx"))
        for tensor in onnx.load(file).graph.initializer
    }


def encode(weights: dict[str, Floats], pixel_values: Floats) -> Floats:
    """[N, 3, 4, 4] -> [N, 4, 8]"""
    return np.tanh(pixel_values.reshape(len(pixel_values), 4, 12) @ weights["patches"])


class _Reference(_core.Decoder):
    """The bookkeeping of rows, done at once: an image's number and the tokens of each row."""

    def __init__(self, images: int) -> None:
        super().__init__()
        self.image_of_row = np.arange(images)
        self.tokens = np.empty((images, 0), np.int64)

    def step(self, tokens: NDArray[np.int64]) -> Floats:
        self.tokens = np.concatenate([self.tokens, tokens], axis=1)
        return self.logits(self.image_of_row, self.tokens)

    def gather(self, parents: NDArray[np.int32]) -> None:
        self._keep(parents)

    def compact(self, images: NDArray[np.int32]) -> None:
        order = np.unique(self.image_of_row)
        self._keep(np.flatnonzero(np.isin(self.image_of_row, order[images])))

    def _keep(self, rows: NDArray[np.integer]) -> None:
        self.image_of_row, self.tokens = self.image_of_row[rows], self.tokens[rows]

    def logits(self, images: NDArray[np.integer], tokens: NDArray[np.int64]) -> Floats:
        """Of the token after these: [rows], [rows, length] -> [rows, vocabulary]"""
        raise NotImplementedError


class TransformerReference(_Reference):
    """The transformer of every form but "recurrent"."""

    def __init__(self, weights: dict[str, Floats], pixel_values: Floats) -> None:
        super().__init__(len(pixel_values))
        self.weights = weights
        self.states = encode(weights, pixel_values)

    def logits(self, images: NDArray[np.integer], tokens: NDArray[np.int64]) -> Floats:
        length = tokens.shape[1]
        hidden = self.weights["embedding"][tokens] + self.weights["positions"][:length]
        causal = np.tril(np.ones((length, length), bool))
        hidden = hidden + self._attention("self", hidden, hidden, causal)
        states = self.states[images]
        everything = np.ones((length, states.shape[1]), bool)
        hidden = hidden + self._attention("cross", hidden, states, everything)
        return hidden[:, -1] @ self.weights["head"]

    def _attention(
        self, kind: str, hidden: Floats, source: Floats, mask: NDArray[np.bool_]
    ) -> Floats:
        queries, keys, values = (
            self._heads(given @ self.weights[f"{kind}_{name}"])
            for name, given in (("query", hidden), ("key", source), ("value", source))
        )
        scores = queries @ keys.transpose(0, 1, 3, 2) / np.float32(queries.shape[-1] ** 0.5)
        scores = np.where(mask, scores, -np.inf)
        weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
        mixed = weights / weights.sum(axis=-1, keepdims=True) @ values
        joined = mixed.transpose(0, 2, 1, 3).reshape(hidden.shape)
        return joined @ self.weights[f"{kind}_out"]

    @staticmethod
    def _heads(value: Floats) -> Floats:
        rows, length, width = value.shape
        return value.reshape(rows, length, HEADS, width // HEADS).transpose(0, 2, 1, 3)


class RecurrentReference(_Reference):
    """The model of the form "recurrent"."""

    def __init__(self, weights: dict[str, Floats], pixel_values: Floats) -> None:
        super().__init__(len(pixel_values))
        self.weights = weights
        mean = encode(weights, pixel_values).mean(axis=1)
        self.start = np.tanh(mean @ weights["recurrent_start"])

    def logits(self, images: NDArray[np.integer], tokens: NDArray[np.int64]) -> Floats:
        hidden = self.start[images]
        for column in tokens.T:
            word = self.weights["embedding"][column] @ self.weights["recurrent_input"]
            hidden = np.tanh(hidden @ self.weights["recurrent_hidden"] + word)
        return hidden @ self.weights["head"]
