"""Train from small crops to large ones, so that the deep layers learn faces before the fine layers exist.

At a resolution R below S the network is used without its finer stages: an `entrance` (a 1×1 convolution of R,
G, B) replaces the encoder above, and the picture of the generator's levels up to R is added to the crop.
`grow` makes the next stage output exactly what the entrance did, so that the larger network starts as the
smaller one. At S it is a network of the published layout that adds its crop by itself
(`training.network.initialise`).

Every level's picture is its addition to the crop, shrunk to its resolution; `Restored.levels` has them all,
so that each can be compared with the target, which gives the deep layers a direct training signal.
"""

import copy
from dataclasses import dataclass, replace
from typing import cast

import torch
from torch import Tensor, nn

from export.gpen import static
from export.gpen.layout import Layout
from export.gpen.network import Bias, EqualConv
from export.layers import GAIN, LEAK
from training.network import dense
from training.network.initialise import COLOURS, hold_colours, initialise


@dataclass(frozen=True)
class Restored:
    """A network's results for crops."""

    crops: Tensor
    """B×3×R×R."""
    levels: tuple[Tensor, ...]
    """Additions of the generator's levels up to R/2 to the shrunk crops, B×3×r×r for r from 4."""


class Growing(nn.Module):
    """A network of the published layout on its way from small crops to S."""

    def __init__(self, layout: Layout, resolution: int, seed: int) -> None:
        """Start at a resolution R ≤ S, from the identity."""
        super().__init__()
        self.network = initialise(layout, seed)
        self.entrance = _entrance(layout, resolution)
        self.resolution = resolution
        """R."""

    def learning(self) -> list[nn.Parameter]:
        """Return the trained parameters: all but the gains of the features, which stay 1.

        Reducing a gain would be the quickest way to silence a deep layer that does not work yet.
        """
        return [p for name, p in self.named_parameters() if not name.endswith("noise.weight")]

    def average(self) -> "Growing":
        """Return a copy that is not trained itself."""
        return copy.deepcopy(self).requires_grad_(False)

    def forward(self, crops: Tensor) -> Restored:
        """Restore crops, B×3×R×R in [−1, 1]."""
        fold = dense.fold if crops.is_cuda else static.fold
        with torch.autocast(crops.device.type, enabled=False):
            net = fold(self.network)
        if self.entrance is not None:
            below = self.network.layout.resolutions.index(self.resolution)
            own = static.fold_stage(*self.entrance)
            net = replace(net, stages=(own, *net.stages[len(net.stages) - below :]))
        z, features = static.encode(net, crops)
        with torch.autocast(crops.device.type, enabled=False):
            w = static.map_latent(net, z.float())
        *levels, added = static.pictures(net, w, features)
        return Restored(added if self.entrance is None else crops + added, tuple(levels))

    def grow(self) -> None:
        """Double the resolution without changing what the network computes."""
        layout, entrance, here = self.network.layout, self.entrance, self.resolution
        if entrance is None:
            raise ValueError(f"the network already has its full size of {here}")
        larger = _entrance(layout, 2 * here)
        stage = self.network.encoder_stages[layout.resolutions[::-1].index(here)]
        conv, bias = cast(EqualConv, stage[1]), cast(Bias, stage[2])
        before = cast(EqualConv, entrance[0])
        with torch.no_grad():
            conv.weight.zero_()
            slope = GAIN * (1 + LEAK)  # of x ↦ act(x) − act(−x), the colour that the larger entrance holds
            colours = before.weight[:, :, 0, 0] * (before.scale / conv.scale / slope)
            conv.weight[:, 0 : 2 * COLOURS : 2, 1, 1] = colours
            conv.weight[:, 1 : 2 * COLOURS : 2, 1, 1] = -colours
            bias.bias.copy_(cast(Bias, entrance[1]).bias)
        self.entrance = larger.to(before.weight.device) if larger is not None else None
        self.resolution = 2 * here


def _entrance(layout: Layout, resolution: int) -> nn.Sequential | None:
    """Return the convolution that replaces the encoder above a resolution; None at the network's own."""
    if resolution == layout.size:
        return None
    conv = EqualConv(3, layout.channels(resolution), 1, 1)
    hold_colours(conv)
    return nn.Sequential(conv, Bias(layout.channels(resolution)))
