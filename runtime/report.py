"""What was done to a photo, as JSON."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from runtime.atomic import write_atomically
from runtime.one_line import utf8
from runtime.restorer import Restorer
from runtime.result import FaceResult


def describe_photo(
    photo: Path, output: Path, faces: Iterable[FaceResult], timings: dict[str, float]
) -> dict[str, Any]:
    """Return one photo's entry of the report; the timings are milliseconds of each stage."""
    return {
        "photo": utf8(photo),
        "output": utf8(output),
        "faces": [_describe_face(i, face) for i, face in enumerate(faces)],
        "milliseconds": {stage: round(value, 1) for stage, value in timings.items()},
    }


def write_report(
    path: Path, restorer: Restorer, settings: dict[str, Any], photos: list[dict[str, Any]]
) -> None:
    """Write the report of a run: what ran, with which settings, and each photo's entry.

    settings  `settings` of all faces, and `settings_by_face`
    """
    from importlib.metadata import version  # here, as it takes long to import and most runs write no report

    report = {
        "version": version("gpen-edge"),
        "package": {
            "folder": utf8(restorer.package.folder),
            "name": restorer.package.manifest.name,
            "loop": restorer.package.manifest.loop_kind,
        },
        "backend": restorer.backend.name,
        "device": restorer.backend.device,
        "backend_reason": restorer.backend.why,
        **settings,
        "photos": photos,
    }
    with write_atomically(path) as file:
        file.write(msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")


def _describe_face(index: int, face: FaceResult) -> dict[str, Any]:
    changes = [round(change, 6) for change in face.loop.changes] if face.loop else []
    renewed = face.loop is not None and face.loop.renewed
    return {
        "index": index,
        "box": [round(float(value), 1) for value in face.box],
        "landmarks": [[round(float(value), 1) for value in point] for point in face.face.landmarks],
        "score": round(float(face.face.score), 4),
        "scale": None if face.aligned is None else round(face.aligned.scale, 4),
        "regions": _drawn_by(face),
        "passes": face.loop.passes if face.loop else 0,
        "progress": round(face.progress, 4),
        "latent_changes": [] if renewed else changes,
        "estimate_changes": changes if renewed else [],
        "warnings": [{"code": warning.code, "sentence": warning.sentence} for warning in face.warnings],
    }


def _drawn_by(face: FaceResult) -> str | None:
    """Return what drew the regions of a face; None for one that was left alone."""
    if face.aligned is None:
        return None
    return "parsing" if face.aligned.parsed else "landmarks"
