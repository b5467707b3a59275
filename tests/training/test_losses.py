"""The losses and the adversary measure what they say, and can be descended."""

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from skimage.metrics import structural_similarity

from training.adversary import Adversarial, fooling_loss, judging_loss, new_adversary, r1_penalty
from training.losses import LossWeights, frequency_difference, ms_ssim, psnr, reconstruction_loss, ssim


@pytest.fixture
def pair(portrait: NDArray[np.uint8]) -> tuple[torch.Tensor, torch.Tensor]:
    """A crop and a noisy copy of it, 1×3×192×192 in [−1, 1]."""
    crop = torch.from_numpy(portrait[:192, 160:352].copy()).permute(2, 0, 1)[None].float() / 127.5 - 1
    noise = torch.randn(crop.shape, generator=torch.Generator().manual_seed(0))
    return crop, (crop + 0.1 * noise).clamp(-1, 1)


def test_psnr_of_a_known_error() -> None:
    one = torch.zeros(1, 3, 8, 8)
    assert float(psnr(one, one + 0.2)) == pytest.approx(20, abs=1e-4)


def test_ssim_is_that_of_scikit_image(pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    one, other = (crop[0].permute(1, 2, 0).double().numpy() for crop in pair)
    as_published = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    expected = structural_similarity(one, other, channel_axis=2, data_range=2, **as_published)
    assert float(ssim(*pair)) == pytest.approx(expected, abs=2e-3)


def test_likeness_is_one_for_the_same_crop_and_falls_with_noise(
    pair: tuple[torch.Tensor, torch.Tensor],
) -> None:
    crop, noisy = pair
    assert float(ms_ssim(crop, crop)) == pytest.approx(1, abs=1e-5)
    assert float(ssim(crop, noisy)) < float(ms_ssim(crop, noisy)) < 0.99
    assert float(frequency_difference(crop, crop)) == 0
    assert float(frequency_difference(crop, noisy)) > 0


@pytest.mark.parametrize("part", ["decibels", "pixels", "gradient", "structure", "frequency"])
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


def test_the_adversary_learns_to_tell_paint_from_texture(pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    target = torch.cat([pair[0][..., i : i + 64, i : i + 64] for i in (0, 120)])
    paint = torch.nn.functional.avg_pool2d(target, 5, 1, 2)
    adversary = new_adversary(8, seed=0)
    optimiser = torch.optim.Adam(adversary.parameters(), 2e-3, betas=(0.0, 0.99))
    losses = []
    for _ in range(50):
        loss = judging_loss(adversary, paint, paint, target)
        optimiser.zero_grad()
        (loss + 0.1 * r1_penalty(adversary, paint, target)).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0] - 0.2
    touched, spared = torch.zeros(2, dtype=torch.bool), torch.ones(2, dtype=torch.bool)
    assert fooling_loss(adversary, paint, paint, touched) > fooling_loss(adversary, paint, target, touched)
    assert float(fooling_loss(adversary, paint, paint, spared).detach()) == 0


def test_the_penalty_is_half_the_squared_gradient_at_real_crops() -> None:
    class Linear(torch.nn.Module):
        def forward(self, pair: torch.Tensor) -> torch.Tensor:
            return 3 * pair[:, 3:4]  # of the judged crop's red, over 16 patches

    crops = torch.zeros(2, 3, 4, 4)
    assert float(r1_penalty(Linear(), crops, crops).detach()) == pytest.approx(0.5 * 16 * (3 / 16) ** 2)


def test_the_adversary_comes_in_when_and_as_fast_as_it_is_told() -> None:
    settings = Adversarial(weight=0.2, start=100, ramp=50)
    assert [settings.weight_at(step) for step in (0, 100, 125, 150, 999)] == pytest.approx(
        [0, 0, 0.1, 0.2, 0.2]
    )
