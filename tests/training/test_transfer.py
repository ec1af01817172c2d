"""Weights are copied by name and shape, and rows by id."""

import numpy as np
import torch
from torch import nn

from genre.data.ids import Ids
from genre.training.transfer import transfer_weights


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer, self.wide = nn.Linear(2, 3), nn.Linear(5, 3)
        self.item_id = nn.Embedding(3, 2)


def test_names_shapes_and_ids() -> None:
    module = Small()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    source = {
        "layer.weight": np.full((3, 2), 7, np.float32),
        "layer.bias": np.arange(3, dtype=np.float32),
        "wide.weight": np.zeros((3, 4), np.float32),
        "item_id.weight": np.array([[1, 1], [2, 2]], np.float32),
    }
    done = transfer_weights(module, source, {"item_id.weight": (Ids(["b", "z"]), Ids(["a", "b", "c"]))})
    assert done.whole == ("layer.weight", "layer.bias")
    assert done.rows == {"item_id.weight": "1 of 3"}
    assert done.left == ("wide.weight", "wide.bias")
    assert torch.equal(module.layer.weight, torch.full((3, 2), 7.0))
    assert torch.equal(module.item_id.weight[1], torch.tensor([1.0, 1.0]))
    assert torch.equal(module.item_id.weight[0], before["item_id.weight"][0])
    assert torch.equal(module.wide.weight, before["wide.weight"])
    assert str(done) == "2 tensors taken; 1 of 3 rows of item_id.weight; left as initialised: wide.weight, wide.bias"
