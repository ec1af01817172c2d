"""What loops over arrays need to keep the processor's vector units busy: a hint to the compiler, and two loops by hand.

A vector register holds several numbers side by side, its lanes (8 float32 with AVX2, 16 with AVX-512), and one
instruction multiplies all of them. The processor is only busy when sums stay in registers from the first product to
the last. Numba writes them to memory and reads them back in each round, since it cannot know that the arrays do not
overlap, and takes half registers on processors that have AVX-512 but were slow with it once.

- `sums_in_registers` (used by `layers.py`) tells the compiler both. The loop stays a plain one.
- `products_of_few`, `products_of_many` (used by `topk.py`), in LLVM instructions: products of a few items with a group
  of queries, compared with each query's threshold before they leave the registers.
- `add_gram_tile` (used by `ridge.py`), in LLVM instructions: a tile of a Gram matrix, L'R.

Decision records 101 and 201 have the figures. The two take addresses as integers and check nothing: the callers
guarantee that all arrays are contiguous and large enough. Knows nothing about what the numbers mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llvmlite import ir
from llvmlite.binding import get_host_cpu_features
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

INT64, FLOAT32 = ir.IntType(64), ir.FloatType()
AVX512 = bool(get_host_cpu_features().get("avx512f"))  # 32 registers of 16 float32, otherwise 16 registers of 8

ITEMS_AT_ONCE = 8 if AVX512 else 6  # items whose products with a group of queries fit the registers
FEW_QUERIES = 16  # lanes of a group of queries where there are few of them
MANY_QUERIES = 32 if AVX512 else 16  # and where there are many

TILE_ROWS, TILE_COLUMNS = 4, 16  # of `add_gram_tile`
_TILE_LANES = 8  # so that the tile fits the registers of every processor of the last ten years


@intrinsic
def sums_in_registers(typing: Any) -> Any:
    """Let sums of the calling function stay in the widest registers; call it in the first line of a compiled function.

    It does nothing when it runs. It promises the compiler that no array the function writes to overlaps another of its
    arguments (`noalias`), asks for registers of 512 bits where the processor has them (LLVM prefers 256 on Intel's),
    and keeps the function out of its callers, in which the promise would be lost.

    Args:
        typing: The compiler's.

    Returns:
        For the compiler: the signature, and the function that marks the caller.
    """

    def make(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        caller = builder.function
        caller.attributes.add("noinline")
        set.add(caller.attributes, '"prefer-vector-width"="512"')  # llvmlite's own `add` refuses names with a value
        for argument in caller.args:
            if isinstance(argument.type, ir.PointerType):
                argument.add_attribute("noalias")
        return context.get_dummy_value()

    return types.void(), make


def _vector(lanes: int) -> Any:
    """Return the LLVM type of `lanes` float32 side by side."""
    return ir.VectorType(FLOAT32, lanes)


def _broadcast(builder: Any, value: Any, lanes: int) -> Any:
    """Copy one number to each lane of a vector."""
    int32 = ir.IntType(32)
    first = builder.insert_element(ir.Constant(ir.VectorType(value.type, lanes), ir.Undefined), value, int32(0))
    return builder.shuffle_vector(first, first, ir.Constant(ir.VectorType(int32, lanes), [0] * lanes))


def _pointer(builder: Any, base: Any, index: Any, kind: Any) -> Any:
    """Return a pointer to value `index` (a Python or an LLVM integer) of an array of `kind` at the address `base`."""
    size = 4 * kind.count if isinstance(kind, ir.VectorType) else kind.width // 8 if isinstance(kind, ir.IntType) else 4
    offset = INT64(index * size) if isinstance(index, int) else builder.mul(index, INT64(size))
    return builder.inttoptr(builder.add(base, offset), kind.as_pointer())


def _read(builder: Any, base: Any, index: Any, kind: Any = FLOAT32) -> Any:
    """Load the value that `_pointer` points to."""
    return builder.load(_pointer(builder, base, index, kind), align=4)


def _write(builder: Any, value: Any, base: Any, index: Any) -> None:
    """Store a value where `_pointer` points to."""
    builder.store(value, _pointer(builder, base, index, value.type), align=4)


def _multiply_add(builder: Any, total: Any, left: Any, right: Any) -> Any:
    """Return total + left * right, as one instruction (rounded once) where the processor has it."""
    product = builder.fmul(left, right, flags=("contract",))
    return builder.fadd(total, product, flags=("contract",))


def _sums_of_products(builder: Any, rows: Sequence[Any], columns: Any, n: Any, lanes: int) -> list[Any]:
    """Return sum_k rows[r][k] * columns[k] for each row `r`: a vector of `lanes` sums each.

    Args:
        builder: Writes the instructions.
        rows: Addresses of `n` float32 each.
        columns: Address of `n` vectors.
        n: How many products to add up.
        lanes: Length of a vector.
    """
    zero = ir.Constant(_vector(lanes), [0.0] * lanes)
    sums = [cgutils.alloca_once_value(builder, zero) for _ in rows]  # type: ignore[no-untyped-call]
    with cgutils.for_range(builder, n) as loop:
        column = _read(builder, columns, loop.index, _vector(lanes))
        for row, total in zip(rows, sums, strict=True):
            number = _broadcast(builder, _read(builder, row, loop.index), lanes)
            builder.store(_multiply_add(builder, builder.load(total), number, column), total)
    return [builder.load(total) for total in sums]


def _products_of(lanes: int) -> Any:
    """Make the intrinsic that multiplies `ITEMS_AT_ONCE` items with a group of `lanes` queries.

    Its arguments are addresses, but for the last:
        items: float32 `[ITEMS_AT_ONCE, dim]`.
        hidden: int32 `[ITEMS_AT_ONCE]`; bit `q` says that query `q` must not get the item.
        queries: float32 `[dim, lanes]`.
        threshold: float32 `[lanes]`.
        products: float32 `[ITEMS_AT_ONCE, lanes]`, filled.
        above: int64 `[ITEMS_AT_ONCE]`, filled with bits: query `q` may have the item, and the product is above the
            query's threshold, or NaN.
        dim: Length of the vectors.
    It returns the union of `above`: 0 where there is nothing to look at.
    """

    def products_of(
        typing: Any, items: Any, hidden: Any, queries: Any, threshold: Any, products: Any, above: Any, dim: Any
    ) -> Any:
        def make(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            items, hidden, queries, threshold, products, above, dim = args
            rows = [builder.add(items, builder.mul(dim, INT64(4 * at))) for at in range(ITEMS_AT_ONCE)]
            bar, union = _read(builder, threshold, 0, _vector(lanes)), INT64(0)
            for at, total in enumerate(_sums_of_products(builder, rows, queries, dim, lanes)):
                _write(builder, total, products, at)
                beats = builder.bitcast(builder.fcmp_unordered(">", total, bar), ir.IntType(lanes))
                allowed = builder.not_(_read(builder, hidden, at, ir.IntType(32)))
                found = builder.and_(builder.zext(beats, INT64), builder.zext(allowed, INT64))
                _write(builder, found, above, at)
                union = builder.or_(union, found)
            return union

        return types.int64(*[types.intp] * 7), make

    return intrinsic(products_of)


products_of_few, products_of_many = _products_of(FEW_QUERIES), _products_of(MANY_QUERIES)


@intrinsic
def add_gram_tile(
    typing: Any, out: Any, left: Any, right: Any, out_stride: Any, left_stride: Any, right_stride: Any, n: Any
) -> Any:
    """Add left[:n, :TILE_ROWS]' right[:n, :TILE_COLUMNS] to out[:TILE_ROWS, :TILE_COLUMNS].

    The tile of `out` is held in registers while the `n` rows of `left` and `right` pass.

    Args:
        typing: The compiler's.
        out: Address of the tile's first number; float32.
        left: Address of the first of `TILE_ROWS` columns.
        right: Address of the first of `TILE_COLUMNS` columns.
        out_stride: Length of a row of the array that `out` is in.
        left_stride: The same of `left`.
        right_stride: The same of `right`.
        n: How many rows to multiply.

    Returns:
        For the compiler: the signature, and the function that writes the instructions.
    """
    vector, parts = _vector(_TILE_LANES), range(TILE_COLUMNS // _TILE_LANES)

    def make(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        out, left, right, out_stride, left_stride, right_stride, n = args

        def row_of(base: Any, stride: Any, row: Any) -> Any:
            return builder.add(base, builder.mul(builder.mul(row, stride), INT64(4)))

        targets = [row_of(out, out_stride, INT64(i)) for i in range(TILE_ROWS)]
        tile = {}
        for i, target in enumerate(targets):
            for part in parts:
                tile[i, part] = cgutils.alloca_once(builder, vector)  # type: ignore[no-untyped-call]
                builder.store(_read(builder, target, part, vector), tile[i, part])
        with cgutils.for_range(builder, n) as loop:
            ours, theirs = row_of(left, left_stride, loop.index), row_of(right, right_stride, loop.index)
            row = [_read(builder, theirs, part, vector) for part in parts]
            for i in range(TILE_ROWS):
                number = _broadcast(builder, _read(builder, ours, i), _TILE_LANES)
                for part in parts:
                    total = builder.load(tile[i, part])
                    builder.store(_multiply_add(builder, total, number, row[part]), tile[i, part])
        for (i, part), total in tile.items():
            _write(builder, builder.load(total), targets[i], part)
        return context.get_dummy_value()

    return types.void(*[types.intp] * 7), make
