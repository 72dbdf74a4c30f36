"""Figures of a bundle on the dev photos: python -m training.evaluate --data DIR --bundle DIR.

BLEU and CIDEr by pycocoevalcap, captions and references through its PTB tokenizer (needs Java).
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import io
import json
import tempfile
from pathlib import Path

import numpy as np

from beamcap import Captioner, CaptionError, GenerationOptions
from training.data import Photos, load_split


def figures(captions: list[str], references: list[list[str]]) -> dict[str, float]:
    """BLEU-1..4, CIDEr, distinct captions per 1,000 and mean length in words."""
    from pycocoevalcap.bleu.bleu import Bleu
    from pycocoevalcap.cider.cider import Cider
    from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

    tokenizer = PTBTokenizer()
    truth = {i: [{"caption": c} for c in group] for i, group in enumerate(references)}
    given = {i: [{"caption": c}] for i, c in enumerate(captions)}
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        truth, given = tokenizer.tokenize(truth), tokenizer.tokenize(given)
        bleu, _ = Bleu(4).compute_score(truth, given)
        cider, _ = Cider().compute_score(truth, given)
    result = {f"BLEU-{n}": float(score) for n, score in enumerate(bleu, 1)}
    result["CIDEr"] = float(cider)
    result["distinct per 1000"] = 1000 * len(set(captions)) / len(captions)
    result["words"] = sum(len(c.split()) for c in captions) / len(captions)
    return result


def last_words(captions: list[str]) -> list[tuple[str, int]]:
    """The commonest last words: articles and prepositions here are broken endings."""
    return collections.Counter(c.split()[-1] for c in captions if c).most_common(12)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--work", type=Path, help="keeps decoded photos between runs")
    parser.add_argument("--beams", type=int, action="append", help="default: 3, and 1 (greedy)")
    parser.add_argument("--length-penalty", type=float)
    parser.add_argument("--captions", type=Path, help="write the captions of the first run here")
    args = parser.parse_args()
    captioner = Captioner.load(args.bundle)
    with tempfile.TemporaryDirectory() as temporary:
        dev = load_split(args.data, args.work or Path(temporary), "dev")
        for beams in args.beams or [3, 1]:
            options = GenerationOptions(num_beams=beams, length_penalty=args.length_penalty)
            captions = captions_of(captioner, dev, options)
            scores = figures(captions, dev.captions)
            print(f"beams {beams}:", json.dumps({k: round(v, 4) for k, v in scores.items()}))
            print("  last words:", last_words(captions))
            if args.captions:
                lines = [f"{n}\t{c}\n" for n, c in zip(dev.names, captions, strict=True)]
                args.captions.write_text("".join(lines), encoding="utf-8")
                args.captions = None


def captions_of(captioner: Captioner, photos: Photos, options: GenerationOptions) -> list[str]:
    """One caption a photo, as the shipped product writes it."""
    results = captioner.caption((np.array(pixels) for pixels in photos.pixels), options)
    errors = [result for result in results if isinstance(result, CaptionError)]
    if errors:
        raise RuntimeError(f"{len(errors)} photos have no caption; the first: {errors[0]}")
    return [result.caption for result in results]


if __name__ == "__main__":
    main()
