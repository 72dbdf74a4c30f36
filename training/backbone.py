"""MobileNetV2 1.0 with folded batch norms, loaded from the ONNX file it starts from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import onnx
import torch
import torch.nn.functional as F
from onnx import numpy_helper
from torch import Tensor, nn

# (expansion, output channels, repeats, first stride) of the inverted residual groups.
GROUPS = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
FEATURES = 1280
CLASSES = 1001


@dataclass(frozen=True)
class ConvSpec:
    """What the exporter has to know about one convolution."""

    stride: int
    groups: int
    clipped: bool


class ClippedConv(nn.Conv2d):
    """Convolution with TensorFlow's SAME padding, then (optionally) a clip to [0, 6].

    At stride 2 on an even side, SAME pads one row below and one column to the right only.
    """

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int, groups: int, clip: bool
    ):
        even = stride == 1 and kernel == 3
        super().__init__(inputs, outputs, kernel, stride, 1 if even else 0, groups=groups)
        self.spec = ConvSpec(stride, groups, clip)

    def forward(self, x: Tensor) -> Tensor:
        if self.spec.stride == 2:
            x = F.pad(x, (0, 1, 0, 1))
        x = super().forward(x)
        return F.relu6(x, inplace=True) if self.spec.clipped else x


class Block(nn.Module):
    """Inverted residual: 1x1 expansion, 3x3 depthwise, 1x1 linear projection."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int):
        super().__init__()
        wide = inputs * expansion
        convs = [ClippedConv(inputs, wide, 1, 1, 1, True)] if expansion > 1 else []
        convs.append(ClippedConv(wide, wide, 3, stride, wide, True))
        convs.append(ClippedConv(wide, outputs, 1, 1, 1, False))
        self.convs = nn.Sequential(*convs)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y = self.convs(x)
        return x + y if self.residual else y


class MobileNetV2(nn.Module):
    """Images [N, 3, 224, 224] in [-1, 1] -> features [N, 1280, 7, 7] and class scores [N, 1001]."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = ClippedConv(3, 32, 3, 2, 1, True)
        blocks, width = [], 32
        for expansion, outputs, repeats, stride in GROUPS:
            for i in range(repeats):
                blocks.append(Block(width, outputs, stride if i == 0 else 1, expansion))
                width = outputs
        self.blocks = nn.ModuleList(blocks)
        self.head = ClippedConv(width, FEATURES, 1, 1, 1, True)
        self.classifier = nn.Linear(FEATURES, CLASSES)

    def convolutions(self) -> Iterator[ClippedConv]:
        """All convolutions in the order of the graph."""
        yield self.stem
        for block in self.blocks:
            yield from block.convs
        yield self.head

    def forward(self, x: Tensor, frozen_blocks: int = 0) -> tuple[Tensor, Tensor]:
        """`frozen_blocks`: so many blocks (and the stem) run without gradients."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and frozen_blocks == 0):
            x = self.stem(x)
            for block in self.blocks[:frozen_blocks]:
                x = block(x)
        for block in self.blocks[frozen_blocks:]:
            x = block(x)
        features = self.head(x)
        return features, self.classifier(features.mean((2, 3)))


def load_backbone(path: Path) -> MobileNetV2:
    """Read the convolutions of the ONNX graph, in order, into our module."""
    graph = onnx.load(str(path)).graph
    stored = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    convs = [n for n in graph.node if n.op_type == "Conv"]
    model = MobileNetV2()
    targets: list[nn.Module] = [*model.convolutions(), model.classifier]
    if len(convs) != len(targets):
        raise ValueError(f"{path}: {len(convs)} convolutions, expected {len(targets)}")
    with torch.no_grad():
        for node, module in zip(convs, targets, strict=True):
            weight = torch.from_numpy(stored[node.input[1]].copy())
            module.weight.copy_(weight.reshape(module.weight.shape))
            module.bias.copy_(torch.from_numpy(stored[node.input[2]].copy()))
    return model
