"""Revive the deep half of a trained network that has learnt to do without it.

Training on small damage alone drives the gains of the deep features to zero: what remains is a local filter
without a prior. Here such gains become 1 again, and the weights that read those features 0, so that the
network computes nearly the same as before; training can then make use of them.
"""

import torch

from export.gpen.network import Gpen

SILENT = 0.05
"""A gain below this magnitude silences its feature."""


def revive(network: Gpen) -> int:
    """Revive the silenced features of a network, in place; return how many there were."""
    generator = network.generator
    convs, rgbs = generator.styled_convs, generator.rgbs
    woken = 0
    with torch.no_grad():
        for i, layer in enumerate(convs):
            if abs(float(layer.noise.weight)) >= SILENT:
                continue
            woken += 1
            layer.noise.weight.fill_(1.0)
            outputs = layer.conv.weight.shape[1]
            layer.activate.bias[outputs:] = 0  # of the feature
            if i + 1 < len(convs):
                convs[i + 1].conv.weight[:, :, outputs:] = 0
            if i % 2 == 0:  # the second of its resolution: at 4×4, the only one
                rgbs[i // 2].conv.weight[:, :, outputs:] = 0
    return woken
