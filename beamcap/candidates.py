"""What the search found, as people read it: text, and what to think of it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from tokenizers import Tokenizer

from .repetition import is_repetitive
from .types import Candidate

if TYPE_CHECKING:
    from ._core import Hypothesis


def make_candidate(
    hypothesis: Hypothesis,
    tokenizer: Tokenizer,
    prompt: list[int],
    *,
    strip_prompt: bool,
    token_log_probs: bool,
) -> Candidate:
    """A hypothesis as a caption.

    Args:
        hypothesis: as the core gives it.
        tokenizer: the model's.
        prompt: the tokens of the prompt, without the start token.
        strip_prompt: whether to leave the prompt out of the caption.
        token_log_probs: whether to keep the log-probability of every token.
    """
    tokens = list(hypothesis.tokens)
    log_probs = hypothesis.token_log_probs
    caption = tokenizer.decode([*prompt, *tokens], skip_special_tokens=True)
    if strip_prompt:
        # Of the text, not of the tokens: a token may read otherwise where a text begins.
        caption = caption.removeprefix(tokenizer.decode(prompt, skip_special_tokens=True))
    return Candidate(
        caption=caption.strip(),
        score=hypothesis.score,
        token_ids=tokens,
        finish_reason=hypothesis.finish_reason,
        confidence=math.fsum(map(math.exp, log_probs)) / len(log_probs),
        repetition=is_repetitive(caption),
        token_log_probs=list(log_probs) if token_log_probs else [],
    )
