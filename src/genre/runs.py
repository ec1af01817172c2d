"""A run's folder: what `genre run` leaves behind and everything else reads. Knows nothing about how a run is made."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from genre.features.base import Encoder
from genre.preprocessing.dataset import Dataset
from genre.recommenders.base import Recommender


@dataclass(frozen=True, eq=False)
class Run:
    """A finished run, read back and checked.

    dataset: all interactions, with item and user features attached. recommenders: fitted, by name, best first.
    item_encoder: what made the item features, or None. report: what `report.json` holds.
    """

    folder: Path
    name: str
    dataset: Dataset
    recommenders: dict[str, Recommender]
    item_encoder: Encoder | None = None
    report: dict[str, Any] = field(default_factory=dict)
