"""The stages of one face: cut out, prepared for the network, restored, handed back."""

from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np
from numpy.typing import NDArray

from runtime.faces.align import AlignedFace, scaled
from runtime.faces.face import Face
from runtime.faces.grain import face_grain
from runtime.faces.no_information import Missing, fill_missing, find_missing, keep_missing, left_alone
from runtime.faces.noise import black_where, face_noise
from runtime.faces.regions import crop_landmarks
from runtime.finish.drawn_over import Covered, find_covered
from runtime.finish.fine_detail import WHOLE, Above, Bands, enlarged_noise, find_above
from runtime.finish.hand_back import HandBack
from runtime.finish.legible import WITHOUT_MESH, share_made_out
from runtime.finish.lines import Lines, find_lines
from runtime.finish.patch import Patch
from runtime.finish.rounding import Level, rounding_of
from runtime.finish.sharp_things import find_sharp, without_own
from runtime.finish.slight_noise import SlightNoise, slight_noise
from runtime.finish.trust import Evidence
from runtime.network.eyes import both_open, smallness, with_new_eyes
from runtime.network.implausible_colours import colours_are_far
from runtime.network.loop import LoopResult
from runtime.network.monochrome import Toning
from runtime.network.schedule import kappa
from runtime.network.view import View, published_view, view_of
from runtime.pixels import Crop, Map, Pixels
from runtime.rest.clean_faces import Cleaning
from runtime.settings.settings import NewEyes, RestoreSettings


@dataclass(frozen=True, eq=False)
class CutFace:
    """A face cut out of its photo. The template is the only setting that it depends on."""

    aligned: AlignedFace
    """In the photo's own colours; parsed, if the package has a face-parsing network."""
    others: tuple[Face, ...]
    """The photo's other faces."""
    toning: Toning | None = None
    """The curve on which its colours lie; None for a face in colour."""
    recognised: bool = True
    """Whether a mesh fits it, if one was sought."""

    @cached_property
    def missing(self) -> Missing | None:
        """Areas without information, if there are any."""
        return find_missing(self.aligned, self.others)

    @cached_property
    def own(self) -> AlignedFace:
        """The aligned face, in grey if it is monochrome."""
        return (
            replace(self.aligned, crop=self.toning.grey(self.aligned.crop)) if self.toning else self.aligned
        )


@dataclass(frozen=True, eq=False)
class SeenFace:
    """A face as the network sees it, and everything measured before."""

    cut: CutFace
    photo: Pixels
    """The whole photo, its monochrome faces in grey."""
    aligned: AlignedFace
    """The face after repairing scratches and holes as the settings request; in grey if it is monochrome."""
    mended: Patch | None
    """The piece of the photo whose scratches were softened."""
    filled: Map | None
    """S×S: where holes were filled; None if that was not requested."""
    view: View
    shows_no_blocks: bool
    """Whether the network saw the face without its JPEG blocks, its only damage."""

    @cached_property
    def above(self) -> Above | None:
        """The photo's detail above the crop's resolution."""
        return find_above(self.photo, self.cut.own, self.view.tone.gain)

    @cached_property
    def noise(self) -> NDArray[np.float32]:
        """Standard deviation of the photo's noise in each colour channel, 3, in units of full scale."""
        return face_noise(*self._measured, self.view.tone.gain)

    @cached_property
    def sharp(self) -> Map | None:
        """What is sharp before or in the blurred face, S×S in [0, 1]; None for nothing."""
        return find_sharp(self.aligned, self.noise, self._hole)

    @cached_property
    def things(self) -> Map | None:
        """What is sharp before the blurred face and no part of it, S×S in [0, 1]; None for nothing."""
        return None if self.sharp is None else without_own(self.sharp, self.aligned)

    def with_new_eyes(self, loop: LoopResult, wanted: NewEyes) -> LoopResult:
        """Return the network's output with new eyes; unchanged if the photo shows them, if they are not both
        open and visible, or if the face is not among those that are wanted.
        """
        share = {"never": 0.0, "small": smallness(self.aligned.scale), "blurred": 1.0}[wanted]
        if share == 0 or not both_open(self.aligned, self._hole):
            return loop
        share *= 1 - self.evidence.shows_all(self._own(loop.restored))
        if share == 0:
            return loop
        return replace(loop, restored=with_new_eyes(self.view.shown, loop.restored, share), new_eyes=share)

    def in_own_tone(self, made: Crop) -> tuple[Crop, Crop, float]:
        """Return the network's output in the photo's own tone, in grey if the face is monochrome: without its
        errors in an undamaged face, and also made to agree with the photo; and the degree to which noise is
        the face's only damage.

        How sharp the face is, is measured once, on the network's own output: each correction changes the
        measure.
        """
        own, evidence = self._own(made), self.evidence
        sharp = evidence.sharp(own)
        noise_alone = evidence.noise_alone(sharp)
        drawn = evidence.trusted(own, noise_alone)
        return drawn, evidence.agreeing(drawn, sharp, noise_alone), noise_alone

    def _own(self, made: Crop) -> Crop:
        """Return the network's output in the photo's own tone, with the pixels of what covers the face."""
        own = self.view.restored(made)
        return own if self._cover is None else own + self._cover[..., None] * (self.aligned.crop - own)

    @cached_property
    def evidence(self) -> Evidence:
        """What the photo shows of the face's damage."""
        gain, free = self.view.tone.gain, self.shows_no_blocks
        return Evidence(*self._measured, gain, self.view.begun_in_grey, free, self._before)

    def grain(self, upscale: int) -> Bands:
        """Return the photo's grain in each wavelet band and channel, enlarged by a factor."""
        return face_grain(*self._measured, upscale, self.view.tone.gain)

    @property
    def _cover(self) -> Map | None:
        """What covers the face and is kept, S×S; None for nothing.

        Its texture, as of a knitted scarf, is neither the photo's noise nor a sign of the face's sharpness.
        """
        missing = self.cut.missing
        return missing.cover if missing and self.filled is None and not self.view.published else None

    @property
    def _hole(self) -> Map | None:
        """Where the photo holds no information about the face, S×S in [0, 1]; None for nowhere."""
        return self.cut.missing.hole if self.cut.missing else None

    @property
    def _before(self) -> Map | None:
        """What is before the face and thus no sign of its sharpness, S×S; None for nothing."""
        cover, things = self._cover, self.things
        if cover is None or things is None:
            return things if cover is None else cover
        return np.maximum(cover, things)

    @cached_property
    def _measured(self) -> tuple[Pixels, AlignedFace]:
        """The photo and the face in which noise is measured: without what covers the face."""
        if self._cover is None:
            return self.photo, self.aligned
        return black_where(self._cover, self.photo, self.aligned)


def see(
    cut: CutFace,
    photo: Pixels,
    settings: RestoreSettings,
    mended: tuple[AlignedFace, Patch | None] | None,
    cleaning: Cleaning | None,
) -> SeenFace:
    """Return a face as the network should see it.

    photo     the photo with its monochrome faces in grey
    mended    the result of `mended_face`, if scratches are softened
    cleaning  what frees the crop of noise and JPEG damage; None for nothing
    """
    aligned, patch = mended or (cut.own, None)
    hole = cut.missing if settings.fill_missing else None
    if hole:
        aligned = replace(aligned, crop=fill_missing(aligned.crop, hole))
    cleaned = np.clip(aligned.crop + cleaning.change, 0, 1) if cleaning else None
    cover = cut.missing.cover if cut.missing and not hole else None
    as_seen = partial(view_of, aligned, settings, grey=cut.toning is not None, cleaned=cleaned, cover=cover)
    view = as_seen()
    if cut.toning and view.published and not patch:  # the published pass sees a toned face in its colours
        crop = cut.aligned.crop
        view = published_view(fill_missing(crop, hole) if hole else crop, cut.toning)
    seen = SeenFace(
        cut,
        photo,
        aligned,
        patch,
        hole.fillable if hole else None,
        view,
        bool(cleaning and cleaning.is_whole),
    )
    if view.published or seen.things is None:
        return seen
    return replace(seen, view=as_seen(sharp=seen.things))


@dataclass(frozen=True, eq=False)
class FaceWork:
    """Everything known about one face after the network has restored it."""

    seen: SeenFace
    settings: RestoreSettings
    """Of this face."""
    rho: Map
    """ρ, the region weights."""
    loop: LoopResult
    """The network's output, in the tone of its input."""
    drawn: Crop
    """The network's output in the photo's own tone; in grey if the face is monochrome."""
    restored: Crop
    """The same, made to agree with the photo."""
    noise_alone: float
    """The degree to which noise is the face's only damage."""

    @property
    def result(self) -> LoopResult:
        """The network's output, in the photo's own tone unless it was the published pass."""
        return self.loop if self.seen.view.published else replace(self.loop, restored=self.restored)

    @property
    def placed(self) -> AlignedFace:
        """The face in the coordinates of the enlarged photo."""
        return scaled(self.seen.aligned, self.settings.upscale)

    @cached_property
    def mended(self) -> Patch | None:
        """The piece of the enlarged photo whose scratches were softened."""
        return self.seen.mended.enlarged(self.settings.upscale) if self.seen.mended else None

    @cached_property
    def covered(self) -> Covered | None:
        """What lies in front of the face and would be drawn over."""
        missing = self.seen.cut.missing
        return find_covered(self.seen.aligned, self.drawn, self.seen.noise, missing.hole if missing else None)

    @cached_property
    def _slight_noise(self) -> SlightNoise | None:
        """Noise of the photo that partly stays; the published pass keeps only noise above its crop."""
        seen, published = self.seen, self.seen.view.published
        if self.settings.grain or (published and not seen.above):
            return None
        trust = 1.0 if published else self.noise_alone
        return slight_noise(seen.noise, seen.view.tone.gain, trust, self.settings.upscale, above=published)

    @cached_property
    def _lines(self) -> Lines | None:
        """Lines that the network removed with noise; the published pass keeps none."""
        seen = self.seen
        if self.settings.grain or seen.view.published or not seen.noise.any():
            return None
        removed = seen.evidence.removed(self.restored)
        return find_lines(removed, seen.noise, self.noise_alone, self.settings.upscale)

    @cached_property
    def rounding(self) -> Level | None:
        """The photo's rounding, if it limits the face's detail; None if noise hides it, or blur limits it."""
        seen = self.seen
        if seen.view.published:
            return None
        return rounding_of(seen.photo.dtype, seen.noise, seen.evidence.to_studio, self.noise_alone)

    @cached_property
    def made_out(self) -> float:
        """How much of the face can be made out: 0 for one that the network only guesses."""
        if self._is_certain:
            return 1.0
        aligned = self.seen.aligned
        return share_made_out(aligned.crop, self.restored, aligned.face.score)

    @property
    def believed(self) -> float:
        """The share of the network's output that is believed."""
        return self.made_out if self._is_certain else WITHOUT_MESH * self.made_out

    @property
    def _is_certain(self) -> bool:
        return self.seen.cut.recognised or self.seen.view.published

    @property
    def colours_are_far(self) -> bool:
        """Whether the network's colours are far from the photo's."""
        return colours_are_far(self.seen.view.shown, self.loop.restored, crop_landmarks(self.seen.aligned))

    def hand_back(self, share: Map | None) -> HandBack | None:
        """Return how much of the photo is handed back; None for nothing, as after one full-strength pass.

        share  the share of the restoration at which each pixel of the crop stops, S×S; None is all of it
        """
        seen, settings = self.seen, self.settings
        left = keep_missing(
            kappa(settings.latent_step_decay, self.rho, self.loop.steps),
            seen.cut.missing,
            filled=seen.filled is not None,
        )
        if self.covered:
            left = left_alone(left, self.covered.area)
        if seen.sharp is not None:
            left = left_alone(left, seen.sharp)
        if self.believed < 1:
            left = left_alone(left, np.full_like(left, 1 - self.believed))
        finish = settings.steps or settings.grain or settings.multiscale_blend or settings.strength < 1
        if not (left.any() or seen.above or seen.filled is not None or finish or share is not None):
            return None
        return HandBack(
            left,
            0.0 if settings.grain else seen.noise,
            grain=seen.grain(settings.upscale) if settings.grain else None,
            mended=self.mended,
            filled=seen.filled,
            gain=seen.view.tone.gain,
            offset=seen.view.tone.offset,
            steps=settings.steps,
            multiscale=settings.multiscale_blend,
            above=_noise_above(seen.above, settings) if seen.above else None,
            slight=self._slight_noise,
            lines=self._lines,
            strength=settings.strength,
            share=share,
        )


def _noise_above(above: Above, settings: RestoreSettings) -> Bands:
    """Return the noise that fine detail is handed back without; 0 if grain is kept."""
    return WHOLE if settings.grain else enlarged_noise(above.noise, settings.upscale)
