"""The settings of a training run."""

import itertools
from pathlib import Path

import msgspec

from base.errors import SettingsError
from export.gpen.layout import SIZES, Layout
from portraits.damage import Ranges
from training.adversary import Adversarial
from training.augmentation import Augmentation
from training.losses import LossWeights

IDENTITY_CHANNELS = 6
"""At S×S: ±R, ±G, ±B, with which training starts."""


class Phase(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A part of a run, with crops of one size and one kind of damage and loss."""

    size: int
    """R: crops of R×R; equal or double from phase to phase, the last is S."""
    share: float = 1.0
    """Share of the run, relative to the other phases' shares."""
    batch: int = 16
    learning_rate: float = 4e-3
    """At its peak; it rises over `warmup` steps and falls as a cosine to `settled` of it."""
    warmup: int = 100
    settled: float = 1.0
    """Share of the learning rate that remains at the end."""
    own: float = 0.3
    """Share of the batches that are the network's own estimates."""
    degradation: Ranges = Ranges()
    loss: LossWeights = LossWeights()
    adversarial: Adversarial = Adversarial()

    def __post_init__(self) -> None:
        if self.batch < 1 or self.share <= 0 or self.learning_rate <= 0:
            raise SettingsError("a phase's batch, share and learning_rate must be more than 0")
        if not (0 <= self.settled <= 1 and 0 <= self.own <= 1):
            raise SettingsError("settled and own of a phase are shares: give numbers from 0 to 1")


class TrainingConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A run's settings; a TOML file overrides any of them."""

    phases: tuple[Phase, ...]
    size: int = 256
    channel_multiplier: int = 1
    narrow: float = 0.25
    style_dim: int = 256
    n_mlp: int = 4
    steps: int | None = None
    """Steps of all phases together, divided among them by their shares."""
    minutes: float | None = None
    """Time for all phases together, instead of `steps`."""
    ema: float = 0.998
    """Decay of the averaged weights, which are the exported ones."""
    seed: int = 1
    validate_every: int = 100
    sample_every: int = 500
    """Steps between two sample sheets."""
    reservoir: int = 4096
    """Pairs of crops that are kept ready."""
    workers: int = 1
    """Processes that make crops."""
    augmentation: Augmentation = Augmentation()

    def __post_init__(self) -> None:
        if self.size not in SIZES:
            raise SettingsError(f"size {self.size}: give one of {', '.join(map(str, SIZES))}")
        counts = ("style_dim", "n_mlp", "validate_every", "sample_every", "reservoir", "workers")
        if min(getattr(self, name) for name in counts) < 1:
            raise SettingsError(f"{', '.join(counts)} must be 1 or more")
        if (self.steps is None) == (self.minutes is None) or (self.steps or self.minutes or 0) <= 0:
            raise SettingsError("give either steps or minutes, more than 0")
        if self.layout.channels(self.size) < IDENTITY_CHANNELS:
            raise SettingsError(
                f"narrow {self.narrow}: give more, for {IDENTITY_CHANNELS} channels at {self.size}"
            )
        sizes = [phase.size for phase in self.phases]
        steps = itertools.pairwise(sizes)
        if not sizes or sizes[-1] != self.size or any(b not in (a, 2 * a) for a, b in steps):
            raise SettingsError(
                f"phases of {', '.join(map(str, sizes)) or 'no size'}: each must be as large as the one "
                f"before or twice as large, the last {self.size}"
            )

    @property
    def layout(self) -> Layout:
        """Return the network's layout."""
        return Layout(self.size, self.channel_multiplier, self.narrow, self.style_dim, self.n_mlp)

    def progress(self, step: int, seconds: float) -> float:
        """Return how much of the run is done, 0 to 1."""
        if self.steps is not None:
            return min(1.0, step / self.steps)
        assert self.minutes is not None
        return min(1.0, seconds / (60 * self.minutes))

    def at(self, progress: float) -> tuple[int, float]:
        """Return the index of the phase at a progress, and how much of it is done."""
        total, before = sum(phase.share for phase in self.phases), 0.0
        for number, phase in enumerate(self.phases):
            part = phase.share / total
            if progress < before + part:
                return number, (progress - before) / part
            before += part
        return len(self.phases) - 1, 1.0


BUNDLED = Path(__file__).parent / "configs"


def read_config(path: Path) -> TrainingConfig:
    """Read a TOML file, or a bundled one by its name (`cpu`, `gpu`, …).

    Raises SettingsError for unknown names and wrong types.
    """
    bundled = BUNDLED / f"{path}.toml"
    if not path.exists() and bundled.parent == BUNDLED and bundled.is_file():
        path = bundled
    try:
        return msgspec.toml.decode(path.read_bytes(), type=TrainingConfig)
    except OSError as error:
        raise SettingsError(f"cannot read the configuration {path}: {error.strerror}") from error
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise SettingsError(f"configuration {path}: {error}") from error
