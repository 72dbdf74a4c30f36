"""What both sides of a parity test agree on: a configuration and its captions. Needs no torch."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from configurations import Configuration

GOLDEN = Path(__file__).parent.parent / "data" / "parity"
"""A folder a bundle, with its cases in CASES; make_golden.py makes them."""
CASES = "cases.jsonl"
BUNDLES = sorted(path.parent for path in GOLDEN.glob(f"*/{CASES}"))


class Hypothesis(NamedTuple):
    """One caption as the product returns it."""

    tokens: list[int]
    """Generated ids with the EOS that ended them, without prompt or padding."""
    score: float
    log_probs: list[float] | None = None
    """Of each token, by the model's raw logits; None where they are not stored."""


class Case(NamedTuple):
    """A configuration and the reference's captions."""

    configuration: Configuration
    captions: list[list[Hypothesis]]
    """At most num_return_sequences an image, best first; none where every continuation is banned,
    for which the product has an error."""


def write_cases(path: Path, cases: Iterable[Case]) -> None:
    """Writes cases as JSON, one a line."""
    with path.open("w") as lines:
        for configuration, captions in cases:
            record = configuration._asdict()
            record["captions"] = [
                [{"tokens": tokens, "score": float(f"{score:.7g}")} for tokens, score, _ in caption]
                for caption in captions
            ]
            lines.write(json.dumps(record, separators=(",", ":")) + "\n")


def read_cases(path: Path) -> list[Case]:
    """Reads what write_cases wrote."""
    records = [json.loads(line) for line in path.read_text().splitlines()]
    return [
        Case(
            captions=[
                [Hypothesis(**item) for item in caption] for caption in record.pop("captions")
            ],
            configuration=Configuration(**record),
        )
        for record in records
    ]
