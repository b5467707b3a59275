"""One training step: the crops to give, the losses, the two networks' updates, the average."""

import math
from contextlib import nullcontext
from typing import Any

import torch
from numpy.random import Generator
from torch import Tensor

from training.adversary import balanced, fooling_loss, judging_loss, r1_penalty
from training.averaging import move_average
from training.config import Phase, TrainingConfig
from training.crops import Batch
from training.losses import level_difference, reconstruction_loss
from training.network.growing import Restored
from training.on_the_way import mixed, own_estimate
from training.recorded import Recorded
from training.state import Adversary, State, set_rate


def learning_rate(phase: Phase, step: int, part: float) -> float:
    """Return the learning rate at a step of a phase, given its progress: linear warm-up, then a cosine."""
    cosine = (1 + phase.settled) / 2 + (1 - phase.settled) / 2 * math.cos(math.pi * part)
    return phase.learning_rate * cosine * min(1.0, (step + 1) / max(1, phase.warmup))


class Steps:
    """The steps of one phase."""

    def __init__(self, state: State, config: TrainingConfig) -> None:
        """Prepare the steps of the phase that the state is in."""
        self.state, self.config, self.phase = state, config, config.phases[state.phase]
        self._averaged: list[Tensor] = list(state.averaged.parameters())
        self._learning: list[Tensor] = list(state.network.parameters())
        self._restore = Recorded(self._estimate)
        self._update = {True: Recorded(self._learn_penalised), False: Recorded(self._learn)}

    def take(self, batch: Batch, part: float, rng: Generator) -> Tensor:
        """Take one step, at a progress of the phase; return the restorer's and the adversary's loss."""
        state, phase = self.state, self.phase
        set_rate(state.optimiser, learning_rate(phase, state.phase_step, part))
        if rng.random() < phase.own:
            given, left = own_estimate(self._restore, batch.degraded, rng)
        else:
            given, left = mixed(batch, rng)
        if given.is_cuda:
            given = given.contiguous(memory_format=torch.channels_last)
        freedom = ~batch.untouched * (1 - left) * phase.adversarial.ramped(state.phase_step)
        penalised = bool(
            phase.adversarial.weight
            and phase.adversarial.r1
            and state.phase_step % phase.adversarial.r1_every == 0
        )
        losses = self._update[penalised](given, batch.target, freedom)
        state.step, state.phase_step = state.step + 1, state.phase_step + 1
        state.crops += len(given)
        move_average(self._averaged, self._learning, state.phase_step, self.config.ema)
        return losses

    @torch.no_grad()
    def _estimate(self, crops: Tensor) -> Tensor:
        with in_bfloat16(crops.device):
            made: Restored = self.state.averaged(crops)
        return made.crops.float()

    def _learn_penalised(self, given: Tensor, target: Tensor, freedom: Tensor) -> Tensor:
        return self._learn(given, target, freedom, penalised=True)

    def _learn(self, given: Tensor, target: Tensor, freedom: Tensor, *, penalised: bool = False) -> Tensor:
        """Update all networks; `freedom` is the share of the adversary's weight for each crop, B."""
        state, phase = self.state, self.phase
        with in_bfloat16(given.device):
            made = state.network(given)
        restored = made.crops.float()
        seen = restored.detach().requires_grad_()
        loss = reconstruction_loss(seen, target, phase.loss)
        (gradient,) = torch.autograd.grad(loss, seen)
        judged = torch.zeros((), device=given.device)
        if state.adversary and phase.adversarial.weight:
            judged = _teach(state.adversary, phase, given, target, restored, penalised=penalised)
            gradient = gradient + _fooling(state.adversary, phase, given, target, seen, gradient, freedom)
        state.optimiser.zero_grad(set_to_none=True)
        ends: list[Tensor] = [restored]
        gradients: list[Tensor | None] = [gradient]
        if phase.loss.levels:
            levels = phase.loss.levels * level_difference(made.levels, given, target)
            ends, gradients, loss = [*ends, levels], [*gradients, None], loss + levels
        torch.autograd.backward(ends, gradients)
        torch.nn.utils.clip_grad_norm_(state.network.learning(), 1.0)
        state.optimiser.step()
        return torch.stack((loss.detach(), judged.detach()))


def _teach(
    adversary: Adversary, phase: Phase, given: Tensor, target: Tensor, restored: Tensor, *, penalised: bool
) -> Tensor:
    """Take one step of the adversary; the gradient penalty is applied only now and then, with more weight."""
    settings = phase.adversarial
    total = shown = torch.zeros((), device=given.device)
    for judge in adversary.judges.values():
        with in_bfloat16(given.device):
            loss = judging_loss(judge, given, restored, target)
        shown = shown + loss.detach() / len(adversary.judges)
        total = total + loss
        if penalised:
            total = total + settings.r1 * settings.r1_every * r1_penalty(judge, given, target)
    adversary.optimiser.zero_grad(set_to_none=True)
    total.backward()  # type: ignore[no-untyped-call]
    adversary.optimiser.step()
    return shown


def _fooling(
    adversary: Adversary,
    phase: Phase,
    given: Tensor,
    target: Tensor,
    seen: Tensor,
    gradient: Tensor,
    freedom: Tensor,
) -> Tensor:
    """Return the gradient towards what fools the judges, in proportion to the reconstruction's."""
    settings, total = phase.adversarial, torch.zeros_like(gradient)
    for name, weight in (("patches", settings.weight), ("features", settings.features)):
        if not weight:
            continue
        judge = adversary.judges[name].requires_grad_(False)
        with in_bfloat16(given.device):
            fooled = fooling_loss(judge, given, seen, target, settings.matching)
        judge.requires_grad_(True)
        (wanted,) = torch.autograd.grad(fooled, seen)
        total = total + balanced(wanted, gradient, weight * freedom)
    return total


def in_bfloat16(device: torch.device) -> Any:
    """Return a context in which a GPU computes in bfloat16; without its cache, which a graph would keep."""
    if device.type != "cuda":
        return nullcontext()
    return torch.autocast("cuda", torch.bfloat16, cache_enabled=False)
