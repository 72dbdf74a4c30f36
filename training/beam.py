"""A plain beam search over a bundle with ONNX Runtime and numpy (transformers' semantics).

Stands in for the product's own Captioner; `caption_photos` is the only function others call.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnxruntime as ort
from tokenizers import Tokenizer


class Bundle:
    """Sessions, tokenizer and configuration of a bundle folder."""

    def __init__(self, folder: Path, threads: int = 2):
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads

        def session(name: str) -> ort.InferenceSession:
            return ort.InferenceSession(str(folder / name), options, ["CPUExecutionProvider"])

        self.encoder = session("encoder_model.onnx")
        self.first = session("decoder_model.onnx")
        self.later = session("decoder_with_past_model.onnx")
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.generation = json.loads((folder / "generation_config.json").read_text())
        self.preprocess = json.loads((folder / "preprocessor_config.json").read_text())

    def encode(self, pixels: np.ndarray) -> np.ndarray:
        """uint8 [N, 224, 224, 3] -> hidden states [N, 50, D]."""
        x = pixels.transpose(0, 3, 1, 2).astype(np.float32) * self.preprocess["rescale_factor"]
        mean, std = (
            np.array(self.preprocess[key], np.float32).reshape(1, 3, 1, 1)
            for key in ("image_mean", "image_std")
        )
        return self.encoder.run(None, {"pixel_values": (x - mean) / std})[0]


class Steps:
    """Decoder with its caches for a batch of beams."""

    def __init__(self, bundle: Bundle, hidden: np.ndarray):
        self.bundle, self.hidden = bundle, hidden
        self.past: dict[str, np.ndarray] = {}

    def logits(self, tokens: np.ndarray) -> np.ndarray:
        """Newest tokens [R] -> logits [R, V]."""
        feed = {"input_ids": tokens[:, None]}
        if self.past:
            session, feed = self.bundle.later, feed | self.past
        else:
            session, feed = self.bundle.first, feed | {"encoder_hidden_states": self.hidden}
        names = [output.name for output in session.get_outputs()]
        values = dict(zip(names, session.run(names, feed), strict=True))
        logits = values.pop("logits")[:, -1]
        for name, value in values.items():
            self.past[name.replace("present", "past_key_values")] = value
        return logits

    def reorder(self, rows: np.ndarray) -> None:
        self.past = {name: value[rows] for name, value in self.past.items()}


class Hypotheses:
    """Finished captions of one photo."""

    def __init__(self, beams: int, penalty: float, early: bool):
        self.beams, self.penalty, self.early = beams, penalty, early
        self.best: list[tuple[float, list[int]]] = []
        self.done = False

    def add(self, ids: list[int], total: float, length: int) -> None:
        """`length`: tokens generated, the end included."""
        self.best.append((total / length**self.penalty, ids))
        self.best = sorted(self.best, key=lambda item: -item[0])[: self.beams]

    def finish(self, highest: float, length: int) -> None:
        """Done when nothing that still runs can (or, with early stopping, need) do better."""
        full = len(self.best) >= self.beams
        reachable = highest / length**self.penalty
        self.done = self.done or (full and (self.early or self.best[-1][0] >= reachable))


def log_softmax(x: np.ndarray) -> np.ndarray:
    x = x - x.max(-1, keepdims=True)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def search(bundle: Bundle, hidden: np.ndarray, beams: int, **changes: float) -> list[list[int]]:
    """Hidden states [N, 50, D] -> the ids of the best caption of each photo, without specials."""
    config = bundle.generation | changes
    end, longest = config["eos_token_id"], config["max_length"]
    photos = len(hidden)
    found = [
        Hypotheses(beams, config["length_penalty"], config["early_stopping"]) for _ in range(photos)
    ]
    steps = Steps(bundle, np.repeat(hidden, beams, 0))
    ids = np.full((photos * beams, 1), config["decoder_start_token_id"], np.int64)
    totals = np.full((photos, beams), -1e9)
    totals[:, 0] = 0
    for length in range(1, longest):
        scores = log_softmax(steps.logits(ids[:, -1])).reshape(photos, beams, -1)
        scores = (scores + totals[:, :, None]).reshape(photos, -1)
        vocabulary = scores.shape[1] // beams
        top = np.argpartition(-scores, 2 * beams, 1)[:, : 2 * beams]
        top = np.take_along_axis(top, np.argsort(-np.take_along_axis(scores, top, 1), 1), 1)
        rows, tokens = np.zeros((photos, beams), int), np.zeros((photos, beams), np.int64)
        for photo in range(photos):
            kept = 0
            for rank, index in enumerate(top[photo]):
                row, token = photo * beams + index // vocabulary, index % vocabulary
                total = scores[photo, index]
                if token == end:
                    if rank < beams and not found[photo].done:
                        found[photo].add(ids[row, 1:].tolist(), total, length)
                elif kept < beams:
                    rows[photo, kept], tokens[photo, kept] = row, token
                    totals[photo, kept] = total
                    kept += 1
            found[photo].finish(scores[photo].max(), length)
        ids = np.concatenate([ids[rows.ravel()], tokens.reshape(-1, 1)], 1)
        steps.reorder(rows.ravel())
        if all(item.done for item in found):
            break
    for photo, item in enumerate(found):
        if not item.done:
            for beam in range(beams):
                sequence = ids[photo * beams + beam, 1:].tolist()
                item.add(sequence, totals[photo, beam], len(sequence))
    return [item.best[0][1] for item in found]


def caption_photos(
    bundle: Bundle, pixels: np.ndarray, beams: int | None = None, batch: int = 50, **changes: float
) -> list[str]:
    """uint8 [N, 224, 224, 3] -> captions; `changes` override the generation config."""
    beams = beams or bundle.generation["num_beams"]
    captions = []
    for start in range(0, len(pixels), batch):
        hidden = bundle.encode(pixels[start : start + batch])
        ids = search(bundle, hidden, beams, **changes)
        captions += bundle.tokenizer.decode_batch(ids, skip_special_tokens=True)
    return captions
