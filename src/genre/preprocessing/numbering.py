"""Outside ids -> row numbers in a lasting order, as lazy frames. Does not know about files or cleaning.

Ids are text. Their order is numeric when all are plain whole numbers, by their bytes otherwise, so it does not depend
on the order of the interactions (which would let row numbers tell the time).
"""

from __future__ import annotations

import narwhals as nw
import pyarrow as pa
import pyarrow.compute as pc

from genre.data.ids import Ids
from genre.engines.base import Engine, Frame, totals

NOT_SEEN = r"[\x{00AD}\x{200B}-\x{200F}\x{2060}\x{FEFF}]+"
INVISIBLE = r"[\s\x{00A0}\x{00AD}\x{2000}-\x{200F}\x{202F}\x{2060}\x{3000}\x{FEFF}]+"
"""Blanks, and characters that are not seen."""
WHOLE = r"^(0|[1-9]\d{0,17})$"


def number_ids(frame: Frame, every: Frame, engine: Engine, label: str, known: pa.Table | None) -> tuple[Frame, Ids]:
    """Number the users or items of interactions, and those that a table knows besides.

    Args:
        frame: interactions with `user_id` or `item_id`.
        every: the same ids with as little as possible to compute before them.
        engine: works on the frame.
        label: `user` or `item`.
        known: the table of users or items, or None.

    Returns:
        The interactions with the column `user` or `item` (int32, null where the id is null or empty) in place of the
        ids' column, and the ids in the order of their numbers.
    """
    key = f"{label}_id"
    mentioned = _distinct(every, key)
    if known is not None:
        ids = known.select([key]).filter(pc.greater(pc.utf8_length(known[key].cast(pa.string())), 0))
        mentioned = _distinct(nw.concat([mentioned, engine.read(ids).select(nw.col(key).cast(nw.String))]), key)
    mentioned = mentioned.filter(~nw.col(key).is_null(), nw.col(key) != "")
    distinct = engine.write(mentioned.with_columns(nw.col(key).str.len_chars().cast(nw.Int64).alias("length")))
    whole = not totals(distinct, others=~nw.col(key).str.contains(WHOLE))["others"]
    numbered = engine.write(engine.number(distinct, key, label, order=("length",) if whole else ()).select(label, key))
    table = engine.collect(numbered.sort(label), pa.schema([(label, pa.int64()), (key, pa.string())]))
    narrow = numbered.with_columns(nw.col(label).cast(nw.Int32))
    return frame.join(narrow, on=key, how="left").drop(key), Ids(table[key])


def spelt_otherwise(ids: pa.Array, others: pa.Array) -> list[tuple[str, str]]:
    """Find ids that another table may spell in another way.

    Args:
        ids: ids that the other table does not have.
        others: its ids.

    Returns:
        Each such id, and the first of the others that is the same without blanks, case, leading zeros and `.0`, with
        accents composed.
    """
    found = pc.index_in(_plain_spelling(ids), _plain_spelling(others))
    return [*zip(ids.filter(pc.is_valid(found)).to_pylist(), others.take(found.drop_null()).to_pylist(), strict=True)]


def composed_twins(ids: pa.Array) -> list[tuple[str, str]]:
    """Find ids that look the same: an accented letter or a letter with an accent, a character that is not seen.

    Args:
        ids: distinct ids.

    Returns:
        Each such id, and the one before that looks like it.
    """
    foreign = ids.filter(pc.invert(pc.string_is_ascii(ids)))
    if not len(foreign):
        return []
    plain = pc.utf8_normalize(foreign, form="NFC")
    for form, instead in ((NOT_SEEN, ""), (r"[\x{00A0}\x{2000}-\x{200A}\x{202F}\x{3000}]", " ")):
        plain = pc.replace_substring_regex(plain, form, instead)
    every = pa.concat_arrays([ids.filter(pc.string_is_ascii(ids)), plain])
    own = pa.array(range(len(every) - len(plain), len(every)), pa.int32())
    first = pc.index_in(plain, every)
    again = pc.not_equal(first, own)
    known = pa.concat_arrays([ids.filter(pc.string_is_ascii(ids)), foreign])
    return [*zip(foreign.filter(again).to_pylist(), known.take(first.filter(again)).to_pylist(), strict=True)]


def _plain_spelling(ids: pa.Array) -> pa.Array:
    plain = pc.utf8_lower(pc.utf8_normalize(ids, form="NFKC"))
    for form, instead in ((INVISIBLE, ""), (r"^0+(\d)", r"\1"), (r"(\d)\.0+$", r"\1")):
        plain = pc.replace_substring_regex(plain, form, instead)
    return plain


def _distinct(frame: Frame, key: str) -> Frame:
    """The distinct values of a column, by grouping: `unique` sorts on some engines."""
    return frame.group_by(key).agg(nw.len().alias("times")).select(key)
