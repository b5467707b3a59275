"""The photo network in half precision, within the bounds that export/half.py derives."""

from torch import Tensor, nn
from torch.nn import functional

from export.half import MASS, divided, mass_of, stored
from export.photo.network import BLOCK, SLOPE, PhotoNetwork, StaticPhotoNetwork


class HalfPhotoNetwork(nn.Module):
    """The exported form with convolutions in FP16. Tiles and results, biases and activations are FP32."""

    def __init__(self, network: PhotoNetwork) -> None:
        """Take over a network's weights."""
        super().__init__()
        weights = StaticPhotoNetwork(network).weights
        self.weights = [divided(weight, mass_of(weight)) for weight in weights]
        self.factors = [(mass_of(weight) / MASS)[:, None, None] for weight in weights]
        self.biases = [_bias(layer)[:, None, None] for layer in network.layers]

    def forward(self, tile: Tensor) -> Tensor:
        """Return what is to be added to the inner part of a tile, B×3×H×W with even sides, in [0, 1]."""
        # Subtracted before rounding, not in a bias, because FP16 is finer around 0.
        features = tile - 0.5
        last = len(self.weights) - 1
        for i, (weight, factor, bias) in enumerate(zip(self.weights, self.factors, self.biases, strict=True)):
            sums = functional.conv2d(stored(features), weight, stride=BLOCK if i == 0 else 1)
            features = sums.float() * factor + bias
            features = features if i == last else functional.leaky_relu(features, SLOPE)
        return functional.pixel_shuffle(features, BLOCK)


def _bias(layer: nn.Conv2d) -> Tensor:
    assert layer.bias is not None
    return layer.bias.detach()
