"""What the code of intrinsics is made of: numbers side by side in vector registers.

A loop over arrays leaves the compiler to find the vectors, and it does not always: it cannot know that two arrays do
not overlap, takes vectors half as wide as there are, and stores sums that a register could hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llvmlite import ir
from llvmlite.binding import get_host_cpu_features
from numba.core import cgutils

WORD, SINGLE = ir.IntType(64), ir.FloatType()
LARGE = bool(get_host_cpu_features().get("avx512f"))  # 32 registers of 16 numbers, else 16 of 8
LANES = 32 if LARGE else 16  # columns of `sums_of_products` side by side, where there are as many
STEP = 8 if LARGE else 6  # rows of `sums_of_products` at once: their sums stay in the registers


def vector_of(lanes: int) -> Any:
    """The type of `lanes` numbers side by side."""
    return ir.VectorType(SINGLE, lanes)


def spread(builder: Any, value: Any, lanes: int) -> Any:
    """The number `value` in each lane."""
    whole = ir.IntType(32)
    first = builder.insert_element(ir.Constant(ir.VectorType(value.type, lanes), ir.Undefined), value, whole(0))
    return builder.shuffle_vector(first, first, ir.Constant(ir.VectorType(whole, lanes), [0] * lanes))


def place(builder: Any, base: Any, number: Any, kind: Any = SINGLE) -> Any:
    """Where value `number` of a kind stands, counted from the address `base`. number: also a Python number."""
    size = 4 * kind.count if isinstance(kind, ir.VectorType) else 8 if kind == WORD else 4
    at = WORD(number * size) if isinstance(number, int) else builder.mul(number, WORD(size))
    return builder.inttoptr(builder.add(base, at), kind.as_pointer())


def load(builder: Any, base: Any, number: Any, kind: Any = SINGLE) -> Any:
    """The value that stands at `place`."""
    return builder.load(place(builder, base, number, kind), align=4)


def store(builder: Any, value: Any, base: Any, number: Any) -> None:
    builder.store(value, place(builder, base, number, value.type), align=4)


def add_product(builder: Any, total: Any, one: Any, other: Any) -> Any:
    """total + one * other, rounded once where the processor can."""
    product = builder.fmul(one, other, flags=("contract",))
    return builder.fadd(total, product, flags=("contract",))


def sums_of_products(builder: Any, starts: Sequence[Any], rows: Sequence[Any], columns: Any, n: Any) -> list[Any]:
    """starts[r] + sum_k rows[r][k] * columns[k], for each row.

    starts: vectors. rows: addresses of `n` numbers each. columns: the address of `n` vectors.
    """
    lanes = starts[0].type.count
    sums = [cgutils.alloca_once_value(builder, start) for start in starts]  # type: ignore[no-untyped-call]
    with cgutils.for_range(builder, n) as loop:
        column = load(builder, columns, loop.index, vector_of(lanes))
        for row, total in zip(rows, sums, strict=True):
            number = spread(builder, load(builder, row, loop.index), lanes)
            builder.store(add_product(builder, builder.load(total), number, column), total)
    return [builder.load(total) for total in sums]
