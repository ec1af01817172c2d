"""How a user becomes a vector: the fields of the user and the titles of the history, as one text, encoded."""

from __future__ import annotations

import itertools

import numpy as np
import pyarrow as pa

from genre.data.dataset import Dataset
from genre.data.features import Features
from genre.features.base import Encoder
from genre.log import SILENT, Log

HISTORY = "history"
TITLES = 20  # items that a user's text names: sentence encoders cut off more than 256 tokens


def user_features(dataset: Dataset, encoder: Encoder, *, fit: bool = True, log: Log = SILENT) -> Features:
    """Encode the users by the fields of their table and the titles of their history.

    Args:
        dataset: The train part: interactions after it may not be in a user's text.
        encoder: The text encoder.
        fit: Whether to fit it on the users' texts first; False: it was fitted on the items, so that vectors of
            both kinds are of one space.
        log: Where progress is shown.

    Returns:
        One vector a user. [n_users, dim]
    """
    users = with_history(dataset)
    return (encoder.fit(users, log=log) if fit else encoder).encode(users, log=log)


def with_history(dataset: Dataset) -> pa.Table:
    """Add a column `history` to the users' table: the titles that each user liked most and last.

    Args:
        dataset: The train part; all its interactions are used.

    Returns:
        The users' table. A history names at most `TITLES` items, best rated first, of equals the newest first; it is
        empty for a user without a like.
    """
    titles = list(dataset.titles())
    liked = np.flatnonzero(dataset.liked())
    strength = (dataset.weight if dataset.rating is None else dataset.rating)[liked]
    user = dataset.user[liked]
    order = np.lexsort((-liked, -strength, user))  # rows are sorted by time: a higher row is newer
    picked, user = dataset.item[liked[order]], user[order]
    ends = np.searchsorted(user, np.arange(dataset.n_users + 1)).tolist()
    texts = []
    for start, end in itertools.pairwise(ends):
        names = dict.fromkeys(titles[item] for item in picked[start : min(end, start + TITLES)].tolist())
        texts.append(f"likes {'; '.join(names)}" if names else "")
    at = dataset.users.schema.get_field_index(HISTORY)
    users = dataset.users if at < 0 else dataset.users.remove_column(at)
    return users.append_column(HISTORY, pa.array(texts, pa.string()))
