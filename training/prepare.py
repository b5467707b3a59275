"""Find the portraits in a folder of photos that are suitable for training, and align them.

Decisions are recorded in `prepared.json` of the output, so that a second call processes only new photos.
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
from base.setting import Range, option
from portraits.damage import Portrait
from runtime.faces.align import align
from runtime.faces.detect import Detector
from runtime.faces.face import Face
from runtime.photo.reader import read_photo
from runtime.pixels import Matrix, eight_bit

INDEX = "prepared.json"
SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp"}
SIZE = 512

KEPT = "kept"
UNREADABLE = "photo cannot be read"
NO_FACE = "no face in the photo"
UNSURE = "detector unsure"
SMALL = "face too small"
CUT_OFF = "crop extends outside the photo"
EYES = "turned away, or an eye is hidden"
BLURRED = "blurred"
DUPLICATE = "nearly identical to a kept portrait"
REASONS = (KEPT, UNREADABLE, NO_FACE, UNSURE, SMALL, CUT_OFF, EYES, BLURRED, DUPLICATE)

SAVE_EVERY = 50
"""Number of photos between two writes of the index."""


@dataclass(frozen=True)
class Filter:
    """The requirements for a portrait."""

    score: float = option(0.6, "Lowest detector score.", range=Range(0, 1))
    scale: float = option(0.8, "Smallest number of photo pixels per portrait pixel.", range=Range(0))
    """Along each axis: below 1 the crop is enlarged."""
    outside: float = option(0.12, "Largest share that may lie outside the photo.", range=Range(0, 1))
    sharpness: float = option(5.5, "Least sharpness.", range=Range(0))
    """Mean slope of the face's inner part, in 8-bit levels per pixel of a crop of 256."""
    apart: int = option(
        6, "Smallest number of differing hash bits between two portraits, of 64.", range=Range(0, 64)
    )


class Decision(msgspec.Struct, frozen=True):
    """The decision about one face (or about a photo without one)."""

    reason: str
    file: str | None = None
    hash: int | None = None


class Index(msgspec.Struct):
    """All decisions so far, by photo: its path in the folder, size and modification time."""

    filter: Filter
    photos: dict[str, tuple[Decision, ...]] = {}

    @property
    def counts(self) -> Counter[str]:
        """Return the number of faces or photos for each reason."""
        return Counter(decision.reason for decisions in self.photos.values() for decision in decisions)


@dataclass(frozen=True)
class Job:
    """One photo to process."""

    path: Path
    key: str
    stem: str
    """Prefix of its portraits' names."""


def find_photos(folder: Path) -> list[Job]:
    """Return the photos of a folder, recursively. Raises PhotoError if there are none."""
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
    """Write the portraits of all new photos; return all decisions.

    Portraits are PNG files of 512×512, aligned with the published template. `tick` is called after each
    photo.

    Raises PhotoError if the output cannot be written, SettingsError if it was made with another filter.
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
    photo = eight_bit(pixels)
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
    """Return whether both eyes lie in the photo and the nose between them: a turning head hides one eye."""
    left, right, nose = landmarks[:3].astype(np.float64)
    height, width = shape[:2]
    if not all(0 <= x < width and 0 <= y < height for x, y in (left, right)):
        return False
    across = right - left
    along = float((nose - left) @ across) / max(float(across @ across), 1e-9)
    return 0.1 < along < 0.9


def share_outside(to_photo: Matrix, shape: tuple[int, ...]) -> float:
    """Return the share of a crop beyond the photo's edges, 0 to 1.

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
    # Slope over contrast, because a dull portrait is not blurred; 40 levels are a typical contrast.
    return float(np.hypot(slope_x, slope_y).mean()) * 40 / contrast


def difference_hash(crop: Portrait) -> int:
    """Return 64 bits, similar for similar pictures: is each cell of 8×8 brighter than the one to its left?"""
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
            f"{path.parent} was prepared with other settings: give another folder, or the same settings"
        )
    missing = [
        key
        for key, decisions in index.photos.items()
        if any(d.file is not None and not (path.parent / d.file).is_file() for d in decisions)
    ]
    for key in missing:  # deleted portraits are made again
        del index.photos[key]
    return index


def _forget_changed(index: Index, jobs: list[Job], output: Path) -> None:
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
