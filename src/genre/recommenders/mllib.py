"""Item vectors of ALS, learnt by MLlib on the workers of a Spark cluster. Does not know how histories are scored.

MLlib minimises what `als.py` does, with another penalty: that of a row is `regParam` times its interactions.
"""

from __future__ import annotations

import narwhals as nw
import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from genre.arrays import Float32
from genre.data.arrow import as_arrow, as_numpy
from genre.engines.base import open_cluster
from genre.engines.spark import Spark
from genre.errors import DataError, NotAvailable

CHECKPOINT_EVERY = 3
"""Sweeps after which vectors are written: the plan of twelve is so deep that a worker's stack overflows."""


def items_by_mllib(
    matrix: sp.csr_matrix, *, factors: int, iterations: int, regularization: float, alpha: float, seed: int
) -> Float32:
    """Learn item vectors on the cluster whose `with` block is open.

    Where every interaction has the weight w, a row of n interactions has the penalty
    `regularization * (1 + alpha * w * n)` with `frequency: 1`, and `regParam * n` in MLlib: equal, up to one
    `regularization`, for `regParam = regularization * alpha * w`.

    Args:
        matrix: Weights above zero `[n_users, n_items]`.
        factors: Length of the vectors.
        iterations: Sweeps over users and items.
        regularization: The penalty of the formula.
        alpha: Confidence added for each unit of weight.
        seed: Of the first vectors.

    Returns:
        A vector for each item, zero without interactions `[n_items, factors]`.

    Raises:
        NotAvailable: No cluster is open.
        DataError: The weights differ.
    """
    least, most = (float(value) for value in (matrix.data.min(initial=np.inf), matrix.data.max(initial=0)))
    if least < most:
        raise DataError(
            f"als: solver: mllib penalises a row by the number of its interactions, and here their weights differ "
            f"({least:g} to {most:g}); set cleaning: {{weights: equal}}, or choose another solver"
        )
    cluster = open_cluster()
    if not isinstance(cluster, Spark):
        raise NotAvailable(
            "als: solver: mllib learns on Spark, and no session is open; write engine: {kind: spark} in the config, in "
            "Python fit inside `with Spark(...):`, or choose another solver"
        )
    frame = nw.to_native(cluster.read(_rows(matrix)))
    from pyspark.ml.recommendation import ALS

    learner = ALS(
        rank=factors,
        maxIter=iterations,
        regParam=regularization * alpha * most,
        alpha=alpha,
        implicitPrefs=True,
        seed=seed,
        userCol="user",
        itemCol="item",
        ratingCol="weight",
        checkpointInterval=CHECKPOINT_EVERY,
    )
    with cluster.checkpoints():
        found = learner.fit(frame).itemFactors.toArrow()
    items = np.zeros((matrix.shape[1], factors), np.float32)
    vectors = as_numpy(found["features"].combine_chunks().flatten(), 0)
    items[as_numpy(found["id"], 0)] = vectors.reshape(-1, factors)
    return items


def _rows(matrix: sp.csr_matrix) -> pa.Table:
    """Return a row for each interaction: `user`, `item`, `weight`."""
    user = np.repeat(np.arange(matrix.shape[0], dtype=np.int32), np.diff(matrix.indptr))
    columns = {"user": user, "item": matrix.indices.astype(np.int32), "weight": matrix.data}
    return pa.table({name: as_arrow(values) for name, values in columns.items()})
