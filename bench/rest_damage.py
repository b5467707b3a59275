"""Noise and JPEG damage of whole photos."""

from dataclasses import dataclass

import numpy as np

from portraits.damage import Portrait, compressed


@dataclass(frozen=True)
class Damage:
    """Noise, JPEG or both."""

    sigma: float = 0.0
    jpeg: int | None = None

    @property
    def name(self) -> str:
        """Return what it is, in words."""
        parts = [f"noise {self.sigma:g}"] if self.sigma else []
        parts += [f"JPEG {self.jpeg}"] if self.jpeg else []
        return ", ".join(parts) or "none"

    def __call__(self, photo: Portrait, number: int) -> Portrait:
        """Return a damaged copy of a photo, H×W×3 uint8; the same photo gets the same noise."""
        noise = np.random.default_rng(number).normal(0, self.sigma, photo.shape) if self.sigma else 0.0
        noisy = np.rint(np.clip(photo + noise, 0, 255)).astype(np.uint8)
        return compressed(noisy, self.jpeg) if self.jpeg else noisy
