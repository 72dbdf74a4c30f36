"""The values that travel: an image to caption, its caption, or why it has none."""

# Annotations must not be postponed here: Beam reads them to find the schemas of these rows.
from typing import NamedTuple


class ImageInput(NamedTuple):
    """One image to caption."""

    key: str
    """Identifies the image in the output; unique within a run if results are joined on it.
    Sampling draws by it: images of one key share their draws."""
    uri: str
    """Where the image came from; the path or URL, or any name the caller gave."""
    data: bytes
    """The encoded image (JPEG, PNG, WebP, ...)."""
    metadata: dict[str, str] = {}  # noqa: RUF012 - a NamedTuple's default; nothing mutates it
    """Carried through to the result."""


class Candidate(NamedTuple):
    """One of the num_return_sequences captions of an image."""

    caption: str
    """Its text: the prompt, unless strip_prompt leaves it out, and what was generated."""
    score: float
    """Beam search: sum of log-probabilities / (generated tokens)**length_penalty, as the reference
    scores it. Otherwise: the same formula over log-softmax of the raw logits."""
    token_ids: list[int]
    """Generated ids with the EOS that ended them, without start token, prompt or padding."""
    finish_reason: str
    """"eos", "length" or "stop_string"."""
    confidence: float
    """Mean probability, 0 to 1, that the model itself gave the generated tokens."""
    repetition: bool
    """Whether the caption goes round in circles."""
    token_log_probs: list[float]
    """log-softmax of the model's raw logits for each of token_ids; empty unless
    output_token_log_probs asks for them."""


class Caption(NamedTuple):
    """The caption of one image: the best candidate, and all of them."""

    key: str
    uri: str
    caption: str
    score: float
    token_ids: list[int]
    finish_reason: str
    confidence: float
    repetition: bool
    token_log_probs: list[float]
    candidates: list[Candidate]
    """num_return_sequences of them, fewer where bans leave no more; the first is the caption
    itself. A search with beams gives the best first; without, they stay as they were drawn."""
    model_id: str
    """Name and fingerprint of the model that wrote it."""
    width: int
    """Pixels of the decoded image, after EXIF orientation."""
    height: int
    metadata: dict[str, str] = {}  # noqa: RUF012 - a NamedTuple's default; nothing mutates it


class CaptionError(NamedTuple):
    """Why an image has no caption. A value, never raised: its batch goes on without it."""

    key: str
    uri: str
    stage: str
    """Where it failed: "read", "decode", "preprocess", "encode" or "search"."""
    reason: str
    """A short machine-readable word, stable across versions, e.g. "truncated"."""
    message: str
    """What was wrong, for a person."""
    attempts: int = 1
    metadata: dict[str, str] = {}  # noqa: RUF012 - a NamedTuple's default; nothing mutates it
