"""From a folder of photos to aligned portraits worth training on.

What was decided is kept in `prepared.json` of the output, so that a second call does only what is new.
"""

import hashlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from base.errors import GpenEdgeError, PhotoError, SettingsError
from base.files import write_atomically, write_json
from portraits.damage import Portrait
from runtime.faces.align import align
from runtime.faces.detect import Detector
from runtime.faces.face import Face
from runtime.photo.reader import read_photo
from runtime.pixels import Matrix

INDEX = "prepared.json"
SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp"}
SIZE = 512

KEPT = "kept"
UNREADABLE = "photo cannot be read"
NO_FACE = "no face in the photo"
UNSURE = "detector unsure"
SMALL = "face too small"
CUT_OFF = "crop reaches out of the photo"
EYES = "turned away, or an eye out of sight"
BLURRED = "blurred"
DUPLICATE = "nearly the same as one kept"
REASONS = (KEPT, UNREADABLE, NO_FACE, UNSURE, SMALL, CUT_OFF, EYES, BLURRED, DUPLICATE)

SAVE_EVERY = 50
"""Photos from one writing of the index to the next."""


class Filter(msgspec.Struct, frozen=True):
    """What a portrait must be."""

    score: float = 0.6
    """Least score of the detector."""
    scale: float = 0.8
    """Least number of photo pixels to a crop pixel, along each axis: below 1 the crop is enlarged."""
    outside: float = 0.12
    """Most of the crop that may lie outside the photo."""
    sharpness: float = 5.5
    """Least mean slope of the face's inner part, in 8-bit levels per pixel of a crop of 256."""
    apart: int = 6
    """Bits of 64 in which two portraits' hashes must differ, at least."""

    def __post_init__(self) -> None:
        if not (0 <= self.score <= 1 and 0 <= self.outside <= 1 and 0 <= self.apart <= 64):
            raise SettingsError("score and outside must lie in 0 to 1, apart in 0 to 64")
        if not (self.scale >= 0 and self.sharpness >= 0):
            raise SettingsError("scale and sharpness must be 0 or more")


class Decision(msgspec.Struct, frozen=True):
    """What became of one face (or of a photo without one)."""

    reason: str
    file: str | None = None
    hash: int | None = None


class Index(msgspec.Struct):
    """What was decided so far, by photo: its path in the folder, size and time of change."""

    filter: Filter
    photos: dict[str, tuple[Decision, ...]] = {}

    @property
    def counts(self) -> Counter[str]:
        """Return how many faces or photos there are of each reason."""
        return Counter(decision.reason for decisions in self.photos.values() for decision in decisions)


@dataclass(frozen=True)
class Job:
    """One photo to look at."""

    path: Path
    key: str
    stem: str
    """Of the portraits it gives."""


def find_photos(folder: Path) -> list[Job]:
    """Return the photos of a folder and the folders in it. Raises PhotoError when there are none."""
    if not folder.is_dir():
        raise PhotoError(f"{folder} is not a folder: give one of photos")
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
    if not paths:
        raise PhotoError(f"no photos in {folder}: give a folder of {', '.join(sorted(SUFFIXES))} files")
    jobs = []
    for path in paths:
        name, state = path.relative_to(folder).as_posix(), path.stat()
        digest = hashlib.sha256(name.encode(errors="surrogateescape")).hexdigest()[:8]
        key = f"{name.encode(errors='backslashreplace').decode()}|{state.st_size}|{state.st_mtime_ns}"
        jobs.append(Job(path, key, f"{_plain(path.stem)}-{digest}"))
    return jobs


def prepare(
    jobs: list[Job], output: Path, detector: Detector, wanted: Filter, tick: Callable[[], None]
) -> Index:
    """Write the portraits of the photos that were not looked at before; return all that was decided.

    Portraits are PNG files of 512×512, aligned with the published template. `tick` is called after each
    photo.

    Raises PhotoError when the output cannot be written, SettingsError when it was made with another filter.
    """
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PhotoError(f"cannot make the folder {output}: {error.strerror}") from error
    index = _read_index(output / INDEX, wanted)
    _forget_changed(index, jobs, output)
    hashes = [d.hash for ds in index.photos.values() for d in ds if d.hash is not None]
    fresh = 0
    try:
        for job in jobs:
            if job.key not in index.photos:
                index.photos[job.key] = _decide(job, output, detector, wanted, hashes)
                fresh += 1
                if fresh % SAVE_EVERY == 0:
                    write_json(output / INDEX, index)
            tick()
    finally:
        write_json(output / INDEX, index)
    return index


def _decide(
    job: Job, output: Path, detector: Detector, wanted: Filter, hashes: list[int]
) -> tuple[Decision, ...]:
    try:
        pixels = read_photo(job.path).pixels
    except GpenEdgeError:
        return (Decision(UNREADABLE),)
    photo = pixels if pixels.dtype == np.uint8 else (pixels >> 8).astype(np.uint8)
    faces = detector.detect(photo)
    if not faces:
        return (Decision(NO_FACE),)
    return tuple(
        _decide_face(photo, face, output / f"{job.stem}-{i}.png", wanted, hashes)
        for i, face in enumerate(faces)
    )


def _decide_face(
    photo: NDArray[np.uint8], face: Face, path: Path, wanted: Filter, hashes: list[int]
) -> Decision:
    if face.score < wanted.score:
        return Decision(UNSURE)
    if not _both_eyes(face.landmarks, photo.shape):
        return Decision(EYES)
    try:
        aligned = align(photo, face, SIZE)
    except PhotoError:  # landmarks that coincide or are mirrored
        return Decision(EYES)
    if aligned.scale < wanted.scale:
        return Decision(SMALL)
    if share_outside(aligned.to_photo, photo.shape) > wanted.outside:
        return Decision(CUT_OFF)
    crop = np.asarray(np.rint(aligned.crop * 255), np.uint8)
    if sharpness(crop) < wanted.sharpness:
        return Decision(BLURRED)
    fingerprint = difference_hash(crop)
    if any((fingerprint ^ other).bit_count() < wanted.apart for other in hashes):
        return Decision(DUPLICATE)
    hashes.append(fingerprint)
    _, data = cv2.imencode(".png", crop[..., ::-1])
    with write_atomically(path) as file:
        file.write(data.tobytes())
    return Decision(KEPT, path.name, fingerprint)


def _both_eyes(landmarks: NDArray[np.float32], shape: tuple[int, ...]) -> bool:
    """Tell whether both eyes lie in the photo and the nose between them: one hides as the head turns."""
    left, right, nose = landmarks[:3].astype(np.float64)
    height, width = shape[:2]
    if not all(0 <= x < width and 0 <= y < height for x, y in (left, right)):
        return False
    across = right - left
    along = float((nose - left) @ across) / max(float(across @ across), 1e-9)
    return 0.1 < along < 0.9


def share_outside(to_photo: Matrix, shape: tuple[int, ...]) -> float:
    """Return how much of a crop lies beyond the photo's edges, 0 to 1.

    to_photo  2×3, crop → photo
    shape     of the photo: height, width, …
    """
    line = (np.arange(64) + 0.5) / 64 * SIZE - 0.5
    points = np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2) @ to_photo[:, :2].T + to_photo[:, 2]
    height, width = shape[:2]
    inside = ((points >= -0.5) & (points <= (width - 0.5, height - 0.5))).all(axis=1)
    return 1 - float(inside.mean())


def sharpness(crop: Portrait) -> float:
    """Return the mean slope of the inner face, in 8-bit levels per pixel of a crop of 256.

    crop  S×S×3 uint8, aligned with the published template
    """
    grey = cv2.cvtColor(cv2.resize(crop, (256, 256), interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
    inner = grey[84:184, 78:178].astype(np.float32)  # from the brows to the mouth
    contrast = max(float(inner.std()), 1.0)
    slope_x, slope_y = (cv2.Scharr(inner, cv2.CV_32F, *axis, scale=1 / 32) for axis in ((1, 0), (0, 1)))
    # Slope over contrast, as a dull portrait is not a blurred one; 40 levels are a usual contrast.
    return float(np.hypot(slope_x, slope_y).mean()) * 40 / contrast


def difference_hash(crop: Portrait) -> int:
    """Return 64 bits, alike for like pictures: is each cell of 8×8 brighter than the one to its left?"""
    grey = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)
    cells = cv2.resize(grey, (9, 8), interpolation=cv2.INTER_AREA)
    return int.from_bytes(np.packbits(cells[:, 1:] > cells[:, :-1]).tobytes(), "big")


def _read_index(path: Path, wanted: Filter) -> Index:
    if not path.exists():
        return Index(wanted)
    try:
        index = msgspec.json.decode(path.read_bytes(), type=Index)
    except (msgspec.DecodeError, UnicodeDecodeError, OSError) as error:
        raise PhotoError(f"{path} is damaged: give another folder ({error})") from error
    if index.filter != wanted:
        raise SettingsError(
            f"{path.parent} was prepared with other settings: give another folder, or the same"
        )
    missing = [
        key
        for key, decisions in index.photos.items()
        if any(d.file is not None and not (path.parent / d.file).is_file() for d in decisions)
    ]
    for key in missing:  # portraits that were taken away are made again
        del index.photos[key]
    return index


def _forget_changed(index: Index, jobs: list[Job], output: Path) -> None:
    """Take back what was made of photos that have changed since."""
    keys = {job.key for job in jobs}
    names = {_name(key) for key in keys}
    for key in [key for key in index.photos if key not in keys and _name(key) in names]:
        for decision in index.photos.pop(key):
            if decision.file is not None:
                (output / decision.file).unlink(missing_ok=True)


def _name(key: str) -> str:
    return key.rsplit("|", 2)[0]


def _plain(stem: str) -> str:
    """Return a name of letters, digits, - and _ for a portrait."""
    return "".join(c if c.isascii() and (c.isalnum() or c in "-_") else "_" for c in stem)[:60] or "photo"
