"""Trains beamcap-small from a data folder: python -m training.train --data DIR [--work DIR].

Every stage leaves a checkpoint in the work folder; a second run goes on where the first stopped.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch
from tokenizers import Tokenizer

from training.backbone import load_backbone
from training.cider import CiderD, words
from training.cross_entropy import CrossEntropySettings, train_cross_entropy
from training.data import Photos, load_split
from training.export import export
from training.generate import greedy_captions
from training.model import Captioner, Sizes
from training.self_critical import SelfCriticalSettings, train_self_critical
from training.text import encode, load_tokenizer

LONGEST = 24  # tokens of a caption, </s> included
DROPOUT = 0.25


class Monitor:
    """Greedy captions of the dev photos, scored with our CIDEr-D; printed and logged."""

    def __init__(self, dev: Photos, tokenizer: Tokenizer, log: Path):
        self.dev, self.tokenizer, self.log = dev, tokenizer, log
        self.cider = CiderD(dev.captions)

    def __call__(self, model: Captioner, line: str) -> float:
        start = time.time()
        captions = greedy_captions(model, self.tokenizer, self.dev, LONGEST)
        scores = [self.cider.score(i, words(c)) for i, c in enumerate(captions)]
        score = sum(scores) / len(scores)
        distinct = 1000 * len(set(captions)) // len(captions)
        line = f"{line} | dev greedy CIDEr-D {score:.4f} distinct {distinct}"
        line += f" ({time.time() - start:.0f}s) e.g. {captions[:3]}"
        print(line, flush=True)
        with self.log.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
        return score


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="holds flickr8k/ and backbone/")
    parser.add_argument("--work", type=Path, default=Path("training-work"))
    parser.add_argument("--out", type=Path, help="the bundle; default: WORK/beamcap-small")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)

    train = load_split(args.data, args.work, "train")
    dev = load_split(args.data, args.work, "dev")
    sizes = Sizes()
    tokenizer = load_tokenizer(args.work / "tokenizer.json", train.captions, sizes.vocabulary)
    ids = encode(tokenizer, train.captions, LONGEST)
    monitor = Monitor(dev, tokenizer, args.work / "log.txt")

    backbone = load_backbone(args.data / "backbone" / "mobilenet_v2_224_fp32.onnx")
    model = Captioner(sizes, backbone, DROPOUT).to(memory_format=torch.channels_last)
    model = train_cross_entropy(
        model, train, ids, CrossEntropySettings(), args.work / "cross_entropy.pt", monitor
    )
    checkpoint = args.work / "self_critical.pt"
    model = train_self_critical(
        model, train, tokenizer, LONGEST, SelfCriticalSettings(), checkpoint, monitor
    )
    export(model, args.work / "tokenizer.json", args.out or args.work / "beamcap-small")


if __name__ == "__main__":
    main()
