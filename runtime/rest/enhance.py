"""Restore the rest of a photo as far as the settings say, in strips.

The photo network's picture r takes the place of a face's: what is handed back is, as in faces,

    photo′ = r + κ C_σ(photo − r),    κ = (1 − ηρ)^N

where r differs from the photo by no more than the measured noise and JPEG damage explain (`explained.py`),
and, where grain is kept, all of the photo's grain. The colours' local means stay the photo's.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from base.parallel import parallel
from runtime.faces.noise import SUPPORT
from runtime.finish.canvas import enlarged
from runtime.finish.compose import in_colours, noise_of
from runtime.finish.grain import grain_of
from runtime.network.monochrome import is_grey
from runtime.pixels import Picture, Pixels
from runtime.rest.coarser import smooth_coarse_noise
from runtime.rest.explained import LESS, Explained, explained
from runtime.rest.measured import grain_of_photo, noise_of_photo
from runtime.rest.network import PhotoNetwork
from runtime.rest.strips import Strip, strips
from runtime.settings.settings import RestoreSettings

LEAST_SHARE = 0.05
"""A smaller share κ is not handed back: it would be invisible, but take as long as a larger one."""
REACH = 32
"""Colours keep their mean over squares of 2·REACH + 1 pixels of the photo."""
BLOCK = 256
"""Columns that are worked on together."""
HALVINGS = 2
"""How often a photo with strong noise is halved, to take away mottling."""
LANCZOS = 8
"""How far enlarging reads, in pixels, with some to spare."""


@dataclass(frozen=True, eq=False)
class HandedBack:
    """How much of the photo is handed back to its restored rest."""

    kappa: float
    """κ: the share that is left to the photo."""
    sigma: NDArray[np.float32] | float
    """σ of the noise that is not handed back, of each channel."""
    grain: NDArray[np.float32] | None
    """σ of the grain that returns in full, by wavelet band and channel."""
    strength: float


def enhanced(
    photo: Pixels,
    network: PhotoNetwork,
    settings: RestoreSettings,
    done: Callable[[int], None] = lambda rows: None,
) -> Pixels:
    """Return the photo restored as a whole, and enlarged by `upscale`, with its dtype.

    photo  H×W×3 uint8 or uint16 RGB; not changed
    done   called with the number of further rows that are done

    Raises BackendError.
    """
    scale = min(network.factor, settings.upscale)
    damage = explained(photo) if network.adds else None
    work = _Work(photo, scale, handed_back(photo, settings, scale), damage, is_grey(photo))
    mottled = damage is not None and damage.leaves_mottling and not settings.grain
    restored = work.restored(network, HALVINGS if mottled else 0, done)
    return restored if scale == settings.upscale else enlarged(restored, settings.upscale // scale)


@dataclass(frozen=True, eq=False)
class _Work:
    """What becomes of a network's answers. Strips are worked on in blocks that fit a core's cache."""

    photo: Pixels
    scale: int
    back: HandedBack
    damage: Explained | None
    """What explains a change; None if the network returns pictures and not changes."""
    grey: bool

    def restored(
        self, network: PhotoNetwork, halvings: int = 0, done: Callable[[int], None] = lambda rows: None
    ) -> Pixels:
        """Return the photo restored: at its own size, and then at half of it, so many times."""
        height, width = (self.scale * side for side in self.photo.shape[:2])
        restored = np.empty((height, width, 3), self.photo.dtype)
        for strip in strips(self.photo, network, self.scale, self.margin):
            own = self.own(strip)
            self.finish(strip, own, self.change(strip, own), restored)
            done(strip.bottom - strip.top)
        if halvings:
            smooth_coarse_noise(restored, lambda half: self.at_half(half).restored(network, halvings - 1))
        return restored

    def at_half(self, half: Pixels) -> "_Work":
        """Return the same work on the restored photo at half its size, with the noise that is left."""
        damage = self.damage.reduced(LESS) if self.damage else None
        return replace(
            self, photo=half, damage=damage, back=replace(self.back, sigma=self.back.sigma / np.float32(LESS))
        )

    @property
    def reach(self) -> int:
        """Return how far a change depends on the network's answer, in pixels of the result."""
        composes = self.back.kappa or self.back.grain is not None
        return (self.damage.reach if self.damage else 0) + (2 * SUPPORT if composes else 0)

    @property
    def margin(self) -> int:
        """Return how far the result depends on the network's answer, in rows of the photo."""
        return REACH + -(-self.reach // self.scale)

    def own(self, strip: Strip) -> NDArray[Any]:
        """Return the photo's own rows of a strip, enlarged, in levels."""
        end = strip.first + len(strip.answer) // self.scale
        if self.scale == 1:
            return self.photo[strip.first : end]
        above = min(LANCZOS, strip.first)
        rows = self.photo[strip.first - above : end + LANCZOS].astype(np.float32)
        size = (rows.shape[1] * self.scale, rows.shape[0] * self.scale)
        return cv2.resize(rows, size, interpolation=cv2.INTER_LANCZOS4)[above * self.scale :][
            : len(strip.answer)
        ]

    def change(self, strip: Strip, own: NDArray[Any]) -> Picture:
        """Return what is to be added to a strip's rows."""
        change = np.empty_like(strip.answer)

        def block(left: int) -> None:
            around, inside = _with_margin(left, self.reach)
            part = strip.answer[:, around]
            if self.damage:
                rows = own[:, around]
                part = self.damage.without_finest(rows, self.damage.limit(rows, part))
            else:
                part = part - own[:, around] * np.float32(1 / self._top)
            change[:, left : left + BLOCK] = _composed(part, self.back)[:, inside]

        _in_blocks(block, change)
        return change

    def finish(self, strip: Strip, own: NDArray[Any], change: Picture, restored: Pixels) -> None:
        """Write a strip's rows, with the mean colours that the photo has there."""
        inner = slice((strip.top - strip.first) * self.scale, (strip.bottom - strip.first) * self.scale)
        rows = restored[strip.top * self.scale : strip.bottom * self.scale]

        def block(left: int) -> None:
            around, inside = _with_margin(left, REACH * self.scale)
            part = change[:, around]
            part = (part - _mean(part, REACH * self.scale))[inner, inside]
            if self.grey:
                part = in_colours(part.mean(axis=2))
            columns = slice(left, left + BLOCK)
            depth = cv2.CV_8U if restored.dtype == np.uint8 else cv2.CV_16U
            rows[:, columns] = cv2.add(own[inner, columns], part * self._top, dtype=depth)

        _in_blocks(block, rows)

    @property
    def _top(self) -> np.float32:
        top: np.float32 = np.float32(np.iinfo(self.photo.dtype).max)
        return top


def _in_blocks(block: Callable[[int], None], picture: NDArray[Any]) -> None:
    """Call a function with the first column of each block of a picture, on all cores."""
    deque(parallel(block, range(0, picture.shape[1], BLOCK)), maxlen=0)


def _with_margin(left: int, margin: int) -> tuple[slice, slice]:
    """Return a block's columns with some beside them, and which of these are its own."""
    around = slice(max(0, left - margin), left + BLOCK + margin)
    return around, slice(left - around.start, left - around.start + BLOCK)


def restores_rest(settings: RestoreSettings) -> bool:
    """Return whether the settings change anything around the faces."""
    return settings.scope == "photo" and settings.strength > 0


def handed_back(photo: Pixels, settings: RestoreSettings, scale: int) -> HandedBack:
    """Return what the settings hand back to the rest of a photo."""
    weights = settings.face_mask_weights
    rho = weights.get("other", weights.get("face", 1.0))
    kappa = max(0.0, 1 - settings.latent_step_decay * rho) ** settings.iterations
    kappa = kappa if kappa >= LEAST_SHARE else 0.0
    return HandedBack(
        kappa,
        noise_of_photo(photo) if kappa and not settings.grain else 0.0,
        grain_of_photo(photo, scale) if settings.grain else None,
        settings.strength,
    )


def _composed(change: Picture, back: HandedBack) -> Picture:
    """Return the share of a change, r − photo, that is made: without the photo's grain if it is kept, and
    with κ C_σ(photo − r)."""
    if back.grain is not None:
        change = change - grain_of(change, back.grain)
    if back.kappa:
        noise = noise_of(change, back.sigma) if np.any(back.sigma) else 0
        change = change - np.float32(back.kappa) * (change - noise)
    return change if back.strength == 1 else change * np.float32(back.strength)


def _mean(change: Picture, reach: int) -> Picture:
    """Return the mean around each pixel; it sums to as much as the change does, so subtracting it keeps the
    photo's mean colour."""
    side = 2 * reach + 1
    return np.asarray(cv2.blur(change, (side, side), borderType=cv2.BORDER_REFLECT), np.float32)
