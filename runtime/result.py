"""The result of a restoration."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from runtime.face_warnings import FaceWarning
from runtime.faces.align import AlignedFace
from runtime.faces.face import Face
from runtime.identity import Identity
from runtime.network.loop import LoopResult
from runtime.settings.settings import RestoreSettings


@dataclass(frozen=True, eq=False, repr=False)
class FaceResult:
    """The result for one face of the photo."""

    face: Face
    aligned: AlignedFace | None
    """The face as it was cut out; None if it was left alone."""
    loop: LoopResult | None
    """The network's output for it and the number of passes; None if the face was left alone."""
    progress: float
    """Share of the way from the photo to the network's output, from 0 to 1."""
    warnings: tuple[FaceWarning, ...]
    identity: Identity | None = None
    """Whether it is still the same person; None if that was not measured, or the face was left alone."""
    choice: str = ""
    """Why the rules of `face` leave it alone or restore it less; empty if they do not."""
    page: int = 1
    """The page of a TIFF that the face is on."""

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Return x0, y0, x1, y1 in pixels of the original photo."""
        return self.face.box

    def __repr__(self) -> str:
        x0, y0, x1, y1 = (round(side) for side in self.box)
        done = f"{self.progress:.0%} restored" if self.loop else "left alone"
        codes = "".join(f", {warning.code}" for warning in self.warnings)
        return f"<FaceResult {x1 - x0}×{y1 - y0} at ({x0}, {y0}), {done}{codes}>"


@dataclass(frozen=True, eq=False, repr=False)
class RestoreResult:
    """A restored photo, with details of its restoration."""

    photo: NDArray[np.uint8] | NDArray[np.uint16]
    """H×W×3, of the input's dtype; enlarged by the upscaling factor."""
    faces: tuple[FaceResult, ...]
    """All faces found, the largest first."""
    timings: dict[str, float]
    """Milliseconds of each stage, see `runtime.timing.Stage`."""
    settings: RestoreSettings
    pages: tuple["RestoreResult", ...] = ()
    """The results for further pages of a TIFF."""

    @property
    def every_face(self) -> tuple[FaceResult, ...]:
        """The faces of all pages."""
        return self.faces + tuple(face for page in self.pages for face in page.faces)

    def __repr__(self) -> str:
        height, width = self.photo.shape[:2]
        pages = f", {len(self.pages)} further pages" if self.pages else ""
        milliseconds = sum(self.timings.values())
        faces = f"{len(self.faces)} faces" if len(self.faces) != 1 else "1 face"
        return f"<RestoreResult {width}×{height} {self.photo.dtype}, {faces}{pages}, {milliseconds:.0f} ms>"
