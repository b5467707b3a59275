"""A light adversary: it judges patches, so that skin and hair get texture where averaging leaves paint.

It sees the degraded crop beside the one it judges: texture must fit what is there, and features that are not
there do not pay. Its receptive field is 38 pixels, half an eye at 512.
"""

import math

import msgspec
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engines.errors import SettingsError


class Adversarial(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When and how much the adversary counts."""

    weight: float = 0.0
    """Of its part in the loss; 0 leaves it out."""
    start: int = 0
    """Step at which it begins to learn."""
    ramp: int = 500
    """Steps over which its weight then grows to the whole."""
    channels: int = 32
    """Of its first layer."""
    learning_rate: float = 2e-4
    r1: float = 1.0
    """Weight γ of the penalty on its gradient at real crops."""
    r1_every: int = 8
    """Steps from one penalty to the next, which counts as many times."""

    def __post_init__(self) -> None:
        if min(self.weight, self.r1, self.start) < 0 or min(self.ramp, self.channels, self.r1_every) < 1:
            raise SettingsError(
                "adversarial weight, r1 and start must be 0 or more, ramp, channels and r1_every 1 or more"
            )
        if not 0 < self.learning_rate < math.inf:
            raise SettingsError(f"adversarial learning_rate {self.learning_rate}: give more than 0")

    def weight_at(self, step: int) -> float:
        """Return the weight of a step."""
        return self.weight * min(1.0, max(0.0, (step - self.start) / self.ramp))


def new_adversary(channels: int, seed: int) -> nn.Sequential:
    """Return a network that maps B×6×H×W, degraded and judged crop, to one logit for each patch."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers: list[nn.Module] = []
        inputs = 6
        for outputs, stride in ((channels, 2), (2 * channels, 2), (4 * channels, 2), (4 * channels, 1)):
            layers += [nn.Conv2d(inputs, outputs, 4 if stride == 2 else 3, stride, 1), nn.LeakyReLU(0.2)]
            inputs = outputs
        return nn.Sequential(*layers, nn.Conv2d(inputs, 1, 1))


def fooling_loss(adversary: nn.Module, degraded: Tensor, restored: Tensor, untouched: Tensor) -> Tensor:
    """Return the restorer's part: non-saturating, over the crops that were damaged (untouched is B bool)."""
    loss = F.softplus(-adversary(torch.cat((degraded, restored), 1))).mean((1, 2, 3))
    return (loss * ~untouched).mean()


def judging_loss(adversary: nn.Module, degraded: Tensor, restored: Tensor, target: Tensor) -> Tensor:
    """Return the adversary's part: logistic, over real and restored crops (Goodfellow et al., 2014)."""
    pairs = torch.cat((torch.cat((degraded, target), 1), torch.cat((degraded, restored.detach()), 1)))
    real, made = adversary(pairs).float().chunk(2)
    return F.softplus(-real).mean() + F.softplus(made).mean()


def r1_penalty(adversary: nn.Module, degraded: Tensor, target: Tensor) -> Tensor:
    """Return ½ E‖∇D‖² at the real crops (Mescheder, Geiger and Nowozin, 2018, equation 9)."""
    judged = target.detach().requires_grad_()
    logits = adversary(torch.cat((degraded, judged), 1)).mean((1, 2, 3))
    (gradient,) = torch.autograd.grad(logits.sum(), judged, create_graph=True)
    return gradient.square().sum((1, 2, 3)).mean() / 2
