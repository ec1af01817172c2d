"""Returns: interactions of negative weight that cancel purchases of the same user and item. Knows no files.

The purchases of a pair are a pile, and a return takes from its top: the latest earlier purchase first, then the one
before, up to the quantity. With S the running sum of the weights of a pair in time, the units of a purchase are those
between S before it and S after it, and a unit is returned when S falls below it later. So what is left of a purchase of
weight w is min(S from it on) - (S - w), at least 0: two running aggregates, which every engine has.
"""

from __future__ import annotations

import narwhals as nw

from genre.engines.base import Engine, Frame
from genre.preprocessing.cleaning_report import Step

TINY = 1e-6
"""A smaller share of a purchase is an error of rounding."""


def cancel_returns(frame: Frame, engine: Engine) -> tuple[Frame, list[Step]]:
    """Take returns from the purchases before them.

    Args:
        frame: numbered interactions; those of negative weight are returns.
        engine: works on the frame.

    Returns:
        The rows that stay, a purchase that was returned in part with what is left of it, and a step where there were
        returns. Parts that are given (train, validation, test) do not touch each other.
    """
    names = frame.collect_schema().names()
    if "weight" not in names:
        return frame, []
    pair = ["user", "item", *(["part"] if "part" in names else [])]
    returned = engine.write(frame.filter(nw.col("weight") < 0).group_by(pair).agg(nw.len().alias("n")).select(pair))
    if not _counts(returned, nw.len())[0]:
        return frame, []
    rows = engine.write(frame.join(returned, on=pair, how="semi"))
    piles = engine.write(_piles(rows, names, pair))
    left = nw.min_horizontal(nw.col("lowest_later") - nw.col("sum") + nw.col("weight"), nw.col("weight"))
    left = nw.when(left > TINY * nw.col("weight")).then(left).otherwise(0.0)
    piles = engine.write(piles.with_columns(left.alias("left")))
    stays = (nw.col("left") > 0) | (nw.col("weight") == 0)
    purchase, weight = nw.col("weight") > 0, nw.col("weight")
    n, whole, partly, open_ = _counts(
        piles,
        (weight < 0).cast(nw.Int64).sum(),
        (purchase & ~stays).cast(nw.Int64).sum(),
        (purchase & stays & (nw.col("left") < weight)).cast(nw.Int64).sum(),
        ((weight < 0) & (nw.col("sum") < 0) & (nw.col("sum") <= nw.col("lowest_before"))).cast(nw.Int64).sum(),
    )
    kept = piles.filter(stays).with_columns(nw.col("left").alias("weight")).select(names)
    before = _counts(frame, nw.len())[0]
    reason = f"returns: {n:,}; purchases that they cancel: {whole:,}, and {partly:,} in part"
    reason += f"; returns of more than was bought before: {open_:,}" if open_ else ""
    others = frame.join(returned, on=pair, how="anti").select(names)
    return engine.write(nw.concat([others, kept])), [Step("returns", reason, before, before - n - whole)]


def _piles(rows: Frame, names: list[str], pair: list[str]) -> Frame:
    """The rows with the running sum of their pair, its minimum from each row on and up to it.

    At one time purchases come before returns.
    """
    time = [name for name in ("timestamp", "moment") if name in names]
    order = [*time, "is_return", "weight", "row"] if time else ["row"]
    rows = rows.with_columns((nw.col("weight") < 0).cast(nw.Int64).alias("is_return"))
    rows = rows.with_columns(nw.col("weight").cum_sum().over(pair, order_by=order).alias("sum"))
    return rows.with_columns(
        nw.col("sum").cum_min(reverse=True).over(pair, order_by=order).alias("lowest_later"),
        nw.col("sum").cum_min().over(pair, order_by=order).alias("lowest_before"),
    )


def _counts(frame: Frame, *values: nw.Expr) -> list[int]:
    named = [value.cast(nw.Int64).alias(f"value_{place}") for place, value in enumerate(values)]
    row = frame.select(*named).collect("pyarrow").to_native().to_pylist()[0]
    return [int(row[f"value_{place}"] or 0) for place in range(len(values))]
