"""The whole path, held open: a photo goes in, the photo with its faces restored comes out."""

from pathlib import Path
from types import TracebackType
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.errors import SettingsError
from engines.package import Package, open_package
from runtime.align import AlignedFace, Pixels, align, scaled
from runtime.backends import Backend, BackendName, open_backend
from runtime.compose import HandBack, face_noise
from runtime.detect import Detector, open_detector
from runtime.domain import open_domain
from runtime.faces import Face
from runtime.loop import LoopResult, restore_crops
from runtime.missing import Missing, fill_missing, find_missing, without_missing
from runtime.paste import paste_all
from runtime.regions import Map, region_weights
from runtime.result import FaceResult, RestoreResult
from runtime.schedule import kappa, progress
from runtime.settings import RestoreSettings
from runtime.timing import timed
from runtime.warnings import face_warnings, is_tiny


class Restorer:
    """A model package and a face detector, open for any number of photos."""

    def __init__(self, package: Package, backend: Backend, detector: Detector) -> None:
        self.package = package
        self.backend = backend
        self.detector = detector
        self.domain = open_domain(package)

    @classmethod
    def open(
        cls,
        package: str | Path | None = None,
        backend: BackendName = "auto",
        *,
        detector: Path | None = None,
        threads: int | None = None,
    ) -> "Restorer":
        """Open a package for work.

        package   folder, or name of a bundled package; None is the bundled default
        backend   what runs the networks; `auto` picks the fastest that is there
        detector  a YuNet .onnx file; None is the bundled CenterFace
        threads   of the CPU for the networks; None is one per core

        Raises PackageError, BackendError and SettingsError.
        """
        opened = open_package(package)
        return cls(opened, open_backend(backend, opened, threads=threads), open_detector(detector))

    def restore(self, photo: Pixels, settings: RestoreSettings | None = None) -> RestoreResult:
        """Restore the faces of a photo; what is not a face stays bit for bit.

        photo  H×W×3 uint8 or uint16 RGB, upright; not changed

        Raises SettingsError when the settings ask for a face that is not there.
        """
        settings = settings or RestoreSettings()
        timings: dict[str, float] = {}
        with timed(timings, "detect"):
            found = self.detector.detect(_eight_bit(photo))
            chosen = _choose(found, settings)
        with timed(timings, "align"):
            size = self.package.manifest.size
            aligned = {i: align(photo, found[i], size, settings.template) for i in chosen}
        with timed(timings, "regions"):
            rho = {i: region_weights(face, settings.face_mask_weights) for i, face in aligned.items()}
            missing = {i: find_missing(face) for i, face in aligned.items()}
        with timed(timings, "network"):
            loops = self._restore(aligned, rho, missing, settings)
        with timed(timings, "paste"):
            pasted = _enlarged(photo, settings.upscale)
            placed = [(scaled(aligned[i], settings.upscale), loop.restored) for i, loop in loops.items()]
            kept = [
                _hand_back(photo, aligned[i], rho[i], loop, missing[i], settings) for i, loop in loops.items()
            ]
            paste_all(pasted, placed, kept)
        faces = tuple(
            self._face_result(face, aligned.get(i), loops.get(i), missing.get(i), settings)
            for i, face in enumerate(found)
        )
        return RestoreResult(pasted, faces, timings, settings)

    def close(self) -> None:
        """Give back the networks' memory."""
        self.backend.close()

    def _restore(
        self,
        aligned: dict[int, AlignedFace],
        rho: dict[int, Map],
        missing: dict[int, Missing | None],
        settings: RestoreSettings,
    ) -> dict[int, LoopResult]:
        if not aligned:
            return {}
        crops = np.stack([fill_missing(face.crop, missing[i]) for i, face in aligned.items()])
        loops = restore_crops(self.backend, crops, np.stack(list(rho.values())), settings)
        return dict(zip(aligned, loops, strict=True))

    def _face_result(
        self,
        face: Face,
        aligned: AlignedFace | None,
        loop: LoopResult | None,
        missing: Missing | None,
        settings: RestoreSettings,
    ) -> FaceResult:
        done = progress(settings.latent_step_decay, loop.steps) if loop else 0.0
        warnings = face_warnings(face, loop, settings, missing=missing, domain=self.domain)
        return FaceResult(face, aligned, loop, done, warnings)

    def __enter__(self) -> "Restorer":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _choose(found: tuple[Face, ...], settings: RestoreSettings) -> list[int]:
    """Return the indices of the faces to restore."""
    if settings.faces == "all":
        wanted = tuple(range(len(found)))
    elif settings.faces == "largest":
        wanted = (0,) if found else ()
    else:
        wanted = settings.faces
        missing = next((i for i in wanted if i >= len(found)), None)
        if missing is not None:
            there = f"its faces are 0 to {len(found) - 1}" if found else "it has no face"
            raise SettingsError(f"the photo has no face {missing}: {there}")
    return [i for i in dict.fromkeys(wanted) if not is_tiny(found[i])]


def _hand_back(
    photo: Pixels,
    aligned: AlignedFace,
    rho: Map,
    loop: LoopResult,
    missing: Missing | None,
    settings: RestoreSettings,
) -> HandBack | None:
    """Return what the face gets back of its photo; None for nothing, as with one full-strength pass."""
    left = without_missing(kappa(settings.latent_step_decay, rho, loop.steps), rho, missing)
    if not left.any():
        return None
    return HandBack(left, 0.0 if settings.grain else face_noise(photo, aligned))


def _eight_bit(photo: Pixels) -> NDArray[np.uint8]:
    return np.asarray(photo if photo.dtype == np.uint8 else photo // 257, np.uint8)


def _enlarged(photo: Pixels, factor: int) -> Pixels:
    """Return a copy that may be written to, enlarged by Lanczos resampling."""
    if factor == 1:
        return cast(Pixels, photo.copy())
    height, width = photo.shape[:2]
    enlarged = cv2.resize(photo, (width * factor, height * factor), interpolation=cv2.INTER_LANCZOS4)
    return cast(Pixels, enlarged)
