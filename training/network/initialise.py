"""Initial weights: a network of the published layout that already returns its input.

The published layout has no connection from input to output, but it can represent one: the encoder's first
stage keeps ±R, ±G, ±B, the generator concatenates that feature with its last convolution, and the last to_rgb
takes the difference, in which the leaky activations cancel: act(x) − act(−x) is linear. Everything else
starts small, so training learns what to *change* in a face, and a good photo is returned unchanged from the
first step on. How much to change depends on the noise, which the latent encodes from the start
(`training.network.noise_aware_start`).
"""

from typing import cast

import torch
from torch import nn

from export.gpen.layout import Layout
from export.gpen.network import EqualConv, Gpen
from export.layers import GAIN, LEAK
from training.network.noise_aware_start import measure_noise

COLOURS = 3
"""R, G and B: the first six channels of the encoder's first stage hold both signs of each."""
MODULATION = 0.1
"""Share of the published initial spread of the styles: close to 1, whatever the latent."""


def initialise(layout: Layout, seed: int) -> Gpen:
    """Return a network that computes the identity; needs 6 channels at S×S, 8 at S/2 and a latent of 32."""
    torch.manual_seed(seed)
    network = Gpen(layout)
    generator = network.generator
    for name, parameter in network.named_parameters():
        if name.endswith("modulation.weight"):
            nn.init.normal_(parameter, std=MODULATION)
        elif name.endswith("noise.weight"):
            nn.init.ones_(parameter)
    for to_rgb in generator.rgbs:
        nn.init.zeros_(to_rgb.conv.weight)

    first, last = cast(EqualConv, network.encoder_stages[0][0]), generator.rgbs[-1].conv
    nn.init.zeros_(last.modulation.weight)  # the identity path must not depend on the latent
    beside = last.weight.shape[2] // 2  # the feature's channels follow those of the convolution
    slope = GAIN**2 * (1 + LEAK**2)  # of x ↦ act(act(x)) − act(act(−x))
    hold_colours(first)
    with torch.no_grad():
        for colour in range(COLOURS):
            for k, sign in ((2 * colour, 1.0), (2 * colour + 1, -1.0)):
                last.weight[0, colour, beside + k] = sign / (slope * last.scale)
    measure_noise(network)
    return network


def hold_colours(conv: EqualConv) -> None:
    """Make the first six channels of a 1×1 convolution of R, G, B hold both signs of each."""
    with torch.no_grad():
        for colour in range(COLOURS):
            for k, sign in ((2 * colour, 1.0), (2 * colour + 1, -1.0)):
                conv.weight[k] = 0
                conv.weight[k, colour] = sign / conv.scale
