"""Feed-forward layers in NumPy: how trained networks (MLP, NCF, TwoTower) score without torch.

The first layer's sums come from the caller, because they split into a user's and an item's half.
"""

from __future__ import annotations

import numpy as np

from genre.arrays import Float32
from genre.storage import Tensors

Layers = list[tuple[Float32, Float32]]  # weight [in, out] and bias [out] of each layer


def layers_of(weights: Tensors, name: str) -> Layers:
    """Return the layers that a network has saved as `name.0`, `name.1`, and so on.

    Args:
        weights: the network's weights by name; torch keeps a layer's weight as `[out, in]`.
        name: name of the module list.

    Returns:
        The layers in order, weights as `[in, out]`.
    """
    n = sum(1 for key in weights if key.startswith(f"{name}.") and key.endswith(".weight"))
    return [(np.ascontiguousarray(weights[f"{name}.{at}.weight"].T), weights[f"{name}.{at}.bias"]) for at in range(n)]


def forward(x: Float32, layers: Layers) -> Float32:
    """Return the output of the layers, a ReLU before each of them.

    Args:
        x: the first layer's sums, which are overwritten. `[n, in]`
        layers: the layers after the first.

    Returns:
        The last layer's sums. `[n, out]`
    """
    for weight, bias in layers:
        np.maximum(x, 0, out=x)
        x = x @ weight
        x += bias
    return x


def forward_all_pairs(users: Float32, items: Float32, layers: Layers) -> Float32:
    """Return the output for each user with each item: `forward(user + item)`, in one compiled pass.

    Args:
        users: the users' halves of the first layer's sums. `[n, hidden]`
        items: the items' halves. `[m, hidden]`
        layers: the layers after the first; the last one has a single output.

    Returns:
        Scores `[n, m]`.
    """
    from genre.kernels.layers import UNROLL, score_pairs

    widths = np.array([len(weight) for weight, _ in layers] + [1], np.int64)
    most = -(-int(widths.max()) // UNROLL) * UNROLL  # the kernel reads whole vectors: widths are padded with zeros
    weights, biases = np.zeros((len(layers), most, most), np.float32), np.zeros((len(layers), most), np.float32)
    for layer, (weight, bias) in enumerate(layers):
        weights[layer, : weight.shape[1], : len(weight)] = weight.T
        biases[layer, : len(bias)] = bias
    out = np.empty((len(users), len(items)), np.float32)
    score_pairs(np.ascontiguousarray(users), items, weights, biases, widths, out)
    return out
