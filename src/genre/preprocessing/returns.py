"""Returns: interactions of negative weight that cancel purchases of the same user and item. Knows no files.

The purchases of a pair are a pile, and a return takes from its top: the latest earlier purchase first, then the one
before, up to the quantity. With S the running sum of the weights of a pair in time, the units of a purchase are those
between S before it and S after it, and a unit is returned when S falls below it later. So what is left of a purchase of
weight w is min(S from it on) - (S - w), at least 0: two running aggregates, which every engine has.
"""

from __future__ import annotations

import narwhals as nw

from genre.engines.base import Engine, Frame, n_rows, totals
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
    if not n_rows(returned):
        return frame, []
    rows = engine.write(frame.join(returned, on=pair, how="semi"))
    piles = engine.write(_piles(rows, names, pair))
    left = nw.min_horizontal(nw.col("lowest_later") - nw.col("sum") + nw.col("weight"), nw.col("weight"))
    left = nw.when(left > TINY * nw.col("weight")).then(left).otherwise(0.0)
    piles = engine.write(piles.with_columns(left.alias("left")))
    stays = (nw.col("left") > 0) | (nw.col("weight") == 0)
    purchase, weight = nw.col("weight") > 0, nw.col("weight")
    found = totals(
        piles,
        returns=weight < 0,
        whole=purchase & ~stays,
        partly=purchase & stays & (nw.col("left") < weight),
        open=(weight < 0) & (nw.col("sum") < 0) & (nw.col("sum") <= nw.col("lowest_before")),
    )
    kept = piles.filter(stays).with_columns(nw.col("left").alias("weight")).select(names)
    before = n_rows(frame)
    reason = "returns: {returns:,}; purchases that they cancel: {whole:,}, and {partly:,} in part".format(**found)
    reason += f"; returns of more than was bought before: {found['open']:,}" if found["open"] else ""
    others = frame.join(returned, on=pair, how="anti").select(names)
    after = before - found["returns"] - found["whole"]
    return engine.write(nw.concat([others, kept])), [Step("returns", reason, before, after)]


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
