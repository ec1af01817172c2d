"""The network of SASRec: item vectors, a causal transformer over a history, and the training loss.

Source: Kang & McAuley, "Self-Attentive Sequential Recommendation", ICDM 2018, with layer norm before each part of a
block and GELU, as later transformers have it. Shapes: B histories, L positions, D = dim, H heads, R real positions
of a batch.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from genre.arrays import Float32
from genre.data.history import History
from genre.data.linear_algebra import principal_components
from genre.networks.padding import GAPS, gap_buckets, group_by_length, padded_positions
from genre.training.devices import move_to, one_thread
from genre.training.losses import full_softmax, gbce, sampled_softmax
from genre.training.negatives import NegativeSampler

Items = Literal["id", "text", "text+id", "text_start"]
Loss = Literal["softmax", "sampled", "gbce"]

EXPANSION = 2  # width of a block's feed-forward layer, in multiples of dim
ITEM_SPREAD = 0.1  # standard deviation of the values that an item's embedding starts with
PADDED = 16_384  # positions encoded at once


class TransformerBlock(nn.Module):
    """Causal self-attention, then a feed-forward layer at each position; each is added to its input."""

    def __init__(self, dim: int, heads: int, dropout: float) -> None:
        """Initialise the weights; `heads` divides `dim`."""
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.before_attention, self.before_layer = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.queries_keys_values, self.out = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.up, self.down = nn.Linear(dim, dim * EXPANSION), nn.Linear(dim * EXPANSION, dim)

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's output.

        Args:
            x: one vector a position. `[B, L, D]`

        Returns:
            One vector a position; position l depends on the inputs 0..l alone. `[B, L, D]`
        """
        B, L, D = x.shape
        qkv = self.queries_keys_values(self.before_attention(x))  # [B, L, 3 D]
        q, k, v = qkv.view(B, L, 3, self.heads, D // self.heads).permute(2, 0, 3, 1, 4)  # [B, H, L, D / H] each
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True)  # [B, H, L, D / H]
        x = x + self._drop(self.out(mixed.transpose(1, 2).reshape(B, L, D)))  # [B, L, D]
        inner = functional.gelu(self.up(self.before_layer(x)))  # [B, L, EXPANSION D]
        return x + self._drop(self.down(inner))  # [B, L, D]

    def _drop(self, x: Tensor) -> Tensor:
        return functional.dropout(x, self.dropout, self.training)


class CausalTransformer(nn.Module):
    """Reads a history of item vectors, oldest first, after a start mark; each output is a query for the next item."""

    def __init__(
        self, dim: int, *, blocks: int, heads: int, max_length: int, dropout: float, time: bool = False
    ) -> None:
        """Initialise the weights.

        Args:
            dim: width of the item vectors and of the outputs.
            blocks: transformer blocks.
            heads: attention heads of a block; divides `dim`.
            max_length: positions, the start mark included.
            dropout: share of values set to zero in training.
            time: add an embedding of the time since the interaction before.
        """
        super().__init__()
        self.dropout = dropout
        self.start = nn.Parameter(torch.zeros(dim))
        self.position = nn.Embedding(max_length, dim)
        self.gap = nn.Embedding(GAPS, dim) if time else None
        self.blocks = nn.ModuleList(TransformerBlock(dim, heads, dropout) for _ in range(blocks))
        self.norm = nn.LayerNorm(dim)
        for weight in self.parameters():
            if weight.ndim == 2:
                nn.init.normal_(weight, 0, 0.02)

    def forward(self, items: Tensor, gaps: Tensor) -> Tensor:
        """Return a query for the next item before the first item and after each item.

        Args:
            items: item vectors, oldest first. `[B, L, D]`
            gaps: buckets of the time since the interaction before, see `gap_buckets`. int64 `[B, L]`

        Returns:
            Queries `[B, L + 1, D]`; query l depends on the first l items.
        """
        x = items if self.gap is None else items + self.gap(gaps)  # [B, L, D]
        x = torch.cat([self.start.expand(len(x), 1, -1), x], 1)  # [B, L + 1, D]
        x = x + self.position.weight[: x.shape[1]]
        x = functional.dropout(x, self.dropout, self.training)
        for block in self.blocks:
            x = block(x)
        out: Tensor = self.norm(x)
        return out


class SASRecNetwork(nn.Module):
    """A causal transformer and one table of item vectors, used as its input and as the candidates of its queries."""

    def __init__(
        self,
        reader: CausalTransformer,
        text: Float32,
        counts: npt.NDArray[np.int64],
        *,
        dim: int,
        items: Items,
        loss: Loss,
        negatives: int,
        power: float,
        calibration: float,
    ) -> None:
        """Initialise the item vectors.

        Args:
            reader: the transformer.
            text: text vectors of the items; width 0 where `items` is `id`. `[n_items, width]`
            counts: how often each item occurs in training. `[n_items]`
            dim: width of the item vectors, D.
            items: what an item's vector is made of, see `SASRec.items`.
            loss: the training loss, see `SASRec.loss`.
            negatives: items drawn for each batch (`sampled` and `gbce`).
            power: negatives are drawn with probability proportional to `counts ** power` (`sampled`).
            calibration: of `gbce`, see `genre.training.losses.gbce`.
        """
        super().__init__()
        self.reader, self.loss, self.negatives, self.calibration = reader, loss, negatives, calibration
        self.text: Tensor
        self.register_buffer("text", torch.from_numpy(text), persistent=False)
        self.sampler = NegativeSampler(counts, power=power if loss == "sampled" else 0.0)
        self.item_id = nn.Embedding(len(text), dim) if items != "text" else None
        self.from_text = nn.Linear(text.shape[1], dim) if items in ("text", "text+id") else None
        if self.item_id is not None:
            nn.init.normal_(self.item_id.weight, 0, ITEM_SPREAD)
            if items == "text_start":
                start = torch.from_numpy(principal_components(text, dim))
                self.item_id.weight.data[:, : start.shape[1]] = ITEM_SPREAD * start

    def item_table(self) -> Tensor:
        """Return the vector of each item.

        Returns:
            `[n_items, D]`
        """
        if self.from_text is None:
            return self.item_id.weight  # type: ignore[union-attr]  # one of the two is there
        mapped: Tensor = self.from_text(self.text)
        return mapped if self.item_id is None else mapped + self.item_id.weight

    def forward(self, target: Tensor, gaps: Tensor, real: Tensor) -> Tensor:
        """Return the mean loss of predicting each item of a batch from the items before it.

        Args:
            target: item rows, oldest first. int64 `[B, L]`
            gaps: buckets of the time since the interaction before. int64 `[B, L]`
            real: false for padding, at the end. bool `[B, L]`

        Returns:
            The loss, a scalar.
        """
        table = self.item_table()  # [n_items, D]
        before = functional.embedding(target[:, :-1], table)  # [B, L - 1, D]
        queries = self.reader(before, gaps[:, :-1])[real]  # [B, L, D] -> [R, D]
        right = target[real]  # [R]
        if self.loss == "softmax":
            return full_softmax(queries, table, right)
        drawn = self.sampler.draw((self.negatives,)).to(right)
        if self.loss == "gbce":
            return gbce(queries, table, right, drawn, self.calibration)
        return sampled_softmax(queries, table, right, drawn, self.sampler.log_q.to(table))


def encode_histories(reader: CausalTransformer, table: Float32, history: History) -> Float32:
    """Return the query for the item that follows each history; histories of similar length are encoded together.

    Args:
        reader: the transformer; it is put into evaluation mode.
        table: item vectors. `[n_items, D]`
        history: `n` histories, at most `max_length - 1` interactions each.

    Returns:
        Queries float32 `[n, D]`.
    """
    reader.eval()
    out = np.empty((len(history), table.shape[1]), np.float32)
    order = np.argsort(history.lengths, kind="stable")
    vectors, items, gaps = move_to(
        reader, torch.from_numpy(table), torch.from_numpy(history.item).long(), gap_buckets(history)
    )
    with torch.inference_mode(), one_thread():
        for start, end in group_by_length(history.lengths[order] + 1, PADDED):
            rows = order[start:end]
            position, _ = padded_positions(history.indptr[rows], history.lengths[rows], len(items))  # [B, L]
            (position,) = move_to(reader, position)
            queries = reader(functional.embedding(items[position], vectors), gaps[position])  # [B, L + 1, D]
            last = queries[torch.arange(len(rows)), torch.from_numpy(history.lengths[rows])]  # [B, D]
            out[rows] = last.cpu().numpy()
    return out
