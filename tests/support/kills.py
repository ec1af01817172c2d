"""A log that ends a training, as a kill would."""

from __future__ import annotations

from genre.log import Log


class Killed(Exception):
    """The training was ended."""


class KillAt(Log):
    """Ends it after some epoch's record."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def record(self, event: str, **fields: object) -> None:
        if fields.get("epoch") == self.epoch:
            raise Killed
