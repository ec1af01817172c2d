"""The weights of an earlier training as the start of a new one: tensors of the same name and shape are copied.

Rows of a table that belong to ids are copied id by id, so that the two data sets may list them in another order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from genre.data.ids import Ids
from genre.storage import Tensors

Owners = Mapping[str, tuple[Ids, Ids]]  # tensor name -> (ids of the source's rows, ids of the module's rows)


@dataclass(frozen=True)
class TransferredWeights:
    """The result of a transfer.

    Attributes:
        whole: names of tensors copied whole.
        rows: tables copied for some of their ids: name -> `n of m`.
        left: names of tensors that keep their initialisation.
    """

    whole: tuple[str, ...]
    rows: dict[str, str]
    left: tuple[str, ...]

    def __str__(self) -> str:
        """Return one line for a log."""
        parts = [f"{len(self.whole)} tensors taken"]
        parts += [f"{n} rows of {name}" for name, n in self.rows.items()]
        parts += [f"left as initialised: {', '.join(self.left)}"] if self.left else []
        return "; ".join(parts)


def transfer_weights(module: nn.Module, source: Tensors, owners: Owners) -> TransferredWeights:
    """Copy from `source` into `module` all tensors that fit; the others keep their own initialisation.

    Args:
        module: the module to start, changed in place.
        source: weights of another training by name.
        owners: the ids of the rows of tables that belong to users or items.

    Returns:
        The names of what was copied and what was not.
    """
    whole: list[str] = []
    rows: dict[str, str] = {}
    left: list[str] = []
    with torch.no_grad():
        for name, tensor in module.state_dict().items():
            found = source.get(name)
            if found is None or found.shape[1:] != tuple(tensor.shape[1:]):
                left.append(name)
            elif name in owners:
                theirs, ours = owners[name]
                at = theirs.rows(ours.values)
                known = np.flatnonzero(at >= 0)
                tensor[torch.from_numpy(known)] = torch.from_numpy(found[at[known]]).to(tensor)
                rows[name] = f"{len(known):,} of {len(at):,}"
            elif found.shape == tuple(tensor.shape):
                tensor.copy_(torch.from_numpy(found))
                whole.append(name)
            else:
                left.append(name)
    return TransferredWeights(tuple(whole), rows, tuple(left))
