"""Orders of a few candidates: read from text, fused, dealt back as scores. Knows nothing about language models."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from genre.preprocessing.dataset import Float32

Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Read:
    """A written order: the candidates it names, 0-based, each once; how many it named that do not exist, or again."""

    named: tuple[int, ...]
    unknown: int
    repeated: int


def read_order(text: str, n: int) -> Read | None:
    """`{"order": [3, 1, 2]}` of `n` candidates counted from 1; None when it is not that or names none of them."""
    try:
        numbers = json.loads(text)["order"]
        whole = [number for number in numbers if isinstance(number, int) and not isinstance(number, bool)]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    legal = [number - 1 for number in whole if 1 <= number <= n]
    named = tuple(dict.fromkeys(legal))
    return Read(named, len(numbers) - len(legal), len(legal) - len(named)) if named else None


def places(values: Float64) -> Float64:
    """The place of each value, 0 for the highest; equal values share the mean of their places; NaN stays. [n]"""
    if np.isnan(values).any():
        return np.full(len(values), np.nan)
    above = (values[None, :] > values[:, None]).sum(axis=1)
    ties = (values[None, :] == values[:, None]).sum(axis=1)
    return np.asarray(above + (ties - 1) / 2, np.float64)


def fuse(place: Float64, weight: float) -> npt.NDArray[np.int64]:
    """The order of candidates, best first, by weighted place: `weight` of `place`, the rest of their own order. [n]"""
    fused = weight * place + (1 - weight) * np.arange(len(place))
    return np.argsort(fused, kind="stable")


def deal(scores: Float32) -> Float32:
    """The scores of the best `n`, falling, made strictly falling so that a new order can be read off them. [n]

    They grow by the smallest steps there are, never fall: what stood below stays below.
    """
    out = np.array(scores, np.float32)
    for at in range(len(out) - 2, -1, -1):
        out[at] = max(out[at], np.nextafter(out[at + 1], np.float32(np.inf)))
    return out
