"""The training loop: resumable, logged, on a CPU or a GPU."""

import csv
import ctypes
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import torch
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from torch import Tensor

from engines.errors import CheckpointError
from export import static
from export.network import Gpen
from training.config import TrainingConfig
from training.degradation import Crop
from training.initialise import initialise
from training.losses import psnr, reconstruction_loss
from training.portraits import batches, load_portraits

LOG_COLUMNS = ("step", "seconds", "learning_rate", "loss", "psnr_degraded", "psnr_restored", "psnr_untouched")
VALIDATION_CROPS = 16


@dataclass
class State:
    """All that a run needs to go on from where it stopped."""

    step: int
    network: Gpen
    averaged: Gpen
    optimiser: torch.optim.Adam


def train(
    portraits: Path, run: Path, config: TrainingConfig, *, held_out: int, threads: int | None = None
) -> Path:
    """Train until the last step and return the file of averaged weights.

    portraits   folder of square, aligned portraits
    run         folder for `checkpoint.pt` (resumed from when it is there), `log.csv` and `weights.pth`
    held_out    portraits at the end of the folder that are kept for validation
    threads     CPU threads; None leaves PyTorch's default
    """
    if threads:
        torch.set_num_threads(threads)
    _keep_freed_memory()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    crops = load_portraits(portraits)
    if len(crops) <= held_out:
        raise CheckpointError(
            f"{portraits} holds {len(crops)} portraits: more than --held-out {held_out} are needed"
        )
    training, validation = crops[: len(crops) - held_out], crops[len(crops) - held_out :]
    run.mkdir(parents=True, exist_ok=True)
    state = _open_state(run / "checkpoint.pt", config, device)
    examples = _validation_batch(validation, config, device) if validation else None
    started = time.monotonic()
    with _log(run / "log.csv") as log, _progress() as progress:
        bar = progress.add_task("training", total=config.steps, completed=state.step, loss=math.nan)
        stream = batches(training, config.size, config.batch, config.degradation, config.seed, state.step)
        for degraded, target in stream:
            if state.step >= config.steps:
                break
            loss = _step(state, config, degraded.to(device), target.to(device))
            progress.update(bar, advance=1, loss=loss)
            if state.step % config.validate_every == 0 or state.step == config.steps:
                quality = _validate(state.averaged, examples) if examples else (math.nan,) * 3
                rate = state.optimiser.param_groups[0]["lr"]
                log.write(state.step, time.monotonic() - started, rate, loss, *quality)
                _save(run / "checkpoint.pt", state)
    weights = run / "weights.pth"
    torch.save({"g_ema": state.averaged.state_dict()}, weights)
    return weights


def learning_rate(config: TrainingConfig, step: int) -> float:
    """Return the rate of a step: linear warm-up, then a cosine down to a twentieth."""
    progress = min(1.0, step / config.steps)
    cosine = 0.525 + 0.475 * math.cos(math.pi * progress)
    return config.learning_rate * cosine * min(1.0, (step + 1) / max(1, config.warmup))


def _step(state: State, config: TrainingConfig, degraded: Tensor, target: Tensor) -> float:
    for group in state.optimiser.param_groups:
        group["lr"] = learning_rate(config, state.step)
    with torch.autocast(degraded.device.type, torch.bfloat16, enabled=degraded.is_cuda):
        restored = static.restore(static.fold(state.network), degraded)
    loss = reconstruction_loss(restored.float(), target, config.gradient_weight)
    state.optimiser.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(state.network.parameters(), 1.0)
    state.optimiser.step()
    state.step += 1
    # The average forgets its beginning quickly at first, slowly later.
    decay = min(config.ema, (1 + state.step) / (10 + state.step))
    with torch.no_grad():
        for mean, now in zip(state.averaged.parameters(), state.network.parameters(), strict=True):
            mean.lerp_(now, 1 - decay)
    return float(loss.detach())


def _validation_batch(
    portraits: list[Crop], config: TrainingConfig, device: torch.device
) -> tuple[Tensor, Tensor]:
    always = msgspec.structs.replace(config.degradation, untouched=0.0)
    degraded, target = next(batches(portraits, config.size, VALIDATION_CROPS, always, seed=0, start=0))
    return degraded.to(device), target.to(device)


@torch.no_grad()
def _validate(network: Gpen, examples: tuple[Tensor, Tensor]) -> tuple[float, float, float]:
    """Return the mean PSNR of the degraded crops, of them restored, and of the untouched ones restored."""
    degraded, target = examples
    net = static.fold(network)
    restored, untouched = (
        torch.cat([static.restore(net, part) for part in torch.split(crops, 4)]) for crops in examples
    )
    of_degraded, of_restored, of_untouched = (
        float(psnr(crops, target).mean()) for crops in (degraded, restored, untouched)
    )
    return of_degraded, of_restored, of_untouched


def _open_state(path: Path, config: TrainingConfig, device: torch.device) -> State:
    network = initialise(config.layout, config.seed).to(device)
    averaged = initialise(config.layout, config.seed).to(device).requires_grad_(False)
    optimiser = torch.optim.Adam(network.parameters(), config.learning_rate, betas=(0.9, 0.99))
    state = State(0, network, averaged, optimiser)
    if path.exists():
        saved: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
        network.load_state_dict(saved["network"])
        averaged.load_state_dict(saved["averaged"])
        optimiser.load_state_dict(saved["optimiser"])
        state.step = saved["step"]
    return state


def _save(path: Path, state: State) -> None:
    temporary = path.with_suffix(".tmp")
    torch.save(
        {
            "step": state.step,
            "network": state.network.state_dict(),
            "averaged": state.averaged.state_dict(),
            "optimiser": state.optimiser.state_dict(),
        },
        temporary,
    )
    temporary.replace(path)


class _log:  # noqa: N801 — used as a function
    """A CSV file, appended to; the heading is written once."""

    def __init__(self, path: Path) -> None:
        fresh = not path.exists()
        self._file = path.open("a", newline="")
        self._writer = csv.writer(self._file)
        if fresh:
            self._writer.writerow(LOG_COLUMNS)

    def write(self, step: int, *figures: float) -> None:
        self._writer.writerow([step, *(f"{figure:.6g}" for figure in figures)])
        self._file.flush()

    def __enter__(self) -> "_log":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("loss {task.fields[loss]:.4f}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )


def _keep_freed_memory() -> None:
    """Tell glibc to keep large freed blocks: fetching them anew from the system doubles a CPU step's time."""
    try:
        libc = ctypes.CDLL(None)
        libc.mallopt(-4, 0)  # M_MMAP_MAX
        libc.mallopt(-1, 2**31 - 1)  # M_TRIM_THRESHOLD
        libc.mallopt(-2, 2**29)  # M_TOP_PAD
    except (AttributeError, OSError):
        pass  # another C library: only slower
