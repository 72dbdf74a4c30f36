"""The peer: what a careful engineer writes in an afternoon to caption a folder.

Pillow, numpy and onnxruntime's Python API on the same bundle (split layout): batches, cached keys
and values, beam search over all rows of the batch with numpy. No error handling, no resume, no
sinks. The search follows the same rules as ours, so both do the same work and the captions can be
compared.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from PIL import Image, ImageOps
from tokenizers import Tokenizer

_WORST = np.float32(-1e9)


class ScriptPeer:
    """Captions with one bundle whose generation defaults are beam search with early stopping."""

    def __init__(self, bundle: Path, threads: int) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self.encoder, self.first, self.later = (
            onnxruntime.InferenceSession(str(bundle / name), options)
            for name in (
                "encoder_model.onnx",
                "decoder_model.onnx",
                "decoder_with_past_model.onnx",
            )
        )
        self.tokenizer = Tokenizer.from_file(str(bundle / "tokenizer.json"))
        generation = json.loads((bundle / "generation_config.json").read_text())
        if not generation["early_stopping"]:
            raise ValueError("the script knows early_stopping=true only")
        self.start, self.eos = generation["decoder_start_token_id"], generation["eos_token_id"]
        self.beams, self.max_length = generation["num_beams"], generation["max_length"]
        self.length_penalty = generation["length_penalty"]
        size = json.loads((bundle / "preprocessor_config.json").read_text())["size"]
        self.size = (size["width"], size["height"])

    def caption(self, paths: list[Path]) -> list[str]:
        """One batch: paths -> captions."""
        states = self.encoder.run(None, {"pixel_values": self._pixel_values(paths)})[0]
        tokens = self._beam_search(states)
        return [self.tokenizer.decode(row, skip_special_tokens=True).strip() for row in tokens]

    def _pixel_values(self, paths: list[Path]) -> NDArray[np.float32]:
        """[N, 3, H, W]"""
        images = []
        for path in paths:
            image = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
            pixels = np.asarray(image.resize(self.size, Image.Resampling.BILINEAR), np.float32)
            images.append((pixels / 255 - 0.5) / 0.5)
        return np.ascontiguousarray(np.stack(images).transpose(0, 3, 1, 2), np.float32)

    def _beam_search(self, states: NDArray[np.float32]) -> list[list[int]]:
        """states [N, T, D] -> the best sequence of each image."""
        images, beams = len(states), self.beams
        sequences = np.full((images * beams, 1), self.start, np.int64)
        scores = np.tile(np.array([0] + [_WORST] * (beams - 1), np.float32), (images, 1))
        finished: list[list[tuple[float, list[int]]]] = [[] for _ in range(images)]
        logits, past = self._first(sequences, np.repeat(states, beams, axis=0))
        while True:
            totals = (_log_softmax(logits) + scores.reshape(-1, 1)).reshape(images, -1)
            candidates = np.argpartition(-totals, 2 * beams, axis=1)[:, : 2 * beams]
            ranked = np.take_along_axis(totals, candidates, axis=1)
            order = np.argsort(-ranked, axis=1, kind="stable")
            candidates = np.take_along_axis(candidates, order, axis=1)
            ranked = np.take_along_axis(ranked, order, axis=1)
            parents, tokens = np.divmod(candidates, logits.shape[1])
            parents += np.arange(images)[:, None] * beams
            last = sequences.shape[1] + 1 >= self.max_length
            kept = np.zeros((images, beams), np.int64)
            for image in range(images):
                live = self._finish(
                    finished[image], sequences, parents[image], tokens[image], ranked[image], last
                )
                kept[image] = live
            if last or all(len(done) >= beams for done in finished):
                return [max(done, key=lambda pair: pair[0])[1] for done in finished]
            scores = np.take_along_axis(ranked, kept, axis=1)
            rows = np.take_along_axis(parents, kept, axis=1).ravel()
            chosen = np.take_along_axis(tokens, kept, axis=1).reshape(-1, 1)
            sequences = np.concatenate([sequences[rows], chosen], axis=1)
            past = {name: value[rows] for name, value in past.items()}
            logits, past = self._later(chosen, past)

    def _finish(
        self,
        done: list[tuple[float, list[int]]],
        sequences: NDArray[np.int64],
        parents: NDArray[np.int64],
        tokens: NDArray[np.int64],
        ranked: NDArray[np.float32],
        last: bool,
    ) -> list[int]:
        """Files an image's finished candidates; returns the ranks of those that live on."""
        length = sequences.shape[1]
        live = []
        full = len(done) >= self.beams
        for rank, token in enumerate(tokens):
            if token != self.eos and not last:
                live.append(rank)
            elif rank < self.beams and not full:
                score = float(ranked[rank]) / length**self.length_penalty
                done.append((score, [*sequences[parents[rank]][1:].tolist(), int(token)]))
        done.sort(key=lambda pair: -pair[0])
        del done[self.beams :]
        return (live + [0] * self.beams)[: self.beams]

    def _first(self, tokens: NDArray[np.int64], states: NDArray[np.float32]) -> tuple[Any, Any]:
        return self._run(self.first, {"input_ids": tokens, "encoder_hidden_states": states}, {})

    def _later(self, tokens: NDArray[np.int64], past: dict[str, Any]) -> tuple[Any, Any]:
        return self._run(self.later, {"input_ids": tokens, **past}, past)

    def _run(
        self, session: Any, feeds: dict[str, Any], past: dict[str, Any]
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        names = [output.name for output in session.get_outputs()]
        outputs = dict(zip(names, session.run(None, feeds), strict=True))
        logits = outputs.pop("logits")[:, -1]
        fresh = {n.replace("present", "past_key_values"): v for n, v in outputs.items()}
        # Cross-attention's keys and values are constant: the later steps do not return them.
        return logits, {**past, **fresh}


def _log_softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    shifted = logits - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
