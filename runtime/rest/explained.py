"""How much of the photo network's change is explained by noise and JPEG damage.

Fine texture (grass, gravel, cloth) looks like noise through a window of a few pixels. But noise also covers
flat areas, and equally so wherever brightness is the same, so the flattest areas show how strong it is.
Anything beyond that, and beyond what JPEG's quantisation can have caused, belongs to the photo. A page of
text or hatching has no flat area; there the paper between the strokes shows it.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from base.parallel import parallel
from runtime.finish.compose import in_colours
from runtime.pixels import Map, Picture, Pixels, eight_bit, smoothstep
from runtime.rest.measured import squares_of

BLOCK = 12
"""Edge of the blocks in which noise is measured, in pixels."""
COARSE = 2.0
"""σ of the blur, in pixels, below which a picture counts as noise or texture."""
FINEST = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32) / 6
"""Takes the finest detail alone, and keeps the σ of white noise: J. Immerkær, "Fast noise variance
estimation", 1996."""
REDDER = 1.75
"""Ratio of noise to its finest part, which most cameras smooth; texture has a larger ratio."""
IN_COLOUR = (0.5, 0.7)
"""Noise of a photo's colours, relative to all of its noise, from which it is trusted to tell how strong and
how coarse the noise is: texture has hardly any, and neither has grey noise or colour that JPEG has halved."""
APART = 1.05
"""How far the noise of all three channels may then exceed that of their differences, which is independent."""
FLATTEST, FLATTEST_JPEG = 0.005, 0.05
"""Quantile of the blocks of a brightness that are taken for flat, without and with JPEG, which empties some
blocks."""
SHADES, FEWEST = 8, 12
"""Number of brightness steps, and the fewest blocks needed to measure one."""
PANE, QUIET = 4, 2
"""Edge of the windows in a block, in pixels; and which of them, from the quietest on, tells noise, which is
in all of them, from strokes."""
EVEN, USUAL = 0.25, 0.6
"""σ of that window relative to that of its block. Below the first, strokes cross the block: text and drawings
have 0 to 0.05, in JPEG of quality 60 up to 0.18; old photos with noise 0.45 to 0.75, compressed or not. The
second is usual for noise."""
STEEPEST = 3.0
"""Largest ratio of noise between neighbouring brightness steps; more is texture."""
CLIPPED = 1.5 / 255
"""Distance from black and white within which a picture is clipped and shows no noise."""
MOSTLY = 0.1
"""Share of a block that may be clipped, if there are enough such blocks."""
FACTOR, FACTOR_JPEG = 1.15, 1.25
"""How far a change may exceed the measured damage, without and with JPEG, since both are estimates."""
SURELY_CLEAN = 3 / 255
"""σ of noise up to which a change may not exceed it, since it is as likely texture."""
SLIGHT = 0.4 / 255
"""A change this small is never visible."""
SLIGHT_NOISE = 0.9 / 255
"""σ of noise up to which JPEG hides it."""
PLAINEST = 0.2
"""Quantile of the blocks in which it is measured how coarse noise is."""
WHITE, WHITE_JPEG = 1.5, 2.7
"""Ratio of noise to its finest part up to which it is white, without and with JPEG, which takes the finest
part away first: 1.0 to 1.2 for white noise, 1.4 to 2.7 after JPEG of quality 75; 1.5 for noise that was
blurred by half a pixel, 3 and more if it was compressed after that."""
SEEN = 4 / 255
"""σ of noise below which a photo counts as clean; in the brightness with the least, which texture disturbs
least."""
STRONG, STRONG_JPEG = 12 / 255, 4 / 255
"""Damage, without and with JPEG, of which the network leaves mottling in flat areas."""
LESS = 4
"""Factor by which the network reduces it, at least."""
WINDOW = 17
"""Edge of the square over which a change is measured, in pixels."""
LEFT = 6
"""Factor by which the network reduces the finest noise in smooth areas, about."""
FINE = 0.8
"""σ of the blur, in pixels, that takes the finest noise away."""
FINE_REACH = 3
"""How far that blur reads, in pixels."""

STEPS = np.arange(2, 65)
"""JPEG's quantisation steps that are looked for, in 8-bit levels; beyond, all detail is gone anyway."""
THIRD = np.full((1, 3), 1 / 3, np.float32)
"""Takes the mean over the channels."""
FREQUENCIES = ((0, 1), (1, 0), (1, 1), (0, 2), (2, 0), (1, 2), (2, 1))
"""Vertical and horizontal frequency of the DCT coefficients in which they are looked for."""
SURE, COEFFICIENTS = 0.6, 40
"""How near to multiples of a step the coefficients must lie (1: exactly; 0: anywhere), and how many there
must be."""


@dataclass(frozen=True, eq=False)
class Explained:
    """The damage of a photo, in units of full scale."""

    noise: NDArray[np.float32]
    """σ of its noise by brightness, SHADES values from black to white."""
    jpeg: float
    """RMS of the error of its JPEG compression; 0 if it shows none."""
    factor: NDArray[np.float32]
    """How far a change may exceed them by brightness, SHADES values."""
    coarse: float = 1.0
    """Ratio of its noise to the finest part of it: 1 for white noise, more for film grain."""

    @property
    def is_seen(self) -> bool:
        """Whether it is more than a clean photo's own grain."""
        return self.jpeg > 0 or bool(self.noise.min() >= SEEN)

    @property
    def is_of_jpeg_alone(self) -> bool:
        """Whether it comes from JPEG in a photo without noise; compressed noise cannot be removed
        completely."""
        return self.jpeg > 0 and bool(self.noise.min() < SLIGHT_NOISE)

    @property
    def is_of_white_noise(self) -> bool:
        """Whether most of it is noise that is as strong in the finest detail as in any."""
        white = WHITE_JPEG if self.jpeg else WHITE
        return bool(self.noise.min() >= SLIGHT_NOISE) and self.coarse <= white

    def reduced(self, factor: float) -> "Explained":
        """Return the damage that remains after the photo is reduced by a factor, 1 or more."""
        return replace(self, noise=self.noise / np.float32(factor), jpeg=self.jpeg / factor)

    def limit(self, own: Pixels, change: Picture) -> Picture:
        """Return a change, H×W×3, reduced where it is larger than the damage explains.

        A change of variance v of which noise explains n is n/v noise and otherwise texture, so that taking
        n/v of it leaves the least error: N. Wiener's filter, for a change instead of a picture.

        own  the pixels that are changed, H×W×3
        """
        return _limited(own, change, self._allowed)

    def share_of(self, own: Pixels, change: Picture) -> Map:
        """Return the share of the damage's σ that a change has around each pixel, H×W.

        own, change  as for `limit`
        """
        damage = np.maximum(cv2.LUT(_brightness(own), self._by_level), np.float32(1e-6))
        return np.asarray(np.sqrt(_mean(change * change)) / damage, np.float32)

    @property
    def leaves_finest(self) -> bool:
        """Whether it is so strong that what the network leaves of the finest noise counts."""
        return bool(np.hypot(self.noise, self.jpeg).max() >= SURELY_CLEAN)

    @property
    def reach(self) -> int:
        """How far a limited change depends on the network's answer, in pixels."""
        return WINDOW // 2 + 1 + (FINE_REACH + WINDOW // 2 + 1 if self.leaves_finest else 0)

    def without_finest(self, own: Pixels, change: Picture) -> Picture:
        """Return a change that also takes the finest noise away, as far as the network has left some.

        The network leaves a fixed share of strong noise even where nothing else is; detail is kept because
        it exceeds that share.

        own, change  as for `limit`, whose result is the change
        """
        if not self.leaves_finest:
            return change
        restored = own * np.float32(1 / np.iinfo(own.dtype).max) + change
        blurred = cv2.GaussianBlur(restored, (2 * FINE_REACH + 1,) * 2, FINE, borderType=cv2.BORDER_REFLECT)
        return change + _limited(own, blurred - restored, self._left)

    @cached_property
    def _allowed(self) -> Map:
        """Return the largest variance of a change by brightness, 256."""
        return np.asarray((_by_level(self.factor) * self._by_level + SLIGHT) ** 2, np.float32)

    @cached_property
    def _left(self) -> Map:
        """Return the variance of the noise that the network leaves by brightness, 256."""
        return np.asarray((self._by_level / LEFT) ** 2, np.float32)

    @property
    def _by_level(self) -> Map:
        """Return the damage by brightness, 256."""
        return np.asarray(np.hypot(_by_level(self.noise), self.jpeg), np.float32)

    @property
    def leaves_mottling(self) -> bool:
        """Return whether the network, which sees 20 pixels far, leaves some of the noise."""
        strength = float(np.hypot(np.median(self.noise), self.jpeg))
        return strength >= (STRONG_JPEG if self.jpeg else STRONG)


def _by_level(shades: NDArray[np.float32]) -> Map:
    """Return numbers by brightness, SHADES, for each of 256 levels."""
    middles = (np.arange(SHADES) + 0.5) / SHADES
    return np.asarray(np.interp(np.arange(256) / 255, middles, shades), np.float32)


def _limited(own: Pixels, change: Picture, largest: Map) -> Picture:
    """Return a change, H×W×3, of at most some variance by brightness, 256, of the pixels that it changes."""
    most = cv2.LUT(_brightness(own), largest)
    variance = _mean(change * change)
    np.maximum(variance, np.float32(1e-12), out=variance)
    share = np.divide(most, variance, out=variance)
    return change * in_colours(np.minimum(share, 1, out=share))


def _brightness(own: Pixels) -> NDArray[np.uint8]:
    """Return the mean over the channels and WINDOW, H×W."""
    return np.asarray(_blurred(cv2.transform(eight_bit(own), THIRD)), np.uint8)


def _mean(picture: Picture) -> Map:
    """Return the mean over the channels and WINDOW, H×W."""
    return np.asarray(_blurred(_grey(picture)), np.float32)


def _blurred(plane: cv2.typing.MatLike) -> cv2.typing.MatLike:
    return cv2.blur(plane, (WINDOW, WINDOW), borderType=cv2.BORDER_REFLECT)


def explained(photo: Pixels) -> Explained:
    """Measure the damage of a photo, H×W×3 uint8 or uint16, in squares all over it."""
    return explained_by(list(squares_of(photo)))


def explained_by(squares: list[Picture]) -> Explained:
    """Measure the damage of a photo in squares of it, each beginning at a block of JPEG."""
    jpeg = _jpeg(squares)
    energies = np.concatenate(list(parallel(_energies, squares)), axis=1)
    noise = _noise(energies, FLATTEST_JPEG if jpeg else FLATTEST)
    return Explained(noise, jpeg, _factor(noise, jpeg), _coarse(energies))


def _factor(noise: NDArray[np.float32], jpeg: float) -> NDArray[np.float32]:
    """Return how far a change may exceed the damage, by brightness."""
    if jpeg:
        return np.full(SHADES, FACTOR_JPEG, np.float32)
    return np.asarray(np.interp(noise, (SURELY_CLEAN, SEEN), (1, FACTOR)), np.float32)


def _noise(energies: Map, flattest: float) -> NDArray[np.float32]:
    light, sigma = _sigmas(energies)
    shade = np.minimum((light * SHADES).astype(int), SHADES - 1)
    deviations = np.stack([sigma, *np.sqrt(energies[[1, 5]])])
    found = {
        each: _of_flattest(deviations[:, shade == each], flattest)
        for each in range(SHADES)
        if (shade == each).sum() >= FEWEST
    }
    if not found:  # a small photo
        every = _of_flattest(deviations, flattest) if len(sigma) >= FEWEST else 0.0
        return np.full(SHADES, every, np.float32)
    most = STEEPEST * min(found.values())
    return np.asarray(
        np.interp(range(SHADES), list(found), [min(most, value) for value in found.values()]), np.float32
    )


def _of_flattest(deviations: Map, flattest: float) -> float:
    """Return σ of the noise of blocks, N, as the flattest show it: all of them, or only their quiet windows
    if strokes cross the rest.

    deviations  3×N: σ of the noise, of all of each block's fine detail, and of its quiet window
    """
    sigma, whole, quiet = deviations
    noise = float(np.quantile(sigma, flattest))
    those = np.argsort(sigma)[: max(FEWEST, round(FLATTEST_JPEG * len(sigma)))]
    if noise <= SURELY_CLEAN or np.median(quiet[those] / np.maximum(whole[those], 1e-6)) >= EVEN:
        return noise
    return min(noise, float(np.median(quiet[those])) / USUAL)


def _coarse(energies: Map) -> float:
    """Return the ratio of noise to its finest part in plain blocks."""
    if not energies.size:
        return 1.0
    fine, finest = np.quantile(energies[1:3], PLAINEST, axis=1)
    return float(np.sqrt(fine / max(finest, 1e-12)))


def _sigmas(energies: Map) -> tuple[Map, Map]:
    """Return brightness and σ of the noise of blocks, as far as it can be noise.

    energies  6×N, as `_energies` returns them
    """
    light, fine, finest, colour, finest_colour, _ = energies
    if not energies.size:
        return light, fine
    noise = np.minimum(fine, REDDER**2 * finest)
    low, low_finest, low_all = (
        max(1e-12, float(np.quantile(e, 0.05))) for e in (colour, finest_colour, fine)
    )
    coarse = max(1.0, low / low_finest)
    certain = np.minimum(np.minimum(fine, APART**2 * colour), APART**2 * coarse * finest)
    trust = smoothstep((np.sqrt(low / low_all) - IN_COLOUR[0]) / (IN_COLOUR[1] - IN_COLOUR[0]))
    return light, np.sqrt(noise + trust * (certain - noise))


def _energies(square: Picture) -> Map:
    """Return what tells about noise in the blocks of a picture, without those that are clipped: 6×N.

    These are brightness, the variances of fine and of the finest detail, what both have in the two
    colours in which they vary least: texture varies along one colour, independent noise along all alike;
    and the variance of a quiet window, between strokes.
    """
    fine: Picture = square - cv2.GaussianBlur(square, (0, 0), COARSE, borderType=cv2.BORDER_REFLECT)
    finest = np.asarray(cv2.filter2D(square, -1, FINEST, borderType=cv2.BORDER_REFLECT), np.float32)
    clipped = ((square < CLIPPED) | (square > 1 - CLIPPED)).any(axis=2)
    lost = _blocks(np.asarray(clipped, np.float32)[..., None]).mean(axis=(1, 2))
    if not len(lost):  # smaller than a block
        return np.empty((6, 0), np.float32)
    kept = lost <= max(MOSTLY, float(np.quantile(lost, 0.5)))  # in the dark, noise itself clips
    blocks = _blocks(square)
    light = blocks.mean(axis=(1, 2))
    variances = [_variances(_blocks(detail)) for detail in (fine, finest)]
    (all_fine, fine_colours), (all_finest, finest_colours) = variances
    every = [light, all_fine, all_finest, fine_colours, finest_colours, _quiet(blocks)]
    return np.stack(every)[:, kept]


def _quiet(blocks: NDArray[np.float32]) -> Map:
    """Return the variance of the QUIET-th quietest window of blocks, N×pixels×3.

    Where noise was enlarged without smoothing, windows are constant, but each at another level. So it is at
    least the variance between the nearest two of the three quietest; of two colours alone, two are alike.
    """
    across = BLOCK // PANE
    windows = blocks.reshape(-1, across, PANE, across, PANE, 3).swapaxes(2, 3)
    windows = windows.reshape(-1, across * across, PANE * PANE, 3)
    variances = windows.var(axis=2).mean(axis=2)
    order = np.argsort(variances, axis=1, kind="stable")[:, :3]
    quietest = np.take_along_axis(windows.mean(axis=2), order[..., None], axis=1)
    apart = ((quietest - np.roll(quietest, 1, axis=1)) ** 2).mean(axis=2).min(axis=1) / 2
    within = np.take_along_axis(variances, order[:, QUIET - 1 : QUIET], axis=1)[:, 0]
    return np.asarray(np.maximum(within, apart), np.float32)


def _variances(blocks: NDArray[np.float32]) -> tuple[Map, Map]:
    """Return the mean variance of blocks, N×pixels×3, over all colours, and over the two that vary least."""
    covariances = blocks.transpose(0, 2, 1) @ blocks / blocks.shape[1]
    along = np.maximum(np.linalg.eigvalsh(covariances), 0)
    return along.mean(axis=1), along[:, :2].mean(axis=1)


def _grey(picture: Picture) -> Map:
    """Return the mean over the channels, H×W."""
    return np.asarray(cv2.transform(picture, THIRD), np.float32)


def _blocks(picture: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the blocks of a picture, N×pixels×channels."""
    rows, columns = (length // BLOCK for length in picture.shape[:2])
    cut = picture[: rows * BLOCK, : columns * BLOCK].reshape(rows, BLOCK, columns, BLOCK, picture.shape[2])
    blocks = cut.swapaxes(1, 2).reshape(rows * columns, BLOCK * BLOCK, picture.shape[2])
    return np.asarray(blocks, np.float32)


def _jpeg(squares: list[Picture]) -> float:
    """Return the RMS of the error of JPEG compression, from the steps of the brightness's DCT coefficients.

    As in Z. Fan and R. de Queiroz, "Identification of bitmap compression history: JPEG detection and
    quantizer estimation", 2003. The blocks must begin at the photo's corner, as in a photo that was neither
    cropped nor resized since.
    """
    blocks = np.concatenate([_dct(255 * square) for square in squares])
    steps = [step for step in parallel(_step, [blocks[:, y, x] for y, x in FREQUENCIES]) if step]
    if 2 * len(steps) < len(FREQUENCIES):
        return 0.0
    return float(np.median(steps) / np.sqrt(12) / 255)


def _step(coefficients: NDArray[np.float32]) -> int:
    """Return the largest step of which most coefficients are multiples, 0 if there is none."""
    best = 0
    for step in STEPS:
        large = coefficients[np.abs(coefficients) > step / 2]
        if len(large) >= COEFFICIENTS and np.cos(2 * np.pi * large / step).mean() > SURE:
            best = int(step)
    return best


def _dct(square: Picture) -> NDArray[np.float32]:
    """Return the DCT of the 8×8 blocks of a picture's luma, N×8×8."""
    luma = np.asarray(cv2.cvtColor(square, cv2.COLOR_RGB2GRAY), np.float32)
    rows, columns = (length // 8 for length in luma.shape)
    blocks = (
        luma[: rows * 8, : columns * 8].reshape(rows, 8, columns, 8).transpose(0, 2, 1, 3).reshape(-1, 8, 8)
    )
    basis = cv2.dct(np.eye(8, dtype=np.float32), flags=cv2.DCT_ROWS).T
    return np.asarray(basis @ blocks @ basis.T, np.float32)
