"""The training loop: resumable, logged, on a CPU or a GPU."""

import ctypes
import math
import time
from pathlib import Path

import torch
from torch import Tensor

from engines.errors import CheckpointError
from export import static
from training.adversary import fooling_loss, judging_loss, r1_penalty
from training.checkpoints import CHECKPOINT
from training.config import TrainingConfig
from training.log import Log, progress_bar
from training.losses import reconstruction_loss
from training.portraits import load_portraits
from training.state import Adversary, State, open_state, save_state
from training.stream import Batch, batches, stacked
from training.validation import COLUMNS, examples, judge, restore, write_sheet

LOG_COLUMNS = ("step", "seconds", "learning_rate", "loss", "adversary_loss", *COLUMNS)
SHOW_EVERY = 10
"""Steps from one look at a GPU's loss to the next: looking waits for the GPU."""


def train(
    portraits: Path, run: Path, config: TrainingConfig, *, held_out: int, threads: int | None = None
) -> Path:
    """Train until the last step and return the file of averaged weights.

    portraits   folder of square, aligned portraits
    run         folder for `checkpoint.pt` (resumed from when it or its parts are there), `log.csv`,
                `samples/` and `weights.pth`
    held_out    portraits at the end of the folder that are kept for validation
    threads     CPU threads; None leaves PyTorch's default

    Raises PhotoError, and CheckpointError when there are too few portraits, the run is of another
    configuration, or the loss is no longer a number.
    """
    if threads:
        torch.set_num_threads(threads)
    _keep_freed_memory()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.backends.cudnn.benchmark = True
    crops = load_portraits(portraits)
    if len(crops) <= held_out:
        raise CheckpointError(
            f"{portraits} holds {len(crops)} portraits: more than --held-out {held_out} are needed"
        )
    training, validation = crops[: len(crops) - held_out], crops[len(crops) - held_out :]
    run.mkdir(parents=True, exist_ok=True)
    state = open_state(run, config, device)
    shown = examples(validation, config.size, config.degradation, device) if validation else None
    before, started = state.seconds, time.monotonic()
    stream = batches(
        stacked(training, config.size, device),
        config.size,
        config.batch,
        config.degradation,
        config.augmentation,
        config.seed,
        state.step,
    )
    with Log(run / "log.csv", LOG_COLUMNS) as log, progress_bar() as progress:
        bar = progress.add_task("training", total=config.steps, completed=state.step, loss=math.nan)
        while state.step < config.steps:
            losses = _step(state, config, next(stream))
            last = state.step == config.steps
            if device.type == "cpu" or last or state.step % SHOW_EVERY == 0:
                progress.update(bar, completed=state.step, loss=float(losses[0]))
            if not (last or state.step % config.validate_every == 0):
                continue
            if not torch.isfinite(losses).all():
                raise CheckpointError(
                    f"the loss at step {state.step} is not a number: lower the learning rate; "
                    "the checkpoint before is kept"
                )
            state.seconds = before + time.monotonic() - started
            figures = (math.nan,) * len(COLUMNS)
            if shown:
                restored = restore(state.averaged, shown.degraded)
                figures = judge(state.averaged, shown, restored).figures
                if last or state.step % config.sample_every < config.validate_every:
                    write_sheet(run / "samples" / f"step-{state.step:06}.png", shown, restored)
            rate = state.optimiser.param_groups[0]["lr"]
            log.write(state.step, state.seconds, rate, *losses.tolist(), *figures)
            save_state(run / CHECKPOINT, state)
    weights = run / "weights.pth"
    torch.save({"g_ema": state.averaged.state_dict()}, weights)
    return weights


def learning_rate(config: TrainingConfig, step: int) -> float:
    """Return the rate of a step: linear warm-up, then a cosine down to a twentieth."""
    progress = min(1.0, step / config.steps)
    cosine = 0.525 + 0.475 * math.cos(math.pi * progress)
    return config.learning_rate * cosine * min(1.0, (step + 1) / max(1, config.warmup))


def _step(state: State, config: TrainingConfig, batch: Batch) -> Tensor:
    """Take one step; return the restorer's and the adversary's loss."""
    degraded, adversary = batch.degraded, state.adversary
    for group in state.optimiser.param_groups:
        group["lr"] = learning_rate(config, state.step)
    with torch.autocast(degraded.device.type, torch.bfloat16, enabled=degraded.is_cuda):
        restored = static.restore(static.fold(state.network), degraded)
    restored = restored.float()
    loss = reconstruction_loss(restored, batch.target, config.loss)
    judged = torch.zeros((), device=degraded.device)
    if adversary and state.step >= config.adversarial.start:
        judged = _teach(adversary, config, state.step, batch, restored)
        weight = config.adversarial.weight_at(state.step)
        if weight:
            adversary.network.requires_grad_(False)
            with torch.autocast(degraded.device.type, torch.bfloat16, enabled=degraded.is_cuda):
                fooled = fooling_loss(adversary.network, degraded, restored, batch.untouched)
            loss = loss + weight * fooled.float()
            adversary.network.requires_grad_(True)
    state.optimiser.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(state.network.parameters(), 1.0)
    state.optimiser.step()
    state.step += 1
    # The average forgets its beginning quickly at first, slowly later.
    decay = min(config.ema, (1 + state.step) / (10 + state.step))
    with torch.no_grad():
        torch._foreach_lerp_(list(state.averaged.parameters()), list(state.network.parameters()), 1 - decay)
    return torch.stack((loss.detach(), judged.detach()))


def _teach(adversary: Adversary, config: TrainingConfig, step: int, batch: Batch, restored: Tensor) -> Tensor:
    """Take one step of the adversary; the penalty on its gradient comes now and then, as much stronger."""
    settings, degraded = config.adversarial, batch.degraded
    with torch.autocast(degraded.device.type, torch.bfloat16, enabled=degraded.is_cuda):
        loss = judging_loss(adversary.network, degraded, restored, batch.target)
    total = loss
    if settings.r1 and step % settings.r1_every == 0:
        penalty = r1_penalty(adversary.network, degraded, batch.target)
        total = total + settings.r1 * settings.r1_every * penalty
    adversary.optimiser.zero_grad(set_to_none=True)
    total.backward()  # type: ignore[no-untyped-call]
    adversary.optimiser.step()
    return loss


def _keep_freed_memory() -> None:
    """Tell glibc to keep large freed blocks: fetching them anew from the system doubles a CPU step's time."""
    try:
        libc = ctypes.CDLL(None)
        libc.mallopt(-4, 0)  # M_MMAP_MAX
        libc.mallopt(-1, 2**31 - 1)  # M_TRIM_THRESHOLD
        libc.mallopt(-2, 2**29)  # M_TOP_PAD
    except (AttributeError, OSError):
        pass  # another C library: only slower
