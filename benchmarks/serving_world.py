"""The servers that serving.py drives: ours, bare ones of the same framework, a peer's model behind the same endpoint.

    python benchmarks/serving_world.py ours|off|durable|default|hello|constant|peer PORT [STORE]

50,000 items x 64 factors, 20,000 users with 50 interactions each. `peer` runs in an environment with implicit.
"""

import sys
from pathlib import Path

import numpy as np

N_USERS, N_ITEMS, DIM, PER_USER = 20_000, 50_000, 64, 50


def interactions() -> np.ndarray:
    """Item rows, `PER_USER` a user, by a Zipf-like popularity. [N_USERS * PER_USER]"""
    share = np.arange(1, N_ITEMS + 1) ** -0.8
    return np.random.default_rng(0).choice(N_ITEMS, N_USERS * PER_USER, p=share / share.sum())


def factors() -> np.ndarray:
    return np.random.default_rng(1).normal(0, 1 / 8, (N_ITEMS, DIM)).astype(np.float32)


def our_run():  # type: ignore[no-untyped-def]
    """A run with one recommender of the plainest kind: a user is the sum of the items' factors."""
    from dataclasses import dataclass
    from typing import ClassVar

    import pyarrow as pa

    from genre.arrays import Float32, Int32
    from genre.data.dataset import Dataset
    from genre.data.history import History
    from genre.data.ids import Ids
    from genre.recommenders.base import Recommender
    from genre.recommenders.reasons import Method
    from genre.runs import Run

    @dataclass(eq=False)
    class Sum(Recommender):
        explains: ClassVar[Method] = "exact"

        def _fit(self, dataset: Dataset, validation: object, log: object) -> None:
            self.item_factors_ = factors()

        def _factors(self, history: History) -> tuple[Float32, Float32]:
            return np.asarray(history.matrix() @ self.item_factors_, np.float32), self.item_factors_

        def _score(self, history: History) -> Float32:
            queries, items = self._factors(history)
            return queries @ items.T

        def _contributions(self, history: History, items: Int32) -> Float32:
            return self.item_factors_[items] @ self.item_factors_[history.item].T * history.weight

    ids = Ids(f"i{row}" for row in range(N_ITEMS))
    items = pa.table({"item_id": ids.values, "title": [f"A title of some length, {row}" for row in range(N_ITEMS)]})
    item = interactions()
    data = Dataset.from_arrays(
        user=np.repeat(np.arange(N_USERS), PER_USER),
        item=item,
        timestamp=np.arange(len(item)) + 1_000_000_000,
        user_ids=Ids(f"u{row}" for row in range(N_USERS)),
        item_ids=ids,
        items=items,
    )
    return Run(Path("run"), "benchmark", data, {"sum": Sum().fit(data)})


def ours(port: int, store: str, in_flight: int | None = None, record_shows: str = "buffered") -> None:
    from genre.config.serving_options import ServingOptions
    from genre.serving.http.server import serve
    from genre.serving.limits import Limits

    limits = Limits() if in_flight is None else Limits(in_flight=in_flight)
    serve([our_run()], port=port, store=store, limits=limits, options=ServingOptions(record_shows=record_shows))


def bare(port: int, answer: object) -> None:
    """FastAPI as one writes it in a minute, on the same uvicorn."""
    import uvicorn
    from fastapi import FastAPI

    app = FastAPI()

    @app.get("/v1/users/{user_id}/recommendations")
    async def recommend(user_id: str, k: int = 10, run: str | None = None, exclude_seen: bool = True) -> object:  # noqa: FBT001, FBT002
        return answer

    @app.get("/readyz")
    async def ready() -> str:
        return "ready"

    uvicorn.run(app, port=port, log_level="warning", access_log=False)


def peer(port: int) -> None:
    """implicit in the process, called in the endpoint, no reasons."""
    import scipy.sparse as sp
    import uvicorn
    from fastapi import FastAPI
    from implicit.cpu.als import AlternatingLeastSquares

    seen = sp.csr_matrix(
        (np.ones(N_USERS * PER_USER, np.float32), interactions(), np.arange(N_USERS + 1) * PER_USER),
        shape=(N_USERS, N_ITEMS),
    )
    model = AlternatingLeastSquares(factors=DIM, num_threads=1)
    model.item_factors = factors()
    model.user_factors = np.asarray(seen @ model.item_factors, np.float32)
    app = FastAPI()

    @app.get("/v1/users/{user_id}/recommendations")
    async def recommend(user_id: str, k: int = 10) -> object:
        row = int(user_id[1:])
        items, scores = model.recommend(row, seen[row], N=k)
        pairs = zip(items.tolist(), scores.tolist(), strict=True)
        return {"items": [{"item_id": f"i{item}", "score": score} for item, score in pairs]}

    @app.get("/readyz")
    async def ready() -> str:
        return "ready"

    uvicorn.run(app, port=port, log_level="warning", access_log=False)


if __name__ == "__main__":
    role, port = sys.argv[1], int(sys.argv[2])
    example = {
        "items": [
            {"item_id": f"i{n}", "title": "A title of some length", "score": 0.123456, "reason": "because of A and B"}
            for n in range(10)
        ],
        "source": "personal",
        "run": "benchmark",
    }
    if role == "ours":
        ours(port, sys.argv[3], in_flight=64)  # the widest load but for the flood, which meets the default
    elif role in ("off", "durable"):  # how lists are recorded; ours: buffered
        ours(port, sys.argv[3], in_flight=64, record_shows=role)
    elif role == "default":
        ours(port, sys.argv[3])
    elif role == "peer":
        peer(port)
    else:
        bare(port, example if role == "constant" else {"hello": "world"})
