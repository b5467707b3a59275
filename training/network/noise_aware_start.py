"""Initial weights with which the latent encodes how noisy a crop is.

The published encoder blurs before each of its strided convolutions, so pixel-fine noise hardly reaches z:
with random weights a linear probe finds nothing of the noise's σ in it, and training does not discover it,
because the path is as long as the network. Classic noise measures are short, though: second differences,
which vanish in smooth pictures, rectified and averaged over the face (Immerkær, *Fast Noise Variance
Estimation*, 1996). They fit into a few channels with both signs of each, because two activations add up to an
absolute value.

A random mapping network scrambles the content of z. Here it starts as the identity, and z has both signs of
whatever it encodes, so that little is lost in the activations.
"""

from typing import cast

import torch
from torch import Tensor

from export.gpen.network import ActivatedLinear, EqualConv, Gpen
from export.layers import GAIN, LEAK

LEVELS = (2, 5, 10, 20)
"""σ of the noise, in 8-bit levels, at which z has thresholds."""
UNIT = 10
"""σ at which a measure counts as 1."""
SMOOTH, SECOND = torch.tensor([1.0, 2.0, 1.0]) / 4, torch.tensor([-1.0, 2.0, -1.0])
LUMA, CHROMA = torch.tensor([0.4, 0.4, 0.2]), torch.tensor([1.0, 0.0, -1.0])
DIFFERENCES = (
    (torch.outer(SECOND, SECOND), LUMA),
    (torch.outer(SMOOTH, SECOND), LUMA),
    (torch.outer(SECOND, SMOOTH), LUMA),
    (torch.outer(SECOND, SECOND), CHROMA),
)
"""3×3 kernel and the weights of R, G, B of each measure."""


def measure_noise(network: Gpen) -> None:
    """Set channels of the encoder, rows of the latent and the mapping so that w encodes how noisy a crop is.

    The encoder's first stage must hold ±R, ±G, ±B in its first six channels. Needs 8 channels at S/2 and a
    latent of at least 32; it uses at most half of z, and the rest stays random, in pairs of both signs.
    """
    with torch.no_grad():
        _set_encoder(network)
        _set_latent(network)
        for layer in cast(list[ActivatedLinear], list(network.generator.style)[1:]):
            layer.weight.copy_(torch.eye(len(layer.weight)) / GAIN / layer.scale)


def _set_encoder(network: Gpen) -> None:
    first, *others = [cast(EqualConv, stage[1]) for stage in network.encoder_stages[1:]]
    slope = GAIN * (1 + LEAK)  # of x ↦ act(x) − act(−x), the colour that the first stage holds
    for k, (kernel, colours) in enumerate(DIFFERENCES):
        for channel, sign in ((2 * k, 1.0), (2 * k + 1, -1.0)):
            first.weight[channel] = 0
            for colour, share in enumerate(colours):
                response = sign * share * kernel / slope / first.scale
                first.weight[channel, 2 * colour], first.weight[channel, 2 * colour + 1] = response, -response
    average = torch.outer(SMOOTH, SMOOTH) / GAIN
    for depth, conv in enumerate(others):
        for k in range(len(DIFFERENCES)):
            conv.weight[k] = 0
            for channel in (2 * k, 2 * k + 1) if depth == 0 else (k,):
                conv.weight[k, channel] = average / conv.scale


def _set_latent(network: Gpen) -> None:
    linear = cast(ActivatedLinear, network.final_linear[0])
    rows, columns = linear.weight.shape
    pair = iter(range(0, rows, 2))
    unit = _averages(network, UNIT)
    for sigma in LEVELS[: rows // (4 * len(DIFFERENCES))]:
        for k, threshold in enumerate(_averages(network, sigma) / unit):
            row = torch.zeros(columns).view(-1, 16)
            row[k] = 1 / (16 * unit[k])
            _set_pair(linear, next(pair), row.flatten(), -float(threshold))
    for i in pair:
        _set_pair(linear, i, linear.weight[i] * linear.scale, 0.0)


def _set_pair(linear: ActivatedLinear, i: int, row: Tensor, bias: float) -> None:
    linear.weight[i], linear.weight[i + 1] = row / linear.scale, -row / linear.scale
    linear.bias[i], linear.bias[i + 1] = bias / linear.lr_mul, -bias / linear.lr_mul


def _averages(network: Gpen, sigma: float) -> Tensor:
    """Return the measures, averaged over the crop, for grey with noise of that σ."""
    size = network.layout.size
    noise = torch.randn(1, 3, size, size, generator=torch.Generator().manual_seed(0)) * sigma / 127.5
    deepest = network.encode(noise)[1][0]
    return deepest[0, : len(DIFFERENCES)].mean((1, 2))
