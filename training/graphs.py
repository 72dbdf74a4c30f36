"""The three ONNX graphs, built node by node from the weights of the torch model.

Large weights are stored as float16 behind a Cast to float32, which ONNX Runtime folds away when
it loads the graph; the arithmetic is float32.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from training.backbone import Block, ClippedConv
from training.model import CrossAttention, Decoder, Encoder, SelfAttention, Sizes

OPSET = 18
IR_VERSION = 9
LARGE = 4096  # values; smaller tensors stay float32, inside the graph
ALIGNMENT = 64
MASKED = -1e9
FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64


def array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().float().numpy()


class SharedWeights:
    """External data file that several graphs refer to; each weight is stored once."""

    def __init__(self, name: str):
        self.name = name
        self.data = bytearray()
        self.places: dict[str, tuple[int, int]] = {}

    def place(self, name: str, raw: bytes) -> tuple[int, int]:
        """Offset and length of the weight `name`."""
        if name not in self.places:
            self.data += bytes(-len(self.data) % ALIGNMENT)
            self.places[name] = (len(self.data), len(raw))
            self.data += raw
        return self.places[name]


class Graph:
    """Collects nodes and weights; every method returns the name of the value it made."""

    def __init__(self, name: str, external: SharedWeights | None = None, half: bool = True):
        self.name, self.external, self.half = name, external, half
        self.nodes: list[onnx.NodeProto] = []
        self.weights: dict[str, onnx.TensorProto] = {}
        self.inputs: list[onnx.ValueInfoProto] = []
        self.outputs: list[onnx.ValueInfoProto] = []

    def input(self, name: str, kind: int, shape: list[int | str]) -> str:
        self.inputs.append(helper.make_tensor_value_info(name, kind, shape))
        return name

    def output(self, name: str, shape: list[int | str]) -> str:
        self.outputs.append(helper.make_tensor_value_info(name, FLOAT, shape))
        return name

    def op(self, kind: str, *inputs: str, to: str = "", **attributes: object) -> str:
        name = to or f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], name=name, **attributes))
        return name

    def split(
        self, value: str, sizes: list[int], axis: int, to: list[str] | None = None
    ) -> list[str]:
        """Pieces of `value` along `axis`, named `to`."""
        names = to or [f"split_{len(self.nodes)}_{i}" for i in range(len(sizes))]
        inputs = [value, self.ints(sizes)]
        node = helper.make_node("Split", inputs, names, name=names[0] + "/split", axis=axis)
        self.nodes.append(node)
        return names

    def ints(self, values: list[int]) -> str:
        name = "ints_" + "_".join(map(str, values))
        if name not in self.weights:
            self.weights[name] = numpy_helper.from_array(np.array(values, np.int64), name)
        return name

    def weight(self, name: str, values: np.ndarray) -> str:
        """A float32 value; large ones are kept as float16 and cast."""
        if name + ":cast" in self.weights or name in self.weights:
            return name
        values = np.ascontiguousarray(values, np.float32)
        if values.size < LARGE or not self.half:
            self.weights[name] = numpy_helper.from_array(values, name)
            return name
        stored = name + ":cast"
        values = values.astype(np.float16)
        if self.external is None:
            self.weights[stored] = numpy_helper.from_array(values, stored)
        else:
            self.weights[stored] = self._external(stored, values)
        self.nodes.append(helper.make_node("Cast", [stored], [name], name=name, to=FLOAT))
        return name

    def _external(self, name: str, values: np.ndarray) -> onnx.TensorProto:
        assert self.external is not None
        offset, length = self.external.place(name, values.tobytes())
        tensor = TensorProto(name=name, data_type=TensorProto.FLOAT16, dims=values.shape)
        tensor.data_location = TensorProto.EXTERNAL
        entries = {"location": self.external.name, "offset": offset, "length": length}
        for key, value in entries.items():
            tensor.external_data.add(key=key, value=str(value))
        return tensor

    def save(self, path: Path) -> None:
        weights = list(self.weights.values())
        graph = helper.make_graph(self.nodes, self.name, self.inputs, self.outputs, weights)
        opset = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(graph, opset_imports=opset, producer_name="beamcap")
        model.ir_version = IR_VERSION
        path.write_bytes(model.SerializeToString(deterministic=True))

    # Layers

    def linear(
        self, x: str, name: str, weight: Tensor, bias: Tensor | None, scale: float = 1
    ) -> str:
        """x [..., in] -> [..., out] with a torch weight [out, in]."""
        x = self.op("MatMul", x, self.weight(name + ".weight", array(weight).T * scale))
        if bias is None:
            return x
        return self.op("Add", x, self.weight(name + ".bias", array(bias) * scale))

    def norm(self, x: str, name: str, module: nn.LayerNorm) -> str:
        scale = self.weight(name + ".scale", array(module.weight))
        shift = self.weight(name + ".shift", array(module.bias))
        return self.op("LayerNormalization", x, scale, shift, axis=-1, epsilon=module.eps)

    def conv(self, x: str, name: str, module: ClippedConv) -> str:
        stride, kernel = module.spec.stride, module.kernel_size[0]
        before, after = (0, 1) if stride == 2 else (kernel // 2, kernel // 2)
        x = self.op(
            "Conv",
            x,
            self.weight(name + ".weight", array(module.weight)),
            self.weight(name + ".bias", array(module.bias)),
            group=module.spec.groups,
            kernel_shape=[kernel, kernel],
            strides=[stride, stride],
            pads=[before, before, after, after],
        )
        if not module.spec.clipped:
            return x
        zero, six = self.weight("zero", np.array(0.0)), self.weight("six", np.array(6.0))
        return self.op("Clip", x, zero, six)

    def feed_forward(self, x: str, name: str, module: nn.Sequential) -> str:
        x = self.op("Relu", self.linear(x, name + ".0", module[0].weight, module[0].bias))
        return self.linear(x, name + ".2", module[2].weight, module[2].bias)

    def to_heads(self, x: str, heads: int, size: int) -> str:
        """[N, T, heads * size] -> [N, heads, T, size]."""
        x = self.op("Reshape", x, self.ints([0, 0, heads, size]))
        return self.op("Transpose", x, perm=[0, 2, 1, 3])

    def attend(self, q: str, k: str, v: str, mask: str, name: str, out: nn.Linear) -> str:
        """Attention over [N, heads, T, size], joined and projected; q comes scaled."""
        scores = self.op("MatMul", q, self.op("Transpose", k, perm=[0, 1, 3, 2]))
        if mask:
            scores = self.op("Add", scores, mask)
        x = self.op("MatMul", self.op("Softmax", scores, axis=-1), v)
        x = self.op("Transpose", x, perm=[0, 2, 1, 3])
        x = self.op("Reshape", x, self.ints([0, 0, out.in_features]))
        return self.linear(x, name + ".out", out.weight, out.bias)

    def query_key_value(self, x: str, name: str, module: SelfAttention, to: list[str]) -> list[str]:
        """x [N, T, D] -> scaled q, k and v, each [N, heads, T, size]."""
        width, heads = module.out.in_features, module.heads
        size = width // heads
        scale = np.ones(3 * width, np.float32)
        scale[:width] = size**-0.5
        weight = array(module.qkv.weight).T * scale
        x = self.op("MatMul", x, self.weight(name + ".qkv.weight", weight))
        bias = array(module.qkv.bias) * scale
        x = self.op("Add", x, self.weight(name + ".qkv.bias", bias))
        return self.split(self.to_heads(x, 3 * heads, size), [heads] * 3, 1, to)


def encoder_graph(encoder: Encoder, sizes: Sizes, half: bool = True) -> Graph:
    """pixel_values [batch, 3, 224, 224] -> last_hidden_state [batch, 50, D]."""
    g = Graph("encoder", half=half)
    x = g.input("pixel_values", FLOAT, ["batch_size", 3, 224, 224])
    backbone = encoder.backbone
    x = g.conv(x, "stem", backbone.stem)
    for i, block in enumerate(backbone.blocks):
        x = _block(g, x, f"block{i}", block)
    features = g.conv(x, "head", backbone.head)
    grid = g.op(
        "Conv",
        features,
        g.weight("project.weight", array(encoder.project.weight)[:, :, None, None]),
        g.weight("project.bias", array(encoder.project.bias)),
        kernel_shape=[1, 1],
    )
    grid = g.op("Reshape", grid, g.ints([0, sizes.width, sizes.grid]))
    grid = g.op("Transpose", grid, perm=[0, 2, 1])
    scores = g.op("Flatten", g.op("GlobalAveragePool", features))
    scores = g.linear(scores, "fc", backbone.classifier.weight, backbone.classifier.bias)
    classes = g.linear(g.op("Softmax", scores, axis=-1), "classes", encoder.classes.weight, None)
    classes = g.op("Unsqueeze", classes, g.ints([1]))
    x = g.norm(g.op("Concat", grid, classes, axis=1), "norm", encoder.norm)
    x = g.op("Add", x, g.weight("positions", array(encoder.positions)))
    for i, layer in enumerate(encoder.layers):
        name = f"layer{i}"
        y = g.norm(x, name + ".norm1", layer.norm1)
        q, k, v = g.query_key_value(y, name, layer.attention, [f"{name}.{n}" for n in "qkv"])
        x = g.op("Add", x, g.attend(q, k, v, "", name, layer.attention.out))
        y = g.norm(x, name + ".norm2", layer.norm2)
        x = g.op("Add", x, g.feed_forward(y, name + ".mlp", layer.mlp))
    x = g.norm(x, "final", encoder.final)
    g.op(
        "Identity", x, to=g.output("last_hidden_state", ["batch_size", sizes.grid + 1, sizes.width])
    )
    return g


def _block(g: Graph, x: str, name: str, block: Block) -> str:
    y = x
    for j, conv in enumerate(block.convs):
        y = g.conv(y, f"{name}.{j}", conv)
    return g.op("Add", x, y) if block.residual else y


class DecoderGraph(Graph):
    """One of the two decoder graphs: without a past (first step) or with one (later steps)."""

    def __init__(
        self, decoder: Decoder, sizes: Sizes, shared: SharedWeights, past: bool, half: bool = True
    ):
        super().__init__("decoder_with_past" if past else "decoder", shared if half else None, half)
        self.decoder, self.sizes, self.past = decoder, sizes, past
        self.size = sizes.width // sizes.heads
        self._build()

    def _cache(self, prefix: str, layer: int, kind: str, length: int | str) -> list[str]:
        """Declares keys and values [batch, heads, length, size] as inputs or outputs."""
        shape = ["batch_size", self.sizes.heads, length, self.size]
        names = [f"{prefix}.{layer}.{kind}.{part}" for part in ("key", "value")]
        for name in names:
            if prefix == "present":
                self.output(name, shape)
            else:
                self.input(name, FLOAT, shape)
        return names

    def _build(self) -> None:
        ids = self.input("input_ids", INT64, ["batch_size", "sequence_length"])
        vocabulary = self.sizes.vocabulary
        self.output("logits", ["batch_size", "sequence_length", vocabulary])
        photo = ""
        if not self.past:
            shape = ["batch_size", self.sizes.grid + 1, self.sizes.width]
            photo = self.input("encoder_hidden_states", FLOAT, shape)
        pasts, memories = self._declare_pasts()
        start, end = self._range(ids, pasts)
        embedding = self.weight("embedding", array(self.decoder.embedding.weight))
        x = self.op("Gather", embedding, ids, axis=0)
        positions = self.weight("positions", array(self.decoder.positions))
        axis = self.ints([0])
        x = self.op("Add", x, self.op("Slice", positions, start, end, axis))
        mask = self._mask(start, end)
        for i in range(len(self.decoder.layers)):
            x = self._layer(x, i, mask, photo, pasts[i], memories[i])
        x = self.norm(x, "final", self.decoder.final)
        scores = self.op("MatMul", x, self.op("Transpose", embedding, perm=[1, 0]))
        bias = self.weight("never_written", array(self.decoder.never_written))
        self.op("Add", scores, bias, to="logits")

    def _declare_pasts(self) -> tuple[list[list[str]], list[list[str]]]:
        """Names of the cached keys and values, per layer; empty lists in the first graph."""
        layers = len(self.decoder.layers)
        if not self.past:
            return [[] for _ in range(layers)], [[] for _ in range(layers)]
        pasts, memories = [], []
        for i in range(layers):
            prefix = "past_key_values"
            pasts.append(self._cache(prefix, i, "decoder", "past_sequence_length"))
            memories.append(self._cache(prefix, i, "encoder", self.sizes.grid + 1))
        return pasts, memories

    def _range(self, ids: str, pasts: list[list[str]]) -> tuple[str, str]:
        """First position of the new tokens and the one after the last, each int64 [1]."""
        length = self.op("Shape", ids, start=1, end=2)
        if not self.past:
            return self.ints([0]), length
        start = self.op("Shape", pasts[0][0], start=2, end=3)
        return start, self.op("Add", start, length)

    def _mask(self, start: str, end: str) -> str:
        """Causal mask of the new tokens over all tokens so far, [T, past + T]."""
        n = self.sizes.positions
        mask = self.weight("mask", np.triu(np.full((n, n), MASKED, np.float32), 1))
        starts = self.op("Concat", start, self.ints([0]), axis=0)
        ends = self.op("Concat", end, end, axis=0)
        return self.op("Slice", mask, starts, ends, self.ints([0, 1]))

    def _layer(
        self, x: str, i: int, mask: str, photo: str, past: list[str], memory: list[str]
    ) -> str:
        layer, name = self.decoder.layers[i], f"layer{i}"
        y = self.norm(x, name + ".norm1", layer.norm1)
        length = "past_sequence_length + sequence_length" if past else "sequence_length"
        present = self._cache("present", i, "decoder", length)
        new = [f"{name}.new_key", f"{name}.new_value"] if past else present
        q, k, v = self.query_key_value(y, name + ".self", layer.attention, [f"{name}.q", *new])
        if past:
            k = self.op("Concat", past[0], k, axis=2, to=present[0])
            v = self.op("Concat", past[1], v, axis=2, to=present[1])
        x = self.op("Add", x, self.attend(q, k, v, mask, name + ".self", layer.attention.out))
        y = self.norm(x, name + ".norm2", layer.norm2)
        if not memory:
            memory = self._memory(photo, i, layer.cross)
        q = self.linear(
            y, name + ".cross.q", layer.cross.q.weight, layer.cross.q.bias, self.size**-0.5
        )
        q = self.to_heads(q, self.sizes.heads, self.size)
        x = self.op("Add", x, self.attend(q, *memory, "", name + ".cross", layer.cross.out))
        y = self.norm(x, name + ".norm3", layer.norm3)
        return self.op("Add", x, self.feed_forward(y, name + ".mlp", layer.mlp))

    def _memory(self, photo: str, i: int, cross: CrossAttention) -> list[str]:
        """Keys and values of the photo tokens for layer i, as outputs."""
        heads = self.sizes.heads
        kv = self.linear(photo, f"layer{i}.cross.kv", cross.kv.weight, cross.kv.bias)
        kv = self.to_heads(kv, 2 * heads, self.size)
        return self.split(
            kv, [heads] * 2, 1, self._cache("present", i, "encoder", self.sizes.grid + 1)
        )
