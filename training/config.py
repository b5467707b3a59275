"""The settings of a training run."""

from pathlib import Path

import msgspec

from engines.errors import SettingsError
from export.layout import SIZES, Layout
from training.adversary import Adversarial
from training.augmentation import Augmentation
from training.degradation import Ranges
from training.losses import LossWeights

IDENTITY_CHANNELS = 6
"""At S×S: ±R, ±G, ±B, with which training starts."""


class TrainingConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A run's settings; a TOML file gives any of them, the rest stay as here."""

    size: int = 256
    channel_multiplier: int = 1
    narrow: float = 0.25
    style_dim: int = 256
    n_mlp: int = 4
    steps: int = 2400
    batch: int = 4
    learning_rate: float = 1e-3
    """At its peak; it rises over `warmup` steps and falls as a cosine to a twentieth at the last step."""
    warmup: int = 100
    ema: float = 0.998
    """Decay of the averaged weights, which are the ones exported."""
    seed: int = 1
    validate_every: int = 100
    sample_every: int = 500
    """Steps from one sample sheet to the next."""
    degradation: Ranges = Ranges()
    augmentation: Augmentation = Augmentation()
    loss: LossWeights = LossWeights()
    adversarial: Adversarial = Adversarial()

    def __post_init__(self) -> None:
        if self.size not in SIZES:
            raise SettingsError(f"size {self.size}: give one of {', '.join(map(str, SIZES))}")
        counts = ("steps", "batch", "style_dim", "n_mlp", "validate_every", "sample_every")
        if min(getattr(self, name) for name in counts) < 1:
            raise SettingsError(f"{', '.join(counts)} must be 1 or more")
        if self.layout.channels(self.size) < IDENTITY_CHANNELS:
            raise SettingsError(
                f"narrow {self.narrow}: give more, for {IDENTITY_CHANNELS} channels at {self.size}"
            )

    @property
    def layout(self) -> Layout:
        """Return the network's layout."""
        return Layout(self.size, self.channel_multiplier, self.narrow, self.style_dim, self.n_mlp)


BUNDLED = Path(__file__).parent / "configs"


def read_config(path: Path | None) -> TrainingConfig:
    """Read a TOML file, or one of those that come along by its name (`cpu`, `gpu`); None gives the defaults.

    Raises SettingsError for unknown names and wrong types.
    """
    if path is None:
        return TrainingConfig()
    bundled = BUNDLED / f"{path}.toml"
    if not path.exists() and bundled.parent == BUNDLED and bundled.is_file():
        path = bundled
    try:
        return msgspec.toml.decode(path.read_bytes(), type=TrainingConfig)
    except OSError as error:
        raise SettingsError(f"cannot read the configuration {path}: {error.strerror}") from error
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise SettingsError(f"configuration {path}: {error}") from error
