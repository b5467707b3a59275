"""The training loop: resumable, logged, on a CPU or a GPU, for a number of steps or minutes."""

import ctypes
import math
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from base.errors import CheckpointError
from portraits.damage import Portrait
from portraits.reading import load_portraits, no_finer
from training.checkpoints import CHECKPOINT
from training.config import TrainingConfig
from training.crops import Reservoir
from training.log import Log, progress_bar
from training.network.growing import Growing
from training.pairs import Stage
from training.state import State, open_state, save_state
from training.step import Steps
from training.validation import COLUMNS, Examples, examples, judge, write_sheet

LOG_COLUMNS = (
    "step",
    "crops",
    "seconds",
    "made",
    "size",
    "learning_rate",
    "loss",
    "adversary_loss",
    *COLUMNS,
)
SHOW_EVERY = 20
"""Steps between two readings of a GPU's loss: reading waits for the GPU."""
DETAIL = 2
"""Portraits are loaded at up to this many times S: more detail would not be visible in any view."""


def train(
    portraits: Sequence[Path],
    run: Path,
    config: TrainingConfig,
    *,
    held_out: int,
    threads: int | None = None,
    start: Path | None = None,
    wake: bool = False,
) -> Path:
    """Train until the end of the last phase and return the file of averaged weights.

    portraits   folders of square, aligned portraits
    run         folder for `checkpoint.pt` (resumed if it or its parts exist), `log.csv`, `samples/` and
                `weights.safetensors`
    held_out    portraits at the end of the first folder that are kept for validation
    threads     CPU threads; None uses PyTorch's default
    start       initial weights of a new run: another run, or weights in the published layout
    wake        revive features that those weights have silenced

    Raises PhotoError, and CheckpointError if there are too few portraits, the run has another configuration,
    or the loss is no longer a number.
    """
    if threads:
        torch.set_num_threads(threads)
    _keep_freed_memory()
    first, *others = [load_portraits(folder) for folder in portraits]
    if len(first) <= held_out:
        raise CheckpointError(
            f"{portraits[0]} holds {len(first)} portraits: more than --held-out {held_out} are needed"
        )
    kept = first[len(first) - held_out :]
    learning = [crop for crops in (first[: len(first) - held_out], *others) for crop in crops]
    stages = [Stage(phase.size, phase.degradation, config.augmentation) for phase in config.phases]
    run.mkdir(parents=True, exist_ok=True)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with Reservoir(
        [no_finer(crop, DETAIL * config.size) for crop in learning],
        stages,
        capacity=config.reservoir,
        workers=config.workers,
        seed=int(time.time()) if config.minutes else config.seed,
        device=device,
    ) as reservoir:
        torch.backends.cudnn.benchmark = True
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = True
        state = open_state(run, config, device, start, wake=wake)
        with Log(run / "log.csv", LOG_COLUMNS) as log:
            _Run(run, config, state, reservoir, kept, log).go_on()
    weights = run / "weights.safetensors"
    save_weights(weights, state.averaged, torch.float32)
    return weights


def save_weights(path: Path, network: Growing, dtype: torch.dtype) -> None:
    """Write a network's weights in the published layout."""
    state = network.network.state_dict()
    save_file({name: tensor.to(dtype).cpu().contiguous() for name, tensor in state.items()}, path)


class _Run:
    def __init__(
        self,
        folder: Path,
        config: TrainingConfig,
        state: State,
        reservoir: Reservoir,
        kept: list[Portrait],
        log: Log,
    ) -> None:
        self.folder, self.config, self.state, self.reservoir = folder, config, state, reservoir
        self.kept, self.log = kept, log
        self.device = next(state.network.parameters()).device
        self.rng = np.random.default_rng((config.seed, state.step))
        self.shown: Examples | None = None

    def go_on(self) -> None:
        """Train to the end."""
        config, state = self.config, self.state
        before, started = state.seconds, time.monotonic()
        self._begin(state.phase)
        with progress_bar() as bar_of_run:
            bar = bar_of_run.add_task("training", total=1.0, loss=math.nan)
            while (progress := config.progress(state.step, state.seconds)) < 1:
                number, part = config.at(progress)
                while state.phase < number:
                    self._end()
                    state.phase, state.phase_step = state.phase + 1, 0
                    self._begin(state.phase)
                losses = self.steps.take(self.reservoir.draw(config.phases[number].batch), part, self.rng)
                state.seconds = before + time.monotonic() - started
                if self.device.type == "cpu" or state.step % SHOW_EVERY == 0:
                    bar_of_run.update(bar, completed=progress, loss=float(losses[0]))
                if state.step % config.validate_every == 0:
                    self._validate(losses)
            self._end()

    def _begin(self, number: int) -> None:
        """Grow the network to the size of a phase, and begin making its crops."""
        phase, state = self.config.phases[number], self.state
        if state.network.resolution > phase.size:
            raise CheckpointError(
                f"the run has already grown to {state.network.resolution} pixels: "
                f"leave out phases of {phase.size}"
            )
        while state.network.resolution < phase.size:
            state.grow()
        self.reservoir.begin(number)
        self.shown = examples(self.kept, phase.size, phase.degradation, self.device) if self.kept else None
        if phase.adversarial.weight:
            state.meet(phase.adversarial, self.config.seed)
        self.steps = Steps(state, self.config)

    def _end(self) -> None:
        """Save the result of a phase; its averaged weights separately, if it has full size."""
        self._validate(None)
        if self.state.network.resolution == self.config.size:
            path = self.folder / f"phase-{self.state.phase}.safetensors"
            save_weights(path, self.state.averaged, torch.float16)

    def _validate(self, losses: Tensor | None) -> None:
        """Write a row of the log, a sheet from time to time, and the checkpoint."""
        config, state = self.config, self.state
        if losses is not None and not torch.isfinite(losses).all():
            raise CheckpointError(
                f"the loss at step {state.step} is not a number: lower the learning rate; "
                "the previous checkpoint is kept"
            )
        figures = dict.fromkeys(COLUMNS, math.nan)
        if self.shown:
            figures, restored = judge(state.averaged, self.shown)
            if losses is None or state.step % config.sample_every < config.validate_every:
                write_sheet(self.folder / "samples" / f"step-{state.step:06}.jpg", self.shown, restored)
        rate, shown = float(state.optimiser.param_groups[0]["lr"]), (math.nan,) * 2
        self.log.write(
            state.step,
            state.crops,
            state.seconds,
            self.reservoir.made,
            state.network.resolution,
            rate,
            *(losses.tolist() if losses is not None else shown),
            *(figures[name] for name in COLUMNS),
        )
        save_state(self.folder / CHECKPOINT, state, config.phases[state.phase].adversarial)


def _keep_freed_memory() -> None:
    """Make glibc keep large freed blocks: getting them from the system again doubles a CPU step's time."""
    try:
        libc = ctypes.CDLL(None)
        libc.mallopt(-4, 0)  # M_MMAP_MAX
        libc.mallopt(-1, 2**31 - 1)  # M_TRIM_THRESHOLD
        libc.mallopt(-2, 2**29)  # M_TOP_PAD
    except (AttributeError, OSError):
        pass  # another C library: only slower
