"""An approximate index over item factors: the best items of a query without a product with every item.

Items with a high score for the average history, which are in most lists, are compared one by one; the others are in a
graph. The graph is usearch's (hierarchical navigable small world: Malkov and Yashunin, "Efficient and robust
approximate nearest neighbor search using hierarchical navigable small world graphs", TPAMI 2020). Which items are found
is approximate; their scores are computed from the factors. Knows nothing about recommenders.
"""

from __future__ import annotations

import importlib.util
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np

from genre import storage
from genre.arrays import Float32, Int32
from genre.errors import ArtifactError, DataError, NotAvailable
from genre.recommenders.topk import Mask, Seen, top_k_factors

EXACT_UP_TO = 200_000
"""Items up to which every item is compared where the config leaves the choice."""
RECALL_K = 100
GOOD_RECALL = 0.98
LEAST_RECALL = 0.9
"""Below this share of the best items no index answers."""
EXPANSIONS = (
    64,
    96,
    128,
    192,
    256,
    384,
    512,
    768,
    1024,
)  # items that a search keeps in view: quicker, or nearer to exact
MOST_FETCHED = 2000  # more items for one list, and comparing those that are allowed is quicker
COMPARED = 64  # allowed items that can be compared in the time that the graph takes to find one more
MARGIN = 1.5  # items are fetched for a filter as if it let through this factor fewer
NEIGHBOURS, BUILD_EXPANSION = 16, 64  # of the graph: edges of a node, items in view while it is placed
FEW = 0.25  # share of allowed items up to which their factors are copied, to compare them alone
HEAD = 0.02  # share of the items that are compared one by one
GRAPH, TABLES, FACTS = "items.usearch", "head.safetensors", "index.json"


def can_index() -> bool:
    """Tell whether the package that keeps indexes is installed.

    Returns:
        True where `usearch` can be imported.
    """
    return importlib.util.find_spec("usearch") is not None


@dataclass(eq=False)
class ItemIndex:
    """An index over item factors.

    Attributes:
        graph: The graph of usearch.
        head: Rows of the items that are not in it `[n_head]`.
        head_table: Their factors `[n_head, dim]`.
        n_items: Items in both; those with higher row numbers came later, and are compared one by one, too.
        expansion: Items that a search keeps in view.
        recall: Share of the 100 best items that it found for the queries it was measured with.
        folder: Where it was read from, None where it was built here.
    """

    graph: Any
    head: Int32
    head_table: Float32
    n_items: int
    expansion: int
    recall: float
    folder: Path | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel to another process as the folder, which both see."""
        return type(self).load, (self.folder,)

    @property
    def answers(self) -> bool:
        """Whether it finds enough of the best items to answer in place of a comparison with all."""
        return self.recall >= LEAST_RECALL

    @classmethod
    def build(cls, items: Float32, queries: Float32) -> Self:
        """Build an index and measure it against the exact lists.

        Of the numbers of items to keep in view, the lowest is taken that finds 98 % of the 100 best items, or the
        highest. One thread builds, because the order in which several would add the items decides the graph.

        Args:
            items: Item factors `[n_items, dim]`.
            queries: Queries `[m, dim]`; the head is chosen by half of them, the recall measured with the others.

        Returns:
            The index.

        Raises:
            NotAvailable: usearch is not installed.
        """
        if not can_index():
            raise NotAvailable("an approximate index needs usearch: pip install 'genre-rec[index]'")
        from usearch.index import Index

        choosing, measuring = (queries[::2], queries[1::2]) if len(queries) > 1 else (queries, queries)
        likely = np.argsort(-(items @ choosing.mean(axis=0)), kind="stable")
        head, rest = np.split(likely.astype(np.int32), [max(RECALL_K, int(HEAD * len(items)))])
        graph = Index(
            ndim=items.shape[1],
            metric="ip",
            dtype="f16",
            connectivity=NEIGHBOURS,
            expansion_add=BUILD_EXPANSION,
        )
        longest = float(np.linalg.norm(items, axis=1).max(initial=0))
        scale = np.float32(1 / max(longest, 1e-30))  # numbers of 16 bits end at 65,504
        graph.add(rest.astype(np.uint64), items[rest] * scale, threads=1)
        made = cls(graph, head, np.ascontiguousarray(items[head]), len(items), EXPANSIONS[0], 0.0)
        best, _ = top_k_factors(measuring, items, min(RECALL_K, len(items)))
        for made.expansion in EXPANSIONS:
            found = made.find(measuring, best.shape[1])
            shared = [len(np.intersect1d(one, other)) for one, other in zip(found, best, strict=True)]
            made.recall = float(np.mean(shared) / best.shape[1])
            if made.recall >= GOOD_RECALL:
                break
        return made

    def find(self, queries: Float32, n: int) -> Int32:
        """Return the items with the highest products with each query, in no certain order.

        Args:
            queries: `[m, dim]`.
            n: Items to find in the head, and in the graph.

        Returns:
            Rows `[m, 2 n]` or fewer where the head is smaller, -1 where the graph gave fewer.
        """
        item = np.full((len(queries), n), -1, np.int32)
        unit = queries / np.maximum(np.linalg.norm(queries, axis=1, keepdims=True), 1e-30)
        with self._lock:  # a search sets the expansion and uses the buffers of thread 0
            self.graph.expansion_search = self.expansion
            for row, query in enumerate(unit):
                keys = self.graph.search(query, n, threads=1).keys
                item[row, : len(keys)] = keys
        if n >= len(self.head):
            return np.concatenate([np.broadcast_to(self.head, (len(item), len(self.head))), item], axis=1)
        near = np.argpartition(-(queries @ self.head_table.T), n, axis=1)[:, :n]
        return np.concatenate([self.head[near], item], axis=1)

    def save(self, folder: Path) -> None:
        """Write the index.

        Args:
            folder: An existing folder.
        """
        self.graph.save(str(folder / GRAPH))
        storage.write_tensors(folder / TABLES, {"head": self.head, "head_table": self.head_table})
        facts = {"items": self.n_items, "expansion": self.expansion, f"recall@{RECALL_K}": self.recall}
        storage.write_json(folder / FACTS, facts)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read an index; its graph stays on disk and is shared by all processes that read it.

        Args:
            folder: A folder that `save` wrote into.

        Returns:
            The index.

        Raises:
            NotAvailable: usearch is not installed.
            ArtifactError: The files do not fit each other.
        """
        if not can_index():
            raise NotAvailable("this run answers through an index: pip install 'genre-rec[index]'")
        from usearch.index import Index

        facts, tables = storage.read_json(folder / FACTS), storage.read_tensors(folder / TABLES, finite=True)
        try:
            graph = Index.restore(str(folder / GRAPH), view=True)
        except RuntimeError as error:
            raise ArtifactError(f"{folder / GRAPH}: not readable by usearch ({error}); make the run again") from error
        with storage.reading(folder / FACTS):
            head, table = tables["head"], tables["head_table"]
            if graph is None or len(graph) + len(head) != facts["items"]:
                raise ArtifactError(f"{folder}: the index does not hold {facts['items']} items; make the run again")
            return cls(graph, head, table, facts["items"], facts["expansion"], facts[f"recall@{RECALL_K}"], folder)


def top_k_indexed(
    index: ItemIndex,
    queries: Float32,
    items: Float32,
    k: int,
    *,
    seen: Seen | None = None,
    candidates: Mask | None = None,
) -> tuple[Int32, Float32]:
    """Return the best `k` items of each query, found through an index.

    More items are fetched than wanted, as many as a filter and the seen items are expected to take away. Where the
    allowed items are few, where too many would have to be fetched, or where a list comes out short all the same, the
    allowed items are compared one by one.

    Args:
        index: The index over the first rows of `items`.
        queries: `[n, dim]`.
        items: `[n_items, dim]`; rows that the index does not hold are compared one by one.
        k: Length of a list.
        seen: Items that each row must not get, as row starts `[n + 1]` and item rows.
        candidates: The only items allowed, bool `[n_items]`; None allows all.

    Returns:
        Items int32 `[n, k]` and their scores float32 `[n, k]`, best first.

    Raises:
        DataError: If a query is not finite.
    """
    if not np.isfinite(queries).all():
        raise DataError("a query holds NaN or infinity; look for a training run that diverged")
    indptr, gone = (np.zeros(len(queries) + 1, np.int64), np.empty(0, np.int32)) if seen is None else seen
    allowed = np.ones(len(gone), bool) if candidates is None else candidates[gone]
    most = int(np.diff(np.append(0, np.cumsum(allowed))[indptr]).max(initial=0))  # seen items that no filter takes away
    n_allowed = len(items) if candidates is None else np.count_nonzero(candidates)
    wanted = (k + most) * (1.0 if candidates is None else MARGIN * len(items) / max(n_allowed, 1))
    few = n_allowed <= min(COMPARED * max(wanted, index.expansion), FEW * len(items))
    if few or max(wanted, k) > min(MOST_FETCHED, index.n_items):
        return _compare_allowed(queries, items, k, (indptr, gone), candidates)
    found = index.find(queries, int(np.ceil(wanted)))
    later = np.arange(index.n_items, len(items), dtype=np.int32)
    found = np.concatenate([found, np.broadcast_to(later, (len(found), len(later)))], axis=1)  # [n, m]
    score = np.einsum("nd,nmd->nm", queries, items[found]).astype(np.float32, copy=False)
    hidden = found < 0 if candidates is None else (found < 0) | ~candidates[found]
    for row in range(len(found)):
        hidden[row] |= np.isin(found[row], gone[indptr[row] : indptr[row + 1]])
    score[hidden] = -np.inf
    best = np.lexsort((found, -score), axis=1)[:, :k]
    item, score = np.take_along_axis(found, best, axis=1), np.take_along_axis(score, best, axis=1)
    short = np.flatnonzero(np.isneginf(score[:, -1]))
    if len(short):
        hidden_of = [gone[indptr[row] : indptr[row + 1]] for row in short]
        ends = np.concatenate([[0], np.cumsum([len(one) for one in hidden_of])]).astype(np.int64)
        item[short], score[short] = top_k_factors(
            queries[short], items, k, seen=(ends, np.concatenate(hidden_of)), candidates=candidates
        )
    return item, score


def _compare_allowed(
    queries: Float32, items: Float32, k: int, seen: Seen, candidates: Mask | None
) -> tuple[Int32, Float32]:
    """Return the exact lists; where few items are allowed, the others are not even read."""
    columns = np.arange(0) if candidates is None else np.flatnonzero(candidates)
    if candidates is None or len(columns) > FEW * len(items) or len(columns) == 0:
        return top_k_factors(queries, items, k, seen=seen, candidates=candidates)
    indptr, gone = seen
    at = np.minimum(np.searchsorted(columns, gone), len(columns) - 1)
    known = columns[at] == gone  # seen items that are allowed, by their place among these
    ends = np.concatenate([[0], np.cumsum(known)])[indptr]
    item, score = top_k_factors(queries, items.take(columns, axis=0), k, seen=(ends, at[known].astype(np.int32)))
    return np.append(columns, -1).astype(np.int32)[item], score
