"""Everything that a run needs to resume."""

import pickle
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from base.errors import CheckpointError
from base.files import write_atomically
from export.gpen.checkpoint import load_checkpoint
from training.adversary import Adversarial, judges
from training.checkpoints import CHECKPOINT, found
from training.config import TrainingConfig
from training.network.growing import Growing
from training.network.reviving import revive

EPSILON = 1e-12
"""Adam's ε: gradients of a mean over pixels, for weights that are scaled when used, are 1e-8 to 1e-7 here."""
RESTORER, JUDGE = (0.9, 0.99), (0.0, 0.99)
"""β₁ and β₂ of Adam."""


@dataclass
class Adversary:
    """The adversary's networks and their optimiser."""

    judges: nn.ModuleDict
    optimiser: torch.optim.Adam


@dataclass
class State:
    """The state of a run."""

    step: int
    seconds: float
    crops: int
    """Seen so far."""
    phase: int
    phase_step: int
    """Steps of the phase."""
    network: Growing
    averaged: Growing
    optimiser: torch.optim.Adam
    adversary: Adversary | None = None

    def grow(self) -> None:
        """Double the resolution of the network and of its average."""
        self.network.grow()
        self.averaged = self.network.average()
        self.optimiser = _adam(self.network.learning(), 1e-3, RESTORER)

    def meet(self, settings: Adversarial, seed: int) -> Adversary:
        """Return the adversary, creating it if there is none yet, or none with all judges."""
        if self.adversary is None or (settings.features and "features" not in self.adversary.judges):
            device = next(self.network.parameters()).device
            made = judges(settings, self.network.resolution, seed).to(device)
            self.adversary = Adversary(made, _adam(made.parameters(), settings.learning_rate, JUDGE))
        return self.adversary


def open_state(
    run: Path,
    config: TrainingConfig,
    device: torch.device,
    start: Path | None = None,
    *,
    wake: bool = False,
) -> State:
    """Return a run's state, from its checkpoint or at its beginning.

    start  initial weights of a new run: the checkpoint of another run, or weights in the published layout
    wake   revive the features that those weights have silenced (`training.network.reviving`)

    Raises CheckpointError if a checkpoint is damaged or of another layout.
    """
    path = found(run)
    if path is not None:
        return _read_state(path, config, device)
    if start is None:
        return _new_state(Growing(config.layout, config.phases[0].size, config.seed).to(device))
    if start.is_dir() or start.name == CHECKPOINT:
        other = found(start if start.is_dir() else start.parent)
        if other is None:
            raise CheckpointError(f"{start} holds no {CHECKPOINT}: give the folder of a run")
        state = _read_state(other, config, device)
        state.step = state.phase = state.phase_step = 0
        state.seconds = 0.0
        return state
    network = Growing(config.layout, config.size, config.seed)
    loaded = load_checkpoint(start)
    if loaded.layout != config.layout:
        raise CheckpointError(f"{start} has another layout than the configuration: {loaded.layout}")
    network.network.load_state_dict(loaded.state, strict=False)  # constant kernels may be missing
    if wake:
        revive(network.network)
    return _new_state(network.to(device))


def _new_state(network: Growing) -> State:
    optimiser = _adam(network.learning(), 1e-3, RESTORER)
    return State(0, 0.0, 0, 0, 0, network, network.average(), optimiser)


def _read_state(path: Path, config: TrainingConfig, device: torch.device) -> State:
    try:
        saved: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
        network = Growing(config.layout, saved["resolution"], config.seed).to(device)
        state = _new_state(network)
        network.load_state_dict(saved["network"])
        state.averaged.load_state_dict(saved["averaged"])
        if "optimiser" in saved:
            _load(state.optimiser, saved["optimiser"])
        if "adversary" in saved:
            adversary = state.meet(Adversarial(**saved["adversarial"]), config.seed)
            adversary.judges.load_state_dict(saved["adversary"])
            if "adversary_optimiser" in saved:
                _load(adversary.optimiser, saved["adversary_optimiser"])
        state.step, state.seconds, state.crops = saved["step"], saved["seconds"], saved["crops"]
        state.phase, state.phase_step = saved["phase"], saved["phase_step"]
    except (RuntimeError, ValueError, KeyError, EOFError, TypeError, pickle.UnpicklingError) as error:
        raise CheckpointError(
            f"{path} does not fit: it is damaged, or from a run with another configuration; "
            f"give another folder ({str(error).splitlines()[0]})"
        ) from error
    return state


def save_state(path: Path, state: State, settings: Adversarial) -> None:
    """Write a checkpoint, replacing the last one."""
    content: dict[str, Any] = {
        "step": state.step,
        "seconds": state.seconds,
        "crops": state.crops,
        "phase": state.phase,
        "phase_step": state.phase_step,
        "resolution": state.network.resolution,
        "network": state.network.state_dict(),
        "averaged": state.averaged.state_dict(),
        "optimiser": state.optimiser.state_dict(),
    }
    if state.adversary:
        content["adversarial"] = {
            "channels": settings.channels,
            "scales": settings.scales,
            "features": settings.features,
        }
        content["adversary"] = state.adversary.judges.state_dict()
        content["adversary_optimiser"] = state.adversary.optimiser.state_dict()
    with write_atomically(path) as file:
        torch.save(content, file)


def set_rate(optimiser: torch.optim.Adam, rate: float) -> None:
    """Set the learning rate, in place on a GPU, where recorded steps read it."""
    for group in optimiser.param_groups:
        if isinstance(group["lr"], torch.Tensor):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate


def _adam(parameters: Iterable[nn.Parameter], rate: float, betas: tuple[float, float]) -> torch.optim.Adam:
    learning = list(parameters)
    if not learning[0].is_cuda:
        return torch.optim.Adam(learning, rate, betas=betas, eps=EPSILON)
    on_gpu = torch.tensor(rate, device=learning[0].device)
    return torch.optim.Adam(learning, on_gpu, betas=betas, eps=EPSILON, fused=True, capturable=True)


def _load(optimiser: torch.optim.Adam, saved: dict[str, Any]) -> None:
    """Take over an optimiser's state, but not the device-dependent settings of where it was saved."""
    kept = [{name: group[name] for name in ("lr", "fused", "capturable")} for group in optimiser.param_groups]
    optimiser.load_state_dict(saved)
    for group, own in zip(optimiser.param_groups, kept, strict=True):
        group.update(own)
