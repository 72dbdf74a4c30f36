"""Decoded images to the encoder's input, as a model's preprocessor_config.json says.

The meaning of a configuration is that of transformers' processors with backend="pil", whose floats
come out exactly; the defaults below are those of transformers 5.23.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from beamcap import _core

_HALF = (0.5, 0.5, 0.5)
_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)
_CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
_CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
_NEAREST, _BILINEAR, _BICUBIC = 0, 2, 3
_MOST_PIXELS = 1 << 62  # of a side that the core can be given; its own limits are lower

# What all the processors below do, and what a configuration that names none gets.
_COMMON: dict[str, Any] = {
    "do_resize": True,
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "default_to_square": True,
}
_VIT = {"size": 224, "resample": _BILINEAR, "image_mean": _HALF, "image_std": _HALF}
_CLIP = {
    "size": 224,
    "default_to_square": False,
    "do_center_crop": True,
    "crop_size": 224,
    "resample": _BICUBIC,
    "image_mean": _CLIP_MEAN,
    "image_std": _CLIP_STD,
}
_BEIT = "BeitImageProcessor"
_CONVNEXT = "ConvNextImageProcessor"
_DONUT = "DonutImageProcessor"
_SAM = "SamImageProcessor"
_DEFAULTS: dict[str, dict[str, Any]] = {
    "ViTImageProcessor": _VIT,  # Swin too
    "DeiTImageProcessor": {
        **_VIT,
        "size": 256,
        "do_center_crop": True,
        "crop_size": 224,
        "resample": _BICUBIC,
    },
    _BEIT: {**_VIT, "crop_size": 224, "resample": _BICUBIC},
    "CLIPImageProcessor": _CLIP,  # GIT too
    "BitImageProcessor": _CLIP,  # DINOv2 too
    "BlipImageProcessor": {
        "size": 384,
        "resample": _BICUBIC,
        "image_mean": _CLIP_MEAN,
        "image_std": _CLIP_STD,
    },
    "SiglipImageProcessor": {
        **_VIT,
        "size": {"height": 224, "width": 224},
        "default_to_square": False,
        "resample": _BICUBIC,
    },
    _CONVNEXT: {
        **_VIT,
        "size": 384,
        "default_to_square": False,
        "resample": _BICUBIC,
        "crop_pct": 224 / 256,
    },
    _DONUT: {
        **_VIT,
        "size": {"height": 2560, "width": 1920},
        "do_thumbnail": True,
        "do_pad": True,
    },
    _SAM: {
        "size": {"longest_edge": 1024},
        "resample": _BILINEAR,
        "image_mean": _IMAGENET_MEAN,
        "image_std": _IMAGENET_STD,
        "do_pad": True,
        "pad_size": 1024,
    },
}

# Keys that only these processors know, or do not know.
_OWN = {"crop_pct": _CONVNEXT, "do_thumbnail": _DONUT}
_DO_NOT_PAD = (_BEIT, _CONVNEXT)
_UNDERSTOOD = frozenset(_COMMON) | {key for keys in _DEFAULTS.values() for key in keys}
# Keys that do not touch the pixels of an RGB image: where the file came from, labels, containers.
_INERT = frozenset(
    {
        "_name_or_path",
        "_processor_class",
        "_valid_processor_keys",
        "auto_map",
        "data_format",
        "device",
        "disable_grouping",
        "do_convert_rgb",
        "do_reduce_labels",
        "feature_extractor_type",
        "image_processor_type",
        "image_seq_length",
        "input_data_format",
        "mask_pad_size",
        "mask_size",
        "model_input_names",
        "processor_class",
        "reduce_labels",
        "return_tensors",
        "transformers_version",
    }
)


_RECIPE_FIELDS = (
    "size",
    "shortest_edge",
    "longest_edge",
    "max_size",
    "thumbnail",
    "crop_size",
    "pad_size",
    "padding",
    "resample",
    "pass_order",
    "rescale_factor",
    "image_mean",
    "image_std",
)


class Preprocessor:
    """Resizes, crops, rescales, normalises and pads images for one model.

    Thread-safe. Images are uint8 RGB arrays of shape [height, width, 3], C-contiguous; they may
    differ in size.
    """

    def __init__(self, recipe: _core.Recipe) -> None:
        self.recipe = recipe

    @classmethod
    def load(
        cls,
        preprocessor_config: str | Path | Mapping[str, Any],
        *,
        pass_order: str = "horizontal_first",
    ) -> Preprocessor:
        """Reads a preprocessor_config.json: its path, the folder it is in, or its contents.

        pass_order is the order of the two passes of a resize: "horizontal_first", which is what
        trained checkpoints saw, or the rule of a Pillow version, "pillow_12" (12.2 and 12.3) or
        "pillow_13".

        Raises FileNotFoundError, or ValueError that names the key that is missing, wrong or not
        supported: a key that would change the pixels is never ignored.
        """
        if isinstance(preprocessor_config, Mapping):
            config, source = preprocessor_config, "preprocessor_config"
        else:
            path = Path(preprocessor_config)
            path = path / "preprocessor_config.json" if path.is_dir() else path
            config, source = _read(path), str(path)
        try:
            return cls(_core.Recipe(**_recipe_fields(config), pass_order=pass_order))
        except ValueError as error:
            raise ValueError(f"{source}: {error}") from error

    @property
    def height(self) -> int:
        """Height of every output. Raises ValueError if it depends on the image."""
        return self._fixed_size()[0]

    @property
    def width(self) -> int:
        """Width of every output. Raises ValueError if it depends on the image."""
        return self._fixed_size()[1]

    def describe(self) -> dict[str, Any]:
        """The recipe's fields, by name."""
        return {name: getattr(self.recipe, name) for name in _RECIPE_FIELDS}

    def __call__(
        self,
        images: Sequence[npt.NDArray[np.uint8]],
        *,
        threads: int = 1,
        dtype: Literal["float32", "float16"] = "float32",
    ) -> npt.NDArray[Any]:
        """Returns [N, 3, height, width] of dtype, in the order of the images.

        float16 is the float32 rounded to the nearest, ties to even.

        Raises ValueError if an image is not such an array, or if outputs would differ in size.
        """
        return _core.preprocess(list(images), self.recipe, threads, dtype)

    def into(self, image: npt.NDArray[np.uint8], out: npt.NDArray[Any]) -> None:
        """Preprocesses one image into out, float32 or float16 [3, height, width], without the GIL.

        Raises ValueError as __call__ does, and if out has another shape or type.
        """
        _core.preprocess_into(image, self.recipe, out)

    def _fixed_size(self) -> tuple[int, int]:
        size = self.recipe.fixed_size
        if size is None:
            raise ValueError(
                "the size of the output depends on the image: a model needs one for all, by a "
                "'size' with height and width, by 'do_center_crop' with a 'crop_size' or by "
                "'do_pad' with a 'pad_size'"
            )
        return size


def _read(path: Path) -> Mapping[str, Any]:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (RecursionError, ValueError) as error:
        raise ValueError(f"{path}: not a JSON file: {error}") from error
    if not isinstance(config, Mapping):
        raise ValueError(f"{path}: must hold a JSON object, got {type(config).__name__}")
    return config


def _recipe_fields(config: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of _core.Recipe, without pass_order."""
    processor = _processor_type(config)
    _refuse_unknown(config, processor)
    # A null is a value of its own there: it turns a default off, and does not bring it back.
    settings = {**_COMMON, **_DEFAULTS.get(processor, {}), **config}
    fields: dict[str, Any] = {"rescale_factor": 1.0}
    if settings["do_resize"]:
        fields["resample"] = _resample(settings)
        fields |= _SIZES.get(processor, _size)(settings)
    if settings.get("do_center_crop"):
        if "crop_size" in fields:
            raise ValueError(f"'do_center_crop' has no place in a {processor}, which crops itself")
        fields["crop_size"] = _height_width("crop_size", _needed(settings, "crop_size"))
    if processor == _DONUT:
        fields |= _donut_fit(settings)
    elif settings.get("do_pad"):
        fields["pad_size"] = _pad_size(settings)
    if settings["do_rescale"]:
        fields["rescale_factor"] = _number("rescale_factor", settings["rescale_factor"])
    if settings["do_normalize"]:
        fields["image_mean"] = _three_numbers(settings, "image_mean")
        fields["image_std"] = _three_numbers(settings, "image_std")
    return fields


def _processor_type(config: Mapping[str, Any]) -> str:
    """The processor's name without its backend, in today's spelling; "" if none is named."""
    name = config.get("image_processor_type") or config.get("feature_extractor_type") or ""
    if not isinstance(name, str):
        raise ValueError(f"'image_processor_type' must be a name, got {name!r}")
    name = name.replace("FeatureExtractor", "ImageProcessor")
    name = name.removesuffix("Fast").removesuffix("Pil")
    if name and name not in _DEFAULTS:
        raise ValueError(
            f"the image processor {name!r} is not supported: it must be one of "
            f"{', '.join(sorted(_DEFAULTS))}"
        )
    return name


def _refuse_unknown(config: Mapping[str, Any], processor: str) -> None:
    for key, value in config.items():
        understood = key in _UNDERSTOOD and _OWN.get(key, processor) == processor
        if key == "do_pad" and processor in _DO_NOT_PAD:
            understood = False
        if not understood and key not in _INERT and value not in (None, False):
            raise ValueError(f"{key!r}: {value!r} is not supported, and may change the pixels")


def _size(settings: Mapping[str, Any]) -> dict[str, Any]:
    size = _needed(settings, "size")
    if isinstance(size, int) and not settings["default_to_square"]:
        size = {"shortest_edge": size}
    if isinstance(size, Mapping):
        if set(size) in ({"shortest_edge"}, {"shortest_edge", "longest_edge"}):
            return {edge: _side("size", side) for edge, side in size.items()}
        if set(size) == {"max_height", "max_width"}:
            most = (_side("size", size["max_height"]), _side("size", size["max_width"]))
            return {"max_size": most}
    also = ', {"shortest_edge"}, {"shortest_edge", "longest_edge"}, {"max_height", "max_width"}'
    return {"size": _height_width("size", size, also)}


def _convnext_size(settings: Mapping[str, Any]) -> dict[str, Any]:
    """ConvNeXT: 384 and more is a plain resize to a square; less is cut out of a larger one."""
    sizes = _size(settings)
    if set(sizes) != {"shortest_edge"}:
        raise ValueError(f"'size' of a ConvNext must be a shortest_edge, got {settings['size']!r}")
    edge = sizes["shortest_edge"]
    if edge >= 384:
        return {"size": (edge, edge)}
    crop_pct = _number("crop_pct", settings["crop_pct"])
    if not 0 < crop_pct <= 1:
        raise ValueError(f"'crop_pct' must be above 0 and at most 1, got {crop_pct}")
    resized = edge / crop_pct
    if abs(resized) > _MOST_PIXELS:
        raise ValueError(f"'crop_pct' makes too large a resize of {edge} pixels, got {crop_pct}")
    return {"shortest_edge": int(resized), "crop_size": (edge, edge)}


def _sam_size(settings: Mapping[str, Any]) -> dict[str, Any]:
    size = _needed(settings, "size")
    if not isinstance(size, Mapping) or set(size) != {"longest_edge"}:
        raise ValueError(f"'size' of a SAM must be a longest_edge, got {size!r}")
    return {"longest_edge": _side("size", size["longest_edge"])}


def _donut_size(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Donut: its size is a frame, whose shorter side the image's shorter edge gets."""
    return {"shortest_edge": min(_donut_frame(settings))}


def _donut_fit(settings: Mapping[str, Any]) -> dict[str, Any]:
    """What becomes of an image that is larger than the frame, or smaller."""
    fields: dict[str, Any] = {}
    if settings["do_thumbnail"]:
        if settings["resample"] == _NEAREST:
            raise ValueError(
                "'resample': 0 has no place beside 'do_thumbnail', which is bicubic then"
            )
        fields |= {"thumbnail": _donut_frame(settings), "resample": _resample(settings)}
    if settings["do_pad"]:
        if settings.get("do_center_crop"):
            raise ValueError("'do_center_crop' is not supported beside the 'do_pad' of a Donut")
        fields |= {"pad_size": _donut_frame(settings), "padding": "around"}
    return fields


def _donut_frame(settings: Mapping[str, Any]) -> tuple[int, int]:
    size = _needed(settings, "size")
    if isinstance(size, (list, tuple)):  # width first, in Donut's oldest configurations
        size = size[::-1]
    return _height_width("size", size)


_SIZES = {_CONVNEXT: _convnext_size, _DONUT: _donut_size, _SAM: _sam_size}


def _pad_size(settings: Mapping[str, Any]) -> tuple[int, int]:
    if settings.get("pad_size") is None:
        raise ValueError(
            "'do_pad' without a 'pad_size' pads to the largest image of a batch, and no caption "
            "may depend on the images beside it: give a 'pad_size'"
        )
    return _height_width("pad_size", settings["pad_size"])


def _height_width(key: str, value: object, also: str = "") -> tuple[int, int]:
    if isinstance(value, int):
        return (_side(key, value), _side(key, value))
    if isinstance(value, Mapping) and set(value) == {"height", "width"}:
        return (_side(key, value["height"]), _side(key, value["width"]))
    if isinstance(value, (list, tuple)) and len(value) == 2:
        return (_side(key, value[0]), _side(key, value[1]))
    allowed = f'a number, [height, width], {{"height", "width"}}{also}'
    raise ValueError(f"{key!r} must be one of {allowed}; got {value!r}")


def _side(key: str, value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or abs(value) > _MOST_PIXELS:
        raise ValueError(f"{key!r} must be whole pixels, got {value!r}")
    return value


def _resample(settings: Mapping[str, Any]) -> int:
    resample = _needed(settings, "resample")
    if not isinstance(resample, int) or isinstance(resample, bool) or resample not in range(6):
        raise ValueError(
            "'resample' must be 0 nearest, 1 lanczos, 2 bilinear, 3 bicubic, 4 box or 5 hamming, "
            f"got {resample!r}"
        )
    return int(resample)


def _number(key: str, value: object) -> float:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise ValueError(f"{key!r} must be a number, got {value!r}")
    if abs(value) > sys.float_info.max:
        raise ValueError(f"{key!r} must be finite, got {value!r}")
    return float(value)


def _three_numbers(settings: Mapping[str, Any], key: str) -> tuple[float, float, float]:
    value = _needed(settings, key)
    if not isinstance(value, (list, tuple)):
        value = (value,) * 3
    if len(value) != 3:
        raise ValueError(f"{key!r} must be a number or three, one a channel, got {value!r}")
    red, green, blue = (_number(key, number) for number in value)
    return (red, green, blue)


def _needed(settings: Mapping[str, Any], key: str) -> Any:
    if settings.get(key) is None:
        raise ValueError(f"{key!r} is missing (or null), and has no default")
    return settings[key]
