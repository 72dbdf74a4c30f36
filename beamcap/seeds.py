"""Seeds of sampling: one for each image, whatever its batch, its process or its machine."""

from __future__ import annotations

import hashlib

_BYTES = 8  # what the core takes: 64 bits


def image_seed(seed: int, key: str) -> int:
    """The seed of an image's own generator: the 64-bit BLAKE2b of the run's seed and its key.

    Stable across versions: whoever samples again with the same seed gets the same captions.
    """
    # A path need not be valid Unicode.
    text = f"{seed}\0{key}".encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(text, digest_size=_BYTES).digest(), "little")
