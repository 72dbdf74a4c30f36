"""Makes tests/data/parity/: small bundles and what transformers' generate() answers for them.

    python tests/parity/make_golden.py

Needs torch, transformers and onnx. Prints how lively the cases are, and stops where they would test
little.
"""

from __future__ import annotations

import random
import shutil

import torch
import transformers
from cases import CASES, GOLDEN, write_cases
from export_reference import export
from reference_models import build
from reference_search import Liveliness, answer_many

CASES_PER_BUNDLE = 130
BUNDLES = [  # encoder, decoder, form of the decoder's graphs
    ("vit", "gpt2", "merged"),
    ("deit", "bert", "plain"),
    ("swin", "bart", "split"),
    ("vit", "trocr", "merged"),
]
FIRST_SEED = 6  # of those tried, all four models tell images apart best from here


def main() -> None:
    transformers.logging.set_verbosity_error()
    torch.set_num_threads(1)  # more only get in each other's way in a model this small
    shutil.rmtree(GOLDEN, ignore_errors=True)
    for seed, (encoder, decoder, form) in enumerate(BUNDLES, start=FIRST_SEED):
        folder = GOLDEN / f"{encoder}-{decoder}-{form}"
        reference = build(encoder, decoder, seed)
        export(reference.model, folder, form)
        liveliness = Liveliness()
        cases = answer_many(reference, random.Random(seed), CASES_PER_BUNDLE, liveliness)
        print(folder.name, liveliness)
        liveliness.check()
        write_cases(folder / CASES, cases)


if __name__ == "__main__":
    main()
