"""A light adversary that judges patches, so that skin and hair get texture instead of looking painted.

It sees the degraded crop beside the one it judges: texture must fit the crop, and invented features gain
nothing. One tower judges the crop, with a receptive field of 38 pixels, others the crop shrunk by 2, 4, …

A second one judges the eyes and the mouth, each as a whole (Wang et al., GFPGAN, CVPR 2021, section 3.4).
"""

import math
from collections.abc import Callable, Sequence

import msgspec
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from base.errors import SettingsError
from training.losses import SHARE, windows


class Adversarial(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When the adversary is used, and with which weight."""

    weight: float = 0.0
    """Size of its gradient at a restored crop that is close to its target, relative to the gradient of the
    reconstruction loss; 0 disables the adversary.
    """
    features: float = 0.0
    """The same for a second adversary that judges only eyes and mouth; 0 disables it."""
    ramp: int = 500
    """Steps of a phase over which its weight rises from 0; it learns from the phase's first step."""
    channels: int = 32
    """Of its first layer."""
    scales: int = 2
    """Number of towers, each for a crop half as large as the one before."""
    matching: float = 2.0
    """Weight of the difference between its layers' outputs for restored and real crops; the logits' weight is
    1.
    """
    learning_rate: float = 2e-4
    r1: float = 1.0
    """Weight γ of the penalty on its gradient at real crops."""
    r1_every: int = 8
    """Steps between two penalties, each of which is weighted by that number."""

    def __post_init__(self) -> None:
        if min(self.weight, self.features, self.r1, self.matching) < 0:
            raise SettingsError("adversarial weight, features, r1 and matching must be 0 or more")
        if min(self.ramp, self.channels, self.scales, self.r1_every) < 1:
            raise SettingsError("adversarial ramp, channels, scales and r1_every must be 1 or more")
        if not 0 < self.learning_rate < math.inf:
            raise SettingsError(f"adversarial learning_rate {self.learning_rate}: give more than 0")

    def ramped(self, step: int) -> float:
        """Return the share of its weight that the adversary has at a step of a phase."""
        return min(1.0, step / self.ramp)


def judges(settings: Adversarial, size: int, seed: int) -> nn.ModuleDict:
    """Return the new adversaries that the settings give a weight, for crops of S = size."""
    made: dict[str, nn.Module] = {"patches": Judge(settings.channels, settings.scales, seed)}
    if settings.features:
        made["features"] = FeatureJudge(settings.channels, size, seed)
    return nn.ModuleDict(made)


class Tower(nn.Module):
    """Layers that map B×6×H×W, degraded and judged crop, to one logit for each patch.

    The kernel of the last one makes the patches larger, up to the whole.
    """

    def __init__(
        self, channels: int, strides: Sequence[int] = (2, 2, 2, 1), last: int = 1, padding: int = 0
    ) -> None:
        super().__init__()
        widths = (6, channels, 2 * channels, 4 * channels, 4 * channels)
        self.layers = nn.ModuleList(
            nn.Conv2d(inputs, outputs, 4 if stride == 2 else 3, stride, 1)
            for inputs, outputs, stride in zip(widths, widths[1:], strides, strict=False)
        )
        self.last = nn.Conv2d(widths[-1], 1, last, padding=padding)

    def forward(self, pair: Tensor) -> list[Tensor]:
        """Return the output of each layer; the logits come last."""
        seen: list[Tensor] = []
        for layer in self.layers:
            pair = F.leaky_relu(layer(pair), 0.2)
            seen.append(pair)
        return [*seen, self.last(pair)]


class Judge(nn.Module):
    """The adversary, with a tower for each scale."""

    def __init__(self, channels: int, scales: int, seed: int, tower: Callable[[int], Tower] = Tower) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.towers = nn.ModuleList(tower(channels) for _ in range(scales))

    def forward(self, degraded: Tensor, judged: Tensor) -> list[list[Tensor]]:
        """Return the outputs of each tower's layers; a tower's logits come last."""
        pair, seen = torch.cat((degraded, judged), 1), []
        for tower in self.towers:
            seen.append(tower(pair))
            pair = F.avg_pool2d(pair, 2)
        return seen


class FeatureJudge(nn.Module):
    """An adversary that judges eyes and mouth as wholes: shape counts there, not only texture."""

    def __init__(self, channels: int, size: int, seed: int) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            halved = (2, 2, 2, 2)
            left = size // SHARE // 2 ** len(halved)
            self.eye, self.mouth = (Tower(channels, halved, left) for _ in range(2))

    def forward(self, degraded: Tensor, judged: Tensor) -> list[list[Tensor]]:
        """Return the outputs of the layers for left eye, right eye (mirrored) and mouth."""
        left, right, mouth = windows(torch.cat((degraded, judged), 1))
        return [self.eye(left), self.eye(right.flip(-1)), self.mouth(mouth)]


def fooling_loss(
    judge: nn.Module, degraded: Tensor, restored: Tensor, target: Tensor, matching: float
) -> Tensor:
    """Return the restorer's loss: non-saturating, with feature matching to the target.

    matching  weight of feature matching: Wang et al., pix2pixHD, CVPR 2018, equation 3
    """
    with torch.no_grad():
        real = judge(degraded, target)
    made = judge(degraded, restored)
    loss = torch.zeros((), device=degraded.device)
    for seen, expected in zip(made, real, strict=True):
        loss = loss + F.softplus(-seen[-1].float()).mean() / len(made)
        for a, b in zip(seen[:-1], expected[:-1], strict=True):
            loss = loss + matching * (a - b).abs().float().mean() / (len(made) * (len(seen) - 1))
    return loss


def balanced(wanted: Tensor, gradient: Tensor, freedom: Tensor) -> Tensor:
    """Return an adversary's gradient, B×3×S×S, scaled to the reconstruction's mean size where it looks.

    freedom  B, factor of each crop: it rises on the way to the truth, because the first pass should return
             the mean of all possible results, and the last ones a sharp sample
    """
    there = gradient * (wanted != 0)
    sizes = [x.square().sum((1, 2, 3)).sqrt().mean() for x in (there, wanted)]
    return wanted * (freedom * sizes[0] / sizes[1].clamp_min(1e-20))[:, None, None, None]


def judging_loss(judge: nn.Module, degraded: Tensor, restored: Tensor, target: Tensor) -> Tensor:
    """Return the adversary's loss: logistic, over real and restored crops (Goodfellow et al., 2014)."""
    towers = judge(torch.cat((degraded, degraded)), torch.cat((target, restored.detach())))
    loss = torch.zeros((), device=degraded.device)
    for seen in towers:
        real, made = seen[-1].float().chunk(2)
        loss = loss + (F.softplus(-real).mean() + F.softplus(made).mean()) / len(towers)
    return loss


def r1_penalty(judge: nn.Module, degraded: Tensor, target: Tensor) -> Tensor:
    """Return ½ E‖∇D‖² at the real crops (Mescheder, Geiger and Nowozin, 2018, equation 9)."""
    judged = target.detach().requires_grad_()
    towers = judge(degraded, judged)
    logits = sum(seen[-1].float().mean((1, 2, 3)) for seen in towers) / len(towers)
    (gradient,) = torch.autograd.grad(logits.sum(), judged, create_graph=True)
    return gradient.square().sum((1, 2, 3)).mean() / 2
