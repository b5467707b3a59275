"""The photo network: it takes the noise and the JPEG blocks of a photo away."""

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

CHANNELS = 32
"""Channels of each layer, at half the photo's resolution."""
MIDDLE = 8
"""Convolutions between the first and the last."""
SLOPE = 0.1
"""Of the activation below zero; with none, the last layers die in training."""
PERTURBED = 0.15
"""Standard deviation of the random part of the first weights."""
BLOCK = 2
"""Edge of the blocks of pixels that the first layer sees as one."""


class PhotoNetwork(nn.Module):
    """A plain residual network at half resolution: 0.04 TFLOP a megapixel, 81 000 weights.

    The photo is folded by pixel-unshuffle, as in K. Zhang, W. Zuo and L. Zhang, "FFDNet: Toward a fast and
    flexible solution for CNN-based image denoising", 2018, and the network predicts what is to be added, as
    in DnCNN by the same authors, 2017. It is not told how strong the noise is: it reads that off the photo.
    """

    def __init__(self) -> None:
        """Make a network with random weights."""
        super().__init__()
        widths = [3 * BLOCK**2, *[CHANNELS] * (MIDDLE + 1), 3 * BLOCK**2]
        self.convolutions = nn.ModuleList(
            nn.Conv2d(before, after, 3, padding=1) for before, after in itertools.pairwise(widths)
        )
        self._start()

    @torch.no_grad()
    def _start(self) -> None:
        """Start with a network that passes the first layer's features on, each and its negative.

        A plain network without normalisation learns much faster from there than from random layers.
        """
        first, *middle, last = self.layers
        for layer in self.layers:
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        half = CHANNELS // 2
        first.weight[half:] = -first.weight[:half]
        for layer in middle:
            layer.weight.mul_(PERTURBED)
            layer.weight[..., 1, 1] += torch.eye(CHANNELS)
        last.weight.mul_(PERTURBED)

    @property
    def layers(self) -> list[nn.Conv2d]:
        """Return the convolutions, in order."""
        return [layer for layer in self.convolutions if isinstance(layer, nn.Conv2d)]

    @property
    def overlap(self) -> int:
        """Return how far a pixel of the result depends on the photo, in pixels."""
        return BLOCK * len(self.convolutions)

    def forward(self, photo: Tensor) -> Tensor:
        """Return what is to be added to a photo, B×3×H×W with even sides, in [0, 1]; zeros lie beyond it."""
        features = functional.pixel_unshuffle(photo - 0.5, BLOCK)
        *layers, last = self.layers
        for layer in layers:
            features = functional.leaky_relu(layer(features), SLOPE)
        return functional.pixel_shuffle(last(features), BLOCK)


class StaticPhotoNetwork(nn.Module):
    """The same function for tiles, as it is exported.

    Nothing lies beyond a tile: the result lacks `overlap` pixels on each side. Pixel-unshuffle and the first
    convolution are one of 6×6 with stride 2, whose bias contains the subtraction.
    """

    def __init__(self, network: PhotoNetwork) -> None:
        """Take over a network's weights."""
        super().__init__()
        first, *others = network.layers
        # W[o, c·4 + 2y + x, j, i] belongs to the pixel (2j + y, 2i + x) of channel c.
        taps = first.weight.detach().reshape(CHANNELS, 3, BLOCK, BLOCK, 3, 3).permute(0, 1, 4, 2, 5, 3)
        assert first.bias is not None
        self.weights = [taps.reshape(CHANNELS, 3, 6, 6).contiguous()]
        self.biases = [first.bias.detach() - 0.5 * self.weights[0].sum(dim=(1, 2, 3))]
        for layer in others:
            assert layer.bias is not None
            self.weights.append(layer.weight.detach())
            self.biases.append(layer.bias.detach())

    def forward(self, tile: Tensor) -> Tensor:
        """Return what is to be added to the inner part of a tile, B×3×H×W with even sides, in [0, 1]."""
        features = tile
        last = len(self.weights) - 1
        for i, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            features = functional.conv2d(features, weight, bias, stride=BLOCK if i == 0 else 1)
            features = features if i == last else functional.leaky_relu(features, SLOPE)
        return functional.pixel_shuffle(features, BLOCK)


@torch.no_grad()
def unfolded(weights: Sequence[Tensor], biases: Sequence[Tensor]) -> PhotoNetwork:
    """Return the network of a static form's weights and biases. Raises ValueError or RuntimeError."""
    network = PhotoNetwork()
    first = weights[0].reshape(CHANNELS, 3, 3, BLOCK, 3, BLOCK).permute(0, 1, 3, 5, 2, 4)
    weights = [first.reshape(CHANNELS, 3 * BLOCK**2, 3, 3), *weights[1:]]
    biases = [biases[0] + 0.5 * weights[0].sum(dim=(1, 2, 3)), *biases[1:]]
    for layer, weight, bias in zip(network.layers, weights, biases, strict=True):
        assert layer.bias is not None
        layer.weight.copy_(weight)
        layer.bias.copy_(bias)
    return network.eval()
