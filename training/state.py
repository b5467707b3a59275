"""All that a run needs to go on from where it stopped."""

import copy
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from engines.errors import CheckpointError
from export.network import Gpen
from training.adversary import new_adversary
from training.checkpoints import found
from training.config import TrainingConfig
from training.initialise import initialise

EPSILON = 1e-12
"""Of Adam: gradients of a mean over pixels, by weights that are scaled when used, are 1e-8 to 1e-7 here."""


@dataclass
class Adversary:
    """The adversary and what trains it."""

    network: nn.Module
    optimiser: torch.optim.Adam


@dataclass
class State:
    """Where a run stands."""

    step: int
    seconds: float
    network: Gpen
    averaged: Gpen
    optimiser: torch.optim.Adam
    adversary: Adversary | None


def open_state(run: Path, config: TrainingConfig, device: torch.device) -> State:
    """Return a run's state: that of its checkpoint, or the beginning.

    A checkpoint without an adversary gets a new one where the configuration has one.

    Raises CheckpointError when the checkpoint is damaged or of another layout.
    """
    network = initialise(config.layout, config.seed).to(device)
    averaged = copy.deepcopy(network).requires_grad_(False)
    optimiser = _adam(network, config.learning_rate, (0.9, 0.99), device)
    adversary = None
    if config.adversarial.weight:
        judge = new_adversary(config.adversarial.channels, config.seed).to(device)
        adversary = Adversary(judge, _adam(judge, config.adversarial.learning_rate, (0.0, 0.99), device))
    state = State(0, 0.0, network, averaged, optimiser, adversary)
    path = found(run)
    if path is None:
        return state
    try:
        saved: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
        network.load_state_dict(saved["network"])
        averaged.load_state_dict(saved["averaged"])
        optimiser.load_state_dict(saved["optimiser"])
        if adversary and "adversary" in saved:
            adversary.network.load_state_dict(saved["adversary"])
            adversary.optimiser.load_state_dict(saved["adversary_optimiser"])
        state.step, state.seconds = saved["step"], saved.get("seconds", 0.0)
    except (RuntimeError, ValueError, KeyError, EOFError, pickle.UnpicklingError) as error:
        raise CheckpointError(
            f"{path} does not fit: it is damaged, or of a run with another configuration; "
            f"give another folder ({str(error).splitlines()[0]})"
        ) from error
    return state


def save_state(path: Path, state: State) -> None:
    """Write a checkpoint in the place of the last."""
    content: dict[str, Any] = {
        "step": state.step,
        "seconds": state.seconds,
        "network": state.network.state_dict(),
        "averaged": state.averaged.state_dict(),
        "optimiser": state.optimiser.state_dict(),
    }
    if state.adversary:
        content["adversary"] = state.adversary.network.state_dict()
        content["adversary_optimiser"] = state.adversary.optimiser.state_dict()
    temporary = path.with_suffix(".tmp")
    torch.save(content, temporary)
    temporary.replace(path)


def _adam(
    network: nn.Module, rate: float, betas: tuple[float, float], device: torch.device
) -> torch.optim.Adam:
    fused = device.type == "cuda" or None
    return torch.optim.Adam(network.parameters(), rate, betas=betas, eps=EPSILON, fused=fused)
