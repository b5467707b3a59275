"""The losses and the adversary measure what they say, and can be descended."""

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from training.adversary import (
    Adversarial,
    FeatureJudge,
    Judge,
    balanced,
    fooling_loss,
    judging_loss,
    r1_penalty,
)
from training.losses import (
    LossWeights,
    level_difference,
    psnr,
    reconstruction_loss,
)


@pytest.fixture
def pair(portrait: NDArray[np.uint8]) -> tuple[torch.Tensor, torch.Tensor]:
    """A crop and a noisy copy of it, 1×3×192×192 in [−1, 1]."""
    crop = torch.from_numpy(portrait[:192, 160:352].copy()).permute(2, 0, 1)[None].float() / 127.5 - 1
    noise = torch.randn(crop.shape, generator=torch.Generator().manual_seed(0))
    return crop, (crop + 0.1 * noise).clamp(-1, 1)


def test_psnr_of_a_known_error() -> None:
    one = torch.zeros(1, 3, 8, 8)
    assert float(psnr(one, one + 0.2)) == pytest.approx(20, abs=1e-4)


@pytest.mark.parametrize("part", ["decibels", "pixels", "gradient", "features"])
def test_each_part_of_the_loss_leads_back_to_the_target(
    part: str, pair: tuple[torch.Tensor, torch.Tensor]
) -> None:
    weights = LossWeights(**{"decibels": 0.0, part: 1.0})
    target, restored = pair[0], pair[1].clone().requires_grad_()
    loss = reconstruction_loss(restored, target, weights)
    loss.backward()  # type: ignore[no-untyped-call]
    assert restored.grad is not None
    stepped = restored.detach() - 0.02 * restored.grad / restored.grad.norm() * restored.numel() ** 0.5 / 20
    assert reconstruction_loss(stepped, target, weights) < loss
    assert psnr(stepped, target) > psnr(pair[1], target)


def test_a_large_error_counts_by_the_decibel_and_a_small_one_as_it_is() -> None:
    target, weights = torch.zeros(1, 3, 64, 64), LossWeights(decibels=1)
    knee = weights.knee

    def loss(squared: float) -> float:
        return float(reconstruction_loss(target + squared**0.5, target, weights))

    assert loss(80 * knee) - loss(40 * knee) == pytest.approx(math.log(2), rel=0.05)
    assert loss(knee / 40) / loss(knee / 80) == pytest.approx(2, rel=0.05)


def test_what_each_level_adds_is_compared_with_what_is_missing_there() -> None:
    given, target = torch.zeros(1, 3, 16, 16), torch.full((1, 3, 16, 16), 0.5)
    right = [torch.full((1, 3, r, r), 0.5) for r in (4, 8)]
    assert float(level_difference(right, given, target)) == pytest.approx(0, abs=1e-6)
    assert float(level_difference([right[0], right[1] - 0.2], given, target)) == pytest.approx(0.1, abs=1e-6)


class Brightness(torch.nn.Module):
    """An adversary that takes bright crops for real, as its logits and its one layer say."""

    def forward(self, degraded: torch.Tensor, judged: torch.Tensor) -> list[list[torch.Tensor]]:
        return [[judged, judged.mean(1, keepdim=True)]]


def test_both_parts_of_the_game_go_by_the_logits() -> None:
    dark, bright = torch.full((2, 3, 8, 8), -1.0), torch.full((2, 3, 8, 8), 1.0)
    judge = Brightness()
    right, wrong = math.log1p(math.exp(-1)), math.log1p(math.exp(1))
    assert float(judging_loss(judge, dark, dark, bright)) == pytest.approx(2 * right, rel=1e-5)
    assert float(judging_loss(judge, dark, bright, dark)) == pytest.approx(2 * wrong, rel=1e-5)
    assert float(fooling_loss(judge, dark, bright, bright, 0.0)) == pytest.approx(right, rel=1e-5)
    assert float(fooling_loss(judge, dark, dark, bright, 0.0)) == pytest.approx(wrong, rel=1e-5)
    # Matching adds how far the layer's output is from the target's, times its weight.
    assert float(fooling_loss(judge, dark, dark, bright, 3.0)) == pytest.approx(wrong + 6, rel=1e-5)


def test_the_adversary_pulls_as_hard_as_the_reconstruction_times_each_crops_freedom() -> None:
    drawn = torch.Generator().manual_seed(0)
    wanted, gradient = (torch.randn(3, 3, 8, 8, generator=drawn) * size for size in (1e-9, 1e3))
    scaled = balanced(wanted, gradient, torch.tensor([0.0, 0.5, 1.0]))
    sizes = [x.flatten(1).norm(dim=1) for x in (scaled, wanted, gradient)]
    assert not scaled[0].any()
    expected = sizes[1] / sizes[1].mean() * sizes[2].mean() * torch.tensor([0.0, 0.5, 1.0])
    assert torch.allclose(sizes[0], expected, rtol=1e-4)
    assert torch.isfinite(balanced(0 * wanted, gradient, torch.ones(3))).all()


def test_the_adversary_sees_patches_at_each_scale_and_can_be_descended(
    pair: tuple[torch.Tensor, torch.Tensor],
) -> None:
    judge = Judge(4, scales=2, seed=0).double()  # so that rounding is far below what a short step changes
    target, degraded = (crop[..., :64, :64].double() for crop in pair)
    logits = [seen[-1] for seen in judge(degraded, target)]
    assert [tuple(each.shape) for each in logits] == [(1, 1, 8, 8), (1, 1, 4, 4)]
    loss = judging_loss(judge, degraded, degraded, target)
    gradients = torch.autograd.grad(loss, list(judge.parameters()))
    # A step that is short enough against the gradient lowers any smooth loss.
    length = 1e-3 / sum(float(g.square().sum()) for g in gradients) ** 0.5
    with torch.no_grad():
        for parameter, gradient in zip(judge.parameters(), gradients, strict=True):
            parameter -= length * gradient
    assert float(judging_loss(judge, degraded, degraded, target).detach()) < float(loss.detach())


def test_a_second_adversary_sees_only_eyes_and_mouth_and_both_eyes_alike() -> None:
    judge = FeatureJudge(4, 64, seed=0)
    drawn = torch.Generator().manual_seed(0)
    crop = torch.randn(2, 3, 64, 64, generator=drawn)
    crop = (crop + crop.flip(-1)) / 2  # a symmetrical face
    seen = judge(crop, crop)
    assert [tuple(each[-1].shape) for each in seen] == [(2, 1, 1, 1)] * 3
    assert torch.allclose(seen[0][-1], seen[1][-1], atol=1e-5)
    looked = crop.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(sum(each[-1].sum() for each in judge(crop, looked)), looked)
    eyes_and_mouth = torch.zeros(64, 64, dtype=torch.bool)
    for rows, columns in ((slice(22, 38), slice(16, 48)), (slice(38, 54), slice(24, 40))):
        eyes_and_mouth[rows, columns] = True
    there = (gradient != 0).any(1).any(0)
    assert there.any()
    assert not (there & ~eyes_and_mouth).any()
    # Its pull is measured against the reconstruction's in the same places.
    pulled = balanced(gradient, torch.ones_like(crop), torch.ones(2))
    size = 3 * int(there.sum())
    assert float(pulled.flatten(1).norm(dim=1).mean()) == pytest.approx(size**0.5, rel=0.02)


def test_the_penalty_is_half_the_squared_gradient_at_real_crops() -> None:
    class Red(torch.nn.Module):
        def forward(self, degraded: torch.Tensor, judged: torch.Tensor) -> list[list[torch.Tensor]]:
            return [[3 * judged[:, :1]]]  # over 16 patches

    crops = torch.zeros(2, 3, 4, 4)
    assert float(r1_penalty(Red(), crops, crops).detach()) == pytest.approx(0.5 * 16 * (3 / 16) ** 2)


def test_the_adversary_comes_in_as_fast_as_it_is_told() -> None:
    settings = Adversarial(weight=0.2, ramp=50)
    assert [settings.ramped(step) for step in (0, 25, 50, 999)] == pytest.approx([0, 0.5, 1, 1])
