"""Puts the two decoder graphs of an export behind one flag, as optimum's merged decoder has it."""

from __future__ import annotations

import onnx
from onnx import helper


def merge_decoders(first: onnx.ModelProto, later: onnx.ModelProto) -> onnx.ModelProto:
    """Merges decoder_model (no past) and decoder_with_past_model into `If(use_cache_branch)`.

    Weights that both hold are kept once, outside the branches. A cache that only the first step
    makes (cross-attention) leaves the other branch as an empty constant of batch size 0: whoever
    runs the graph has to keep the tensor of the first step.
    """
    outputs = list(first.graph.output)
    _complete_outputs(later.graph, outputs)
    branches = {"no_past": first.graph, "with_past": later.graph}
    weights = _share_weights(branches)
    graphs = {
        name: helper.make_graph(graph.node, name, inputs=[], outputs=outputs)
        for name, graph in branches.items()
    }
    node = helper.make_node(
        "If",
        ["use_cache_branch"],
        [output.name for output in outputs],
        then_branch=graphs["with_past"],
        else_branch=graphs["no_past"],
    )
    inputs = {value.name: value for value in (*later.graph.input, *first.graph.input)}
    flag = helper.make_tensor_value_info("use_cache_branch", onnx.TensorProto.BOOL, [1])
    merged = helper.make_graph([node], "merged", [*inputs.values(), flag], outputs, weights)
    return helper.make_model(merged, opset_imports=first.opset_import, ir_version=first.ir_version)


def _complete_outputs(graph: onnx.GraphProto, outputs: list[onnx.ValueInfoProto]) -> None:
    present = {output.name for output in graph.output}
    for output in outputs:
        if output.name in present:
            continue
        tensor = output.type.tensor_type
        dims = [dim.dim_value or 1 for dim in tensor.shape.dim]  # 1 for a dynamic axis,
        dims[0] = 0  # but nothing in the batch
        empty = helper.make_tensor("empty", tensor.elem_type, dims, [])
        graph.node.append(helper.make_node("Constant", [], [output.name], value=empty))


def _share_weights(branches: dict[str, onnx.GraphProto]) -> list[onnx.TensorProto]:
    """Moves the initializers out of the branches; returns them, equal ones once."""
    shared: dict[tuple[int, tuple[int, ...], bytes], onnx.TensorProto] = {}
    for graph in branches.values():
        names = {}
        for tensor in graph.initializer:
            key = (
                tensor.data_type,
                tuple(tensor.dims),
                onnx.numpy_helper.to_array(tensor).tobytes(),
            )
            weight = shared.setdefault(key, tensor)
            names[tensor.name] = weight.name = f"weight_{list(shared).index(key)}"
        for node in graph.node:
            node.input[:] = [names.get(name, name) for name in node.input]
        del graph.initializer[:]
    return list(shared.values())
