"""A computation graph as ONNX bytes, written by hand: protobuf is four rules, and the graph a few kilobytes of it.

Weights stay outside (`external`) and are handed to the session as arrays. Knows nothing about any network.
Field numbers: onnx/onnx.proto of the ONNX project.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import numpy as np

from genre.arrays import Float32, Int64

FLOAT, INT64 = 1, 7  # TensorProto.DataType
MICROSOFT = "com.microsoft"  # onnxruntime's own operators


class Graph:
    """Operators in order; each method returns the name of what it makes."""

    def __init__(self) -> None:
        self.nodes: list[bytes] = []
        self.initializers: list[bytes] = []
        self.weights: dict[str, Float32] = {}

    def weight(self, array: Float32) -> str:
        """A float32 array that the session is given beside the graph."""
        name = f"w{len(self.weights)}"
        self.weights[name] = np.ascontiguousarray(array, np.float32)
        place = [_field(13, _field(1, key) + _field(2, value)) for key, value in _PLACE.items()]
        shape = [_field(1, size) for size in array.shape]
        self.initializers.append(b"".join([*shape, _field(2, FLOAT), _field(8, name), *place, _field(14, 1)]))
        return name

    def constant(self, values: Sequence[int]) -> str:
        """A short list of whole numbers inside the graph."""
        array: Int64 = np.asarray(values, np.int64)
        name = f"c{len(self.initializers)}"
        self.initializers.append(
            _field(1, len(array)) + _field(2, INT64) + _field(8, name) + _field(9, array.astype("<i8").tobytes())
        )
        return name

    def add(self, operator: str, *inputs: str, domain: str = "", **attributes: int | float) -> str:
        """Apply an operator of ONNX, or of `domain`."""
        name = f"n{len(self.nodes)}"
        parts = [_field(1, value) for value in inputs] + [_field(2, name), _field(4, operator)]
        parts += [_field(5, _attribute(key, value)) for key, value in attributes.items()]
        self.nodes.append(b"".join([*parts, _field(7, domain)]))
        return name

    def to_bytes(self, inputs: dict[str, tuple[int, int]], output: str, rank: int) -> bytes:
        """The model. inputs: name -> (data type, number of dimensions); the one output is float of `rank`."""
        body = [_field(1, node) for node in self.nodes] + [_field(2, "graph")]
        body += [_field(5, tensor) for tensor in self.initializers]
        body += [_field(11, _value(name, *kind)) for name, kind in inputs.items()]
        body.append(_field(12, _value(output, FLOAT, rank)))
        versions = [_field(8, _field(1, domain) + _field(2, number)) for domain, number in _OPERATORS.items()]
        return b"".join([_field(1, _IR_VERSION), _field(7, b"".join(body)), *versions])


_IR_VERSION = 8
_OPERATORS = {"": 17, MICROSOFT: 1}  # domain -> version of its operators
_PLACE = {"location": "weights", "offset": "0"}  # never opened: the arrays are handed over


def _field(number: int, value: int | float | str | bytes) -> bytes:
    """One protobuf field: a whole number, a 32-bit float, or counted bytes."""
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    if isinstance(value, float):
        return _varint(number << 3 | 5) + struct.pack("<f", value)
    data = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _attribute(name: str, value: Any) -> bytes:
    number, kind = (2, 1) if isinstance(value, float) else (3, 2)
    return _field(1, name) + _field(number, value) + _field(20, kind)


def _value(name: str, data_type: int, rank: int) -> bytes:
    shape = b"".join(_field(1, _field(2, f"{name}{axis}")) for axis in range(rank))
    return _field(1, name) + _field(2, _field(1, _field(1, data_type) + _field(2, shape)))
