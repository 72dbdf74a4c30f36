"""Makes the KB-size models of the runtime's tests: python tests/data/make_tiny_models.py [FOLDER].

One image-to-text transformer of random weights (an encoder of four patches; one decoder layer with
self- and cross-attention) in every form of bundle that the runtime understands, all with the same
weights, and one recurrent model. tests/unit/tiny_reference.py computes the same with NumPy.

    split       decoder_model + decoder_with_past_model, all keys and values cached
    merged      decoder_model_merged: an If with use_cache_branch
    no_cache    decoder_model alone, which is fed the whole sequence at every step
    half        as split, in float16
    external    as split, with the weights of both decoders in one external data file
    gpt2        one decoder with a past that may be empty; attention_mask, position_ids and int32
                tokens; cross-attention over encoder_hidden_states and encoder_attention_mask
    recurrent   one decoder whose state is [1, batch, width], begun by the encoder
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

VOCAB = 13
WIDTH = 8
HEADS = 2
HEAD_WIDTH = WIDTH // HEADS
PATCHES = 4
PATCH = 12
MAX_LENGTH = 24

Weights = dict[str, NDArray[np.float32]]
Shape = Sequence[int | str]


def make_weights() -> Weights:
    """Random weights, large enough that captions differ between images, end at different lengths
    and beams cross; rounded to float16, so that the half model has the same."""
    random = np.random.default_rng(16)
    square = (WIDTH, WIDTH)
    shapes_and_scales = {
        "patches": ((PATCH, WIDTH), 0.6),
        "embedding": ((VOCAB, WIDTH), 1.0),
        "positions": ((MAX_LENGTH, WIDTH), 0.4),
        **{f"self_{name}": (square, 0.6) for name in ("query", "key", "value", "out")},
        **{f"cross_{name}": (square, 0.8) for name in ("query", "key", "value", "out")},
        "head": ((WIDTH, VOCAB), 0.3),
        "recurrent_start": ((WIDTH, WIDTH), 0.8),
        "recurrent_hidden": (square, 0.5),
        "recurrent_input": (square, 0.5),
    }
    return {
        name: (random.normal(size=shape) * scale).astype(np.float16).astype(np.float32)
        for name, (shape, scale) in shapes_and_scales.items()
    }


class Net:
    """A graph under construction; its methods append nodes and return their outputs' names."""

    def __init__(self, weights: Weights, dtype: type = np.float32) -> None:
        self.weights = weights
        self.dtype = dtype
        self.float_type = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: dict[str, onnx.TensorProto] = {}
        self.inputs: list[onnx.ValueInfoProto] = []
        self.outputs: list[onnx.ValueInfoProto] = []

    def input(self, name: str, shape: Shape, element_type: int | None = None) -> str:
        self.inputs.append(
            helper.make_tensor_value_info(name, element_type or self.float_type, shape)
        )
        return name

    def output(self, name: str, value: str, shape: Shape) -> None:
        self.nodes.append(helper.make_node("Identity", [value], [name]))
        self.outputs.append(helper.make_tensor_value_info(name, self.float_type, shape))

    def weight(self, name: str) -> str:
        if name not in self.initializers:
            value = self.weights[name].astype(self.dtype)
            self.initializers[name] = numpy_helper.from_array(value, name)
        return name

    def constant(self, value: object, dtype: type = np.int64) -> str:
        array = np.asarray(value, dtype)
        name = f"constant_{array.dtype}_{'x'.join(map(str, array.ravel()))}_{array.ndim}"
        self.initializers[name] = numpy_helper.from_array(array, name)
        return name

    def op(self, kind: str, *inputs: str, **attributes: object) -> str:
        name = f"{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], **attributes))
        return name

    def linear(self, value: str, weight: str) -> str:
        return self.op("MatMul", value, self.weight(weight))

    def size(self, value: str, axis: int) -> str:
        """An axis's size as int64 [1]."""
        return self.op("Shape", value, start=axis, end=axis + 1)

    def scalar(self, value: str) -> str:
        return self.op("Squeeze", value)

    def graph(self, name: str) -> onnx.GraphProto:
        return helper.make_graph(
            self.nodes, name, self.inputs, self.outputs, list(self.initializers.values())
        )


def encoder(net: Net) -> str:
    """pixel_values [batch, 3, 4, 4] -> last_hidden_state [batch, PATCHES, WIDTH]"""
    pixels = net.input("pixel_values", ["batch_size", 3, 4, 4])
    patches = net.op("Reshape", pixels, net.constant([0, PATCHES, PATCH]))
    states = net.op("Tanh", net.linear(patches, "patches"))
    net.output("last_hidden_state", states, ["batch_size", PATCHES, WIDTH])
    return states


def split_heads(net: Net, value: str) -> str:
    """[batch, length, WIDTH] -> [batch, HEADS, length, HEAD_WIDTH]"""
    parts = net.op("Reshape", value, net.constant([0, 0, HEADS, HEAD_WIDTH]))
    return net.op("Transpose", parts, perm=[0, 2, 1, 3])


def attend(net: Net, queries: str, keys: str, values: str, mask: str | None) -> str:
    """Queries [batch, HEADS, width, HEAD_WIDTH] over keys and values [batch, HEADS, length,
    HEAD_WIDTH] where the mask holds -> [batch, width, WIDTH]"""
    scores = net.op("MatMul", queries, net.op("Transpose", keys, perm=[0, 1, 3, 2]))
    scores = net.op("Div", scores, net.constant(HEAD_WIDTH**0.5, net.dtype))
    if mask is not None:
        scores = net.op("Where", mask, scores, net.constant(-1e4, net.dtype))
    mixed = net.op("MatMul", net.op("Softmax", scores, axis=-1), values)
    joined = net.op("Transpose", mixed, perm=[0, 2, 1, 3])
    return net.op("Reshape", joined, net.constant([0, 0, WIDTH]))


def positions_after(net: Net, past_length: str, length: str) -> str:
    """past_length, past_length + 1, ...: [length], from two int64 [1]"""
    total = net.scalar(net.op("Add", past_length, length))
    return net.op("Range", net.scalar(past_length), total, net.constant(1))


def causal_mask(net: Net, positions: str, total: str) -> str:
    """[width, total]: a token sees itself and those before it"""
    keys = net.op("Range", net.constant(0), net.scalar(total), net.constant(1))
    return net.op("LessOrEqual", keys, net.op("Unsqueeze", positions, net.constant([1])))


class Cache:
    """The state names of one attention, as inputs and outputs."""

    def __init__(self, kind: str, length: str | int) -> None:
        self.kind = f"{kind}." if kind else ""
        self.length = length

    def shape(self, length: str | int | None = None) -> Shape:
        return ["batch_size", HEADS, self.length if length is None else length, HEAD_WIDTH]

    def past(self, net: Net) -> tuple[str, str]:
        names = (f"past_key_values.0.{self.kind}{part}" for part in ("key", "value"))
        key, value = (net.input(name, self.shape()) for name in names)
        return key, value

    def present(self, net: Net, pair: tuple[str, str], length: str | int) -> None:
        for part, value in zip(("key", "value"), pair, strict=True):
            net.output(f"present.0.{self.kind}{part}", value, self.shape(length))


SELF = Cache("decoder", "past_sequence_length")
CROSS = Cache("encoder", "encoder_sequence_length")
GPT2 = Cache("", "past_sequence_length")
TOTAL = "past_sequence_length + sequence_length"
LOGITS: Shape = ["batch_size", "sequence_length", VOCAB]


def embed(net: Net, tokens: str, positions: str) -> str:
    return net.op(
        "Add",
        net.op("Gather", net.weight("embedding"), tokens),
        net.op("Gather", net.weight("positions"), positions),
    )


def self_attention(
    net: Net, hidden: str, past: tuple[str, str] | None, mask: str
) -> tuple[str, tuple[str, str]]:
    """Hidden states with what self-attention adds, and the keys and values up to here."""
    keys, values = (split_heads(net, net.linear(hidden, f"self_{n}")) for n in ("key", "value"))
    if past is not None:
        keys = net.op("Concat", past[0], keys, axis=2)
        values = net.op("Concat", past[1], values, axis=2)
    queries = split_heads(net, net.linear(hidden, "self_query"))
    mixed = net.linear(attend(net, queries, keys, values, mask), "self_out")
    return net.op("Add", hidden, mixed), (keys, values)


def cross_keys_values(net: Net, states: str) -> tuple[str, str]:
    keys, values = (split_heads(net, net.linear(states, f"cross_{n}")) for n in ("key", "value"))
    return keys, values


def cross_attention(net: Net, hidden: str, pair: tuple[str, str], mask: str | None = None) -> str:
    queries = split_heads(net, net.linear(hidden, "cross_query"))
    mixed = net.linear(attend(net, queries, *pair, mask), "cross_out")
    return net.op("Add", hidden, mixed)


def first_decoder(net: Net, *, caches: bool) -> None:
    """The whole prompt at once; with caches, what it leaves for decoder_with_past."""
    tokens = net.input("input_ids", ["batch_size", "sequence_length"], TensorProto.INT64)
    states = net.input("encoder_hidden_states", ["batch_size", "encoder_sequence_length", WIDTH])
    first_step(net, tokens, states, caches=caches)


def first_step(net: Net, tokens: str, states: str, *, caches: bool) -> None:
    length = net.size(tokens, 1)
    positions = positions_after(net, net.constant([0]), length)
    hidden = embed(net, tokens, positions)
    hidden, pair = self_attention(net, hidden, None, causal_mask(net, positions, length))
    cross_pair = cross_keys_values(net, states)
    hidden = cross_attention(net, hidden, cross_pair)
    net.output("logits", net.linear(hidden, "head"), LOGITS)
    if caches:
        SELF.present(net, pair, "sequence_length")
        CROSS.present(net, cross_pair, "encoder_sequence_length")


def decoder_with_past(net: Net) -> None:
    tokens = net.input("input_ids", ["batch_size", 1], TensorProto.INT64)
    later_step(net, tokens, SELF.past(net), CROSS.past(net))


def later_step(net: Net, tokens: str, past: tuple[str, str], cross_pair: tuple[str, str]) -> None:
    past_length = net.size(past[0], 2)
    positions = positions_after(net, past_length, net.constant([1]))
    hidden = embed(net, tokens, positions)
    total = net.op("Add", past_length, net.constant([1]))
    hidden, pair = self_attention(net, hidden, past, causal_mask(net, positions, total))
    hidden = cross_attention(net, hidden, cross_pair)
    net.output("logits", net.linear(hidden, "head"), LOGITS)
    SELF.present(net, pair, "past_sequence_length + 1")


def merged_decoder(net: Net) -> None:
    """An If on use_cache_branch. As in Optimum's, the branch with a past gives dummies in place of
    the keys and values of cross-attention, which the caller has to keep from the first step."""
    tokens = net.input("input_ids", ["batch_size", "sequence_length"], TensorProto.INT64)
    states = net.input("encoder_hidden_states", ["batch_size", "encoder_sequence_length", WIDTH])
    past, cross_pair = SELF.past(net), CROSS.past(net)
    flag = net.input("use_cache_branch", [1], TensorProto.BOOL)

    first = Net(net.weights, net.dtype)
    first_step(first, tokens, states, caches=True)
    later = Net(net.weights, net.dtype)
    later_step(later, tokens, past, cross_pair)
    dummy = later.op("Slice", cross_pair[0], *(later.constant([end]) for end in (0, 0, 2)))
    CROSS.present(later, (dummy, dummy), 0)

    names = [output.name for output in first.outputs]
    net.nodes.append(
        helper.make_node(
            "If",
            [flag],
            names,
            then_branch=renamed(later, "later"),
            else_branch=renamed(first, "first"),
        )
    )
    net.outputs = [
        helper.make_tensor_value_info(name, net.float_type, shape)
        for name, shape in zip(
            names,
            [
                LOGITS,
                *[SELF.shape("present_sequence_length")] * 2,
                *[CROSS.shape("present_encoder_sequence_length")] * 2,
            ],
            strict=True,
        )
    ]


def renamed(net: Net, prefix: str) -> onnx.GraphProto:
    """A branch: its own inputs are none, its names may not be those of the outer graph."""
    graph = net.graph(prefix)
    own = {name for node in graph.node for name in node.output} | set(net.initializers)
    for node in graph.node:
        node.input[:] = [f"{prefix}/{n}" if n in own else n for n in node.input]
        node.output[:] = [f"{prefix}/{n}" for n in node.output]
    for tensor in graph.initializer:
        tensor.name = f"{prefix}/{tensor.name}"
    for output in graph.output:
        output.name = f"{prefix}/{output.name}"
    return graph


def gpt2_decoder(net: Net) -> None:
    """One graph for every step, as for a GPT-2 with cross-attention exported without a flag."""
    tokens = net.input("input_ids", ["batch_size", "sequence_length"], TensorProto.INT32)
    states = net.input("encoder_hidden_states", ["batch_size", "encoder_sequence_length", WIDTH])
    encoder_mask = net.input(
        "encoder_attention_mask", ["batch_size", "encoder_sequence_length"], TensorProto.INT64
    )
    mask = net.input("attention_mask", ["batch_size", TOTAL], TensorProto.INT64)
    positions = net.input("position_ids", ["batch_size", "sequence_length"], TensorProto.INT64)
    past = GPT2.past(net)

    hidden = embed(net, tokens, positions)
    # A row's tokens are where position_ids says; keys are masked by attention_mask.
    row = net.op("Gather", positions, net.constant(0), axis=0)
    causal = causal_mask(net, row, net.size(mask, 1))
    seen = net.op("Cast", net.op("Unsqueeze", mask, net.constant([1, 2])), to=TensorProto.BOOL)
    hidden, pair = self_attention(net, hidden, past, net.op("And", causal, seen))
    image = net.op("Unsqueeze", encoder_mask, net.constant([1, 2]))
    image = net.op("Cast", image, to=TensorProto.BOOL)
    hidden = cross_attention(net, hidden, cross_keys_values(net, states), image)
    net.output("logits", net.linear(hidden, "head"), LOGITS)
    GPT2.present(net, pair, TOTAL)


def recurrent_encoder(net: Net) -> None:
    states = encoder(net)
    mean = net.op("ReduceMean", states, net.constant([1]), keepdims=0)
    start = net.op("Tanh", net.linear(mean, "recurrent_start"))
    hidden = net.op("Unsqueeze", start, net.constant([0]))
    net.output("present.hidden", hidden, [1, "batch_size", WIDTH])


def recurrent_decoder(net: Net) -> None:
    """tokens [batch, 1], past.hidden [1, batch, WIDTH] -> logits [batch, VOCAB], present.hidden"""
    tokens = net.input("input_ids", ["batch_size", 1], TensorProto.INT64)
    past = net.input("past.hidden", [1, "batch_size", WIDTH])
    token = net.op("Squeeze", tokens, net.constant([1]))
    word = net.op("Gather", net.weight("embedding"), token)
    state = net.op("Squeeze", past, net.constant([0]))
    mixed = net.op(
        "Add", net.linear(state, "recurrent_hidden"), net.linear(word, "recurrent_input")
    )
    state = net.op("Tanh", mixed)
    net.output("logits", net.linear(state, "head"), ["batch_size", VOCAB])
    hidden = net.op("Unsqueeze", state, net.constant([0]))
    net.output("present.hidden", hidden, [1, "batch_size", WIDTH])


def save(net: Net, file: Path, *, external: str | None) -> None:
    model = helper.make_model(
        net.graph("tiny"),
        opset_imports=[helper.make_opsetid("", 18)],
        ir_version=9,
        producer_name="beamcap make_tiny_models.py",
    )
    onnx.checker.check_model(model, full_check=True)
    file.parent.mkdir(parents=True, exist_ok=True)
    if external is not None:
        keep_weights_in(model, net.weights, file.parent / external)
    file.write_bytes(model.SerializeToString(deterministic=True))


def keep_weights_in(model: onnx.ModelProto, weights: Weights, file: Path) -> None:
    """Refers the weights to one file that holds all of them, in the order of make_weights."""
    offsets, offset = {}, 0
    for name, value in weights.items():
        offsets[name] = offset
        offset += value.nbytes
    file.write_bytes(b"".join(value.tobytes() for value in weights.values()))
    for tensor in model.graph.initializer:
        if tensor.name in weights:
            onnx.external_data_helper.set_external_data(
                tensor, file.name, offset=offsets[tensor.name], length=len(tensor.raw_data)
            )
            tensor.ClearField("raw_data")


def main(folder: Path) -> None:
    weights = make_weights()

    def make(
        file: str,
        build: Callable[[Net], object],
        dtype: type = np.float32,
        external: str | None = None,
    ) -> None:
        net = Net(weights, dtype)
        build(net)
        save(net, folder / file, external=external)

    for form, dtype, external in (
        ("split", np.float32, None),
        ("half", np.float16, None),
        ("external", np.float32, "weights.bin"),
    ):
        make(f"{form}/encoder_model.onnx", encoder, dtype)
        make(f"{form}/decoder_model.onnx", lambda n: first_decoder(n, caches=True), dtype, external)
        make(f"{form}/decoder_with_past_model.onnx", decoder_with_past, dtype, external)
    make("merged/encoder_model.onnx", encoder)
    make("merged/decoder_model_merged.onnx", merged_decoder)
    make("no_cache/encoder_model.onnx", encoder)
    make("no_cache/decoder_model.onnx", lambda net: first_decoder(net, caches=False))
    make("gpt2/encoder_model.onnx", encoder)
    make("gpt2/decoder_model.onnx", gpt2_decoder)
    make("recurrent/encoder_model.onnx", recurrent_encoder)
    make("recurrent/decoder_model.onnx", recurrent_decoder)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "tiny")
