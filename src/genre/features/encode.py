"""A Dataset -> vectors of its items and of its users. Knows nothing about how texts are read."""

from __future__ import annotations

from genre.data.dataset import Dataset, Features
from genre.features.base import Encoder
from genre.features.text import with_history
from genre.log import SILENT, Log


def item_features(dataset: Dataset, encoder: Encoder, *, log: Log = SILENT) -> Features:
    """E(item): one vector an item, from the fields of the items' table. `encoder` is fitted on them first."""
    return encoder.fit(dataset.items, log=log).encode(dataset.items, log=log)


def user_features(dataset: Dataset, encoder: Encoder, *, fit: bool = True, log: Log = SILENT) -> Features:
    """E(user): one vector a user, from the fields of the users' table and what the history in `dataset` says.

    Give it the train part: nothing that a user did later may be in it. fit: `encoder` is fitted on the same texts
    first; False: it was fitted on the items, so that both kinds of vectors are of one space.
    """
    users = with_history(dataset)
    return (encoder.fit(users, log=log) if fit else encoder).encode(users, log=log)
