"""Captions of any image files: python -m training.caption --bundle DIR FILE ..."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from training.beam import Bundle, caption_photos


def read(path: Path, side: int = 224) -> np.ndarray:
    """One image squashed to uint8 [side, side, 3]."""
    with Image.open(path) as image:
        upright = ImageOps.exif_transpose(image).convert("RGB")
        return np.asarray(upright.resize((side, side), Image.Resampling.BILINEAR))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("files", type=Path, nargs="+")
    args = parser.parse_args()
    captions = caption_photos(Bundle(args.bundle), np.stack([read(path) for path in args.files]))
    for path, caption in zip(args.files, captions, strict=True):
        print(f"{path.name}\t{caption}")


if __name__ == "__main__":
    main()
