"""Outside ids -> row numbers in a lasting order, as lazy frames. Does not know about files or cleaning.

Ids are text. Their order is numeric when all are plain whole numbers, by their bytes otherwise, so it does not depend
on the order of the interactions (which would let row numbers tell the time).
"""

from __future__ import annotations

import narwhals as nw
import pyarrow as pa
import pyarrow.compute as pc

from genre.data.ids import Ids
from genre.engines.base import Engine, Frame

WHOLE = r"^(0|[1-9]\d{0,17})$"


def number_ids(frame: Frame, every: Frame, engine: Engine, label: str, known: pa.Table | None) -> tuple[Frame, Ids]:
    """Number the users or items of interactions, and those that a table knows besides.

    Args:
        frame: interactions with `user_id` and `item_id`, neither null.
        every: the interactions before any was dropped; an id that only these have is numbered too.
        engine: works on the frame.
        label: `user` or `item`.
        known: the table of users or items, or None.

    Returns:
        The interactions with the column `user` or `item` (int64) in place of the ids' column, and the ids in the order
        of their numbers.
    """
    key = f"{label}_id"
    mentioned = every.select(key).filter(~nw.col(key).is_null(), nw.col(key) != "")
    if known is not None:
        ids = known.select([key]).filter(pc.greater(pc.utf8_length(known[key].cast(pa.string())), 0))
        mentioned = nw.concat([mentioned, engine.read(ids).select(nw.col(key).cast(nw.String))])
    distinct = engine.write(mentioned.unique().with_columns(nw.col(key).str.len_chars().cast(nw.Int64).alias("length")))
    others = distinct.filter(~nw.col(key).str.contains(WHOLE)).select(nw.len().cast(nw.Int64).alias("n"))
    whole = others.collect("pyarrow")["n"].to_list() == [0]
    numbered = engine.write(engine.number(distinct, key, label, order=("length",) if whole else ()))
    schema = pa.schema([(label, pa.int64()), (key, pa.string())])
    table = engine.collect(numbered.select(label, key).sort(label), schema)
    return frame.join(numbered.select(label, key), on=key, how="left"), Ids(table[key])
