"""A vision model small enough to know its answer: the mean colour of a picture of 8 by 8."""

from __future__ import annotations

from pathlib import Path

import onnx
from onnx import TensorProto, helper


def write_vision_model(path: Path) -> Path:
    """Write the model as ONNX."""
    nodes = [helper.make_node("GlobalAveragePool", ["pixels"], ["mean"])]
    pixels = helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["n", 3, 8, 8])
    mean = helper.make_tensor_value_info("mean", TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "colour", [pixels], [mean])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path
