"""The whole path, held open: a photo goes in, the photo with its faces restored comes out."""

from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from base.errors import SettingsError
from base.parallel import for_each
from engines.builder import Watch
from engines.package import Package, open_package
from runtime.face_warnings import face_warnings, is_tiny, not_parsed
from runtime.faces.align import AlignedFace, Pixels, align, scaled
from runtime.faces.detect import Detector, open_detector
from runtime.faces.face import Face
from runtime.faces.no_information import Missing, fill_missing, find_missing, keep_missing
from runtime.faces.parsing import Parser, open_parser
from runtime.faces.regions import Map, crop_landmarks, region_weights
from runtime.finish.compose import HandBack, Patch, face_noise
from runtime.finish.fine_detail import WHOLE, Above, Bands, enlarged_noise, find_above
from runtime.finish.grain import face_grain
from runtime.finish.paste import paste_all
from runtime.finish.scratches import mended_face
from runtime.network.backends import Backend, BackendName, Provider, open_backend
from runtime.network.implausible_colours import colours_are_far
from runtime.network.loop import LoopResult, restore_crops
from runtime.network.monochrome import find_tonings, in_grey, is_grey, put_back
from runtime.network.schedule import epsilon_of, kappa, progress
from runtime.network.tone import Tone
from runtime.network.view import View, published_view, view_of
from runtime.photo.array_check import check_pixels
from runtime.result import FaceResult, RestoreResult
from runtime.settings.per_face import ByFace, check_by_face, in_common_batches
from runtime.settings.settings import RestoreSettings
from runtime.timing import timed


class Restorer:
    """A model package and a face detector, open for any number of photos."""

    def __init__(
        self, package: Package, backend: Backend, detector: Detector, parser: Parser | None = None
    ) -> None:
        self.package = package
        self.backend = backend
        self.detector = detector
        self.parser = parser
        self.epsilon = epsilon_of(package)
        """The pass threshold ε, which decides how many passes of the network a face takes."""

    @classmethod
    def open(
        cls,
        package: str | Path | None = None,
        backend: BackendName = "auto",
        *,
        device: str | None = None,
        provider: Provider | None = None,
        detector: Path | None = None,
        threads: int | None = None,
        watch: Watch | None = None,
    ) -> "Restorer":
        """Open a package for work.

        package   folder, or name of a bundled package; None is the bundled default
        backend   what runs the networks; `auto` picks the fastest that is there
        device    `cpu` or `cuda:N`; None is the first CUDA device where the backend can use one
        provider  what ONNX Runtime uses on a GPU; None is `cuda`
        detector  a YuNet .onnx file; None is the bundled CenterFace
        threads   of the CPU for the networks; None is one per core
        watch     told how TensorRT engines are built, which takes minutes where there are none yet

        Raises PackageError, BackendError, EngineError and SettingsError.
        """
        opened = open_package(package)
        networks = open_backend(
            backend, opened, device=device, provider=provider, threads=threads, watch=watch
        )
        return cls(opened, networks, open_detector(detector), open_parser(opened, threads=threads))

    def detect(self, photo: Pixels) -> tuple[Face, ...]:
        """Find the faces of a photo, H×W×3 uint8 or uint16 RGB; the largest comes first.

        Raises PixelsError for anything else.
        """
        check_pixels(photo)
        return self.detector.detect(_eight_bit(photo))

    def restore(
        self,
        photo: Pixels,
        settings: RestoreSettings | None = None,
        by_face: ByFace | None = None,
        *,
        found: tuple[Face, ...] | None = None,
    ) -> RestoreResult:
        """Restore the faces of a photo; what is not a face stays bit for bit.

        photo     H×W×3 uint8 or uint16 RGB, upright; not changed
        settings  of all faces
        by_face   of single faces, in their place: by index, 0 the largest; None leaves a face out, and one
                  that the photo has not is passed over
        found     the photo's faces, where `detect` has found them already

        Raises PixelsError when the photo is anything else, SettingsError when the settings ask for a face
        that is not there, or those of a face differ in what concerns the whole photo.
        """
        check_pixels(photo)
        settings, by_face = settings or RestoreSettings(), by_face or {}
        check_by_face(settings, by_face)
        timings: dict[str, float] = {}
        with timed(timings, "detect"):
            found = self.detect(photo) if found is None else found
            wanted = choose(found, settings, by_face)
        with timed(timings, "align"):
            size = self.package.manifest.size
            template = settings.template or self.package.manifest.template
            aligned = for_each(wanted, lambda i: align(photo, found[i], size, template))
        if self.parser:
            with timed(timings, "parsing"):
                aligned = {i: replace(face, parsed=self.parser.parse(face)) for i, face in aligned.items()}
        with timed(timings, "regions"):
            rho = for_each(wanted, lambda i: region_weights(aligned[i], wanted[i].face_mask_weights))
            missing = for_each(wanted, lambda i: find_missing(aligned[i], found[:i] + found[i + 1 :]))
        with timed(timings, "tone"):
            tonings = find_tonings(photo, aligned)
            given, photo = photo, in_grey(photo, aligned, tonings)
            own = {
                i: replace(face, crop=tonings[i].grey(face.crop)) if i in tonings else face
                for i, face in aligned.items()
            }
        seen, patches = dict(own), dict[int, Patch | None]()
        scratched = [i for i in wanted if wanted[i].soften_scratches]
        if scratched:
            with timed(timings, "scratches"):
                for i, mended in for_each(scratched, lambda i: mended_face(photo, own[i])).items():
                    seen[i], patches[i] = mended
        holes = {i: hole for i, hole in missing.items() if hole and wanted[i].fill_missing}
        for i, hole in holes.items():
            seen[i] = replace(seen[i], crop=fill_missing(seen[i].crop, hole))
        with timed(timings, "network"):
            views = for_each(wanted, lambda i: view_of(seen[i], wanted[i], grey=i in tonings))
            for i in tonings:
                if views[i].published and not patches.get(i):
                    crop = aligned[i].crop
                    views[i] = published_view(
                        fill_missing(crop, holes[i]) if i in holes else crop, tonings[i]
                    )
            loops = self._restore({i: view.shown for i, view in views.items()}, rho, wanted)
            restored = {i: views[i].restored(loop.restored) for i, loop in loops.items()}
        far = {i for i, loop in loops.items() if _are_far(seen[i], views[i], loop)}
        with timed(timings, "paste"):
            pasted = _enlarged(photo, settings.upscale)
            placed = {i: scaled(seen[i], settings.upscale) for i in loops}
            above = for_each(loops, lambda i: find_above(photo, own[i], views[i].tone.gain))
            kept = for_each(
                loops,
                lambda i: _hand_back(
                    photo,
                    seen[i],
                    views[i].tone,
                    rho[i],
                    loops[i],
                    wanted[i],
                    patches.get(i),
                    missing[i],
                    above[i],
                ),
            )
            paste_all(pasted, [(placed[i], restored[i]) for i in loops], kept.values())
            if tonings:
                originals = (_enlarged(whole, settings.upscale) for whole in (photo, given))
                pasted = put_back(pasted, lambda: (next(originals), next(originals)), placed, tonings)
        loops = {
            i: loop if views[i].published else replace(loop, restored=restored[i])
            for i, loop in loops.items()
        }
        faces = tuple(
            self._face_result(
                face,
                aligned.get(i),
                loops.get(i),
                missing.get(i),
                above.get(i),
                wanted.get(i, settings),
                far=i in far,
            )
            for i, face in enumerate(found)
        )
        return RestoreResult(pasted, faces, timings, settings)

    def close(self) -> None:
        """Give back the networks' memory."""
        self.backend.close()
        self.parser = None

    def _restore(
        self, crops: dict[int, NDArray[np.float32]], rho: dict[int, Map], wanted: dict[int, RestoreSettings]
    ) -> dict[int, LoopResult]:
        """Return what the loop makes of each face, in the order of the faces."""
        loops: dict[int, LoopResult] = {}
        for group in in_common_batches(wanted):
            together = np.stack([crops[i] for i in group]), np.stack([rho[i] for i in group])
            results = restore_crops(self.backend, *together, wanted[group[0]], epsilon=self.epsilon)
            loops |= zip(group, results, strict=True)
        return {i: loops[i] for i in crops}

    def _face_result(
        self,
        face: Face,
        aligned: AlignedFace | None,
        loop: LoopResult | None,
        missing: Missing | None,
        above: Above | None,
        settings: RestoreSettings,
        *,
        far: bool,
    ) -> FaceResult:
        done = settings.strength * progress(settings.latent_step_decay, loop.steps) if loop else 0.0
        warnings = face_warnings(
            face,
            loop,
            settings,
            missing=missing,
            above=above,
            far=far,
            epsilon=self.epsilon,
        )
        if self.parser and aligned and not aligned.parsed:
            warnings = (*warnings, not_parsed())
        return FaceResult(face, aligned, loop, done, warnings)

    def __enter__(self) -> "Restorer":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def choose(found: tuple[Face, ...], settings: RestoreSettings, by_face: ByFace) -> dict[int, RestoreSettings]:
    """Return the indices of the faces to restore, each with its settings; of strength 0 none is restored.

    Raises SettingsError when the settings ask for a face that is not there.
    """
    if settings.face == "all":
        wanted = tuple(range(len(found)))
    elif settings.face == "largest":
        wanted = (0,) if found else ()
    else:
        wanted = settings.face
        missing = next((i for i in wanted if i >= len(found)), None)
        if missing is not None:
            there = f"its faces are 0 to {len(found) - 1}" if found else "it has no face"
            raise SettingsError(f"the photo has no face {missing}: {there}")
    chosen = {i: by_face.get(i, settings) for i in wanted}
    return {i: own for i, own in chosen.items() if own and own.strength > 0 and not is_tiny(found[i])}


def _hand_back(
    photo: Pixels,
    aligned: AlignedFace,
    tone: Tone,
    rho: Map,
    loop: LoopResult,
    settings: RestoreSettings,
    mended: Patch | None,
    missing: Missing | None,
    above: Above | None,
) -> HandBack | None:
    """Return what the face gets back of its photo; None for nothing, as with one full-strength pass."""
    fill = missing.fillable if missing and settings.fill_missing else None
    left = keep_missing(kappa(settings.latent_step_decay, rho, loop.steps), missing, filled=fill is not None)
    finish = (settings.grain, settings.desaturate_fringes, settings.clamp_ringing, settings.multiscale_blend)
    if not (left.any() or above or fill is not None or any(finish) or settings.strength < 1):
        return None
    return HandBack(
        left,
        0.0 if settings.grain else face_noise(photo, aligned, tone.gain),
        grain=face_grain(photo, aligned, settings.upscale, tone.gain) if settings.grain else None,
        mended=mended.enlarged(settings.upscale) if mended else None,
        filled=fill,
        fringes=settings.desaturate_fringes,
        ringing=settings.clamp_ringing,
        gain=tone.gain,
        multiscale=settings.multiscale_blend,
        above=_noise_above(above, settings) if above else None,
        strength=settings.strength,
    )


def _noise_above(above: Above, settings: RestoreSettings) -> Bands:
    """Return the noise that is held back above the crop's resolution: none of it where grain is kept."""
    return WHOLE if settings.grain else enlarged_noise(above.noise, settings.upscale)


def _are_far(face: AlignedFace, view: View, loop: LoopResult) -> bool:
    return colours_are_far(view.shown, loop.restored, crop_landmarks(face))


def _eight_bit(photo: Pixels) -> NDArray[np.uint8]:
    return np.asarray(photo if photo.dtype == np.uint8 else photo // 257, np.uint8)


def _enlarged(photo: Pixels, factor: int) -> Pixels:
    """Return a copy that may be written to, enlarged by Lanczos resampling."""
    if factor == 1:
        return cast(Pixels, photo.copy())
    height, width = photo.shape[:2]
    size = (width * factor, height * factor)
    if is_grey(photo):  # in one channel: of three, floating-point sums might differ
        grey = cv2.resize(photo[..., 0], size, interpolation=cv2.INTER_LANCZOS4)
        return cast(Pixels, cv2.merge([grey] * 3))
    return cast(Pixels, cv2.resize(photo, size, interpolation=cv2.INTER_LANCZOS4))
