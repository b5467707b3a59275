"""The report of a run, as JSON."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from base.files import write_json
from base.text import utf8
from base.version import installed_version
from runtime.commands.grouped_warnings import worth_a_look
from runtime.face_warnings import FaceWarning
from runtime.identity import Identity
from runtime.restorer import Restorer
from runtime.result import FaceResult

Entry = dict[str, Any]
"""The part of the report about one photo."""

Header = dict[str, Any]
"""The part of the report about the run: what ran, and with which settings."""

Outcome = Literal["restored", "no-face", "left-alone", "failed", "restored-earlier"]
"""The outcome of a photo: `left-alone` if it has faces but none was restored, `restored-earlier` if its
result exists but no report mentions it."""


def describe_photo(
    photo: Path, output: Path, faces: Sequence[FaceResult], timings: dict[str, float]
) -> Entry:
    """Return the entry of a photo; `timings` are milliseconds of each stage."""
    return {"photo": utf8(photo), "output": utf8(output), **describe_faces(faces, timings)}


def describe_faces(faces: Sequence[FaceResult], timings: dict[str, float]) -> Entry:
    """Return the outcome of a photo, without the names of its files; `timings` are milliseconds by stage."""
    return {
        "outcome": _outcome(faces),
        "look_at": worth_a_look(faces),
        "faces": _describe_faces(faces),
        "milliseconds": {stage: round(value, 1) for stage, value in timings.items()},
    }


def describe_failure(photo: Path, error: str) -> Entry:
    """Return the entry of a photo that could not be restored."""
    return {"photo": utf8(photo), "outcome": "failed", "error": error}


def describe_earlier(photo: Path, output: Path) -> Entry:
    """Return the entry of a photo that was restored by an earlier run without a report."""
    return {"photo": utf8(photo), "output": utf8(output), "outcome": "restored-earlier"}


def describe_run(restorer: Restorer, settings: dict[str, Any], **options: Any) -> Header:
    """Return the header of a report.

    settings  `settings` of all faces, and `settings_by_face`
    options   other options that the results depend on
    """
    header = {
        "version": installed_version(),
        "folder": utf8(Path.cwd()),
        "package": {
            "folder": utf8(restorer.package.folder),
            "name": restorer.package.manifest.name,
            "network": restorer.package.manifest.network,
            "template": restorer.package.manifest.template,
            "loop": restorer.package.manifest.loop_kind,
        },
        **describe_backend(restorer),
        **settings,
        "options": options,
    }
    return msgspec.json.decode(msgspec.json.encode(header), type=dict[str, Any])


def describe_backend(restorer: Restorer) -> dict[str, str]:
    """Return what runs the networks now; an entry has it too if it differs from the header's."""
    backend = restorer.backend
    return {"backend": backend.name, "device": backend.device, "backend_reason": backend.why}


def write_report(path: Path, header: Header, summary: dict[str, int], photos: Iterable[Entry]) -> None:
    """Write a report: its header, how the run ended, which results should be looked at, and every entry.

    Raises PhotoError.
    """
    photos = list(photos)
    look_at = [
        {"photo": entry["photo"], "output": entry.get("output"), "warnings": entry["look_at"]}
        for entry in photos
        if entry.get("look_at")
    ]
    write_json(path, {**header, "summary": summary, "look_at": look_at, "photos": photos})


def _outcome(faces: Sequence[FaceResult]) -> Outcome:
    if not faces:
        return "no-face"
    return "restored" if any(face.loop for face in faces) else "left-alone"


def _describe_faces(faces: Iterable[FaceResult]) -> list[dict[str, Any]]:
    numbers: Counter[int] = Counter()
    described = []
    for face in faces:
        page = {"page": face.page} if face.page > 1 else {}
        described.append(_describe_face(numbers[face.page], face) | page)
        numbers[face.page] += 1
    return described


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
        "choice": face.choice or None,
        "new_eyes": round(face.loop.new_eyes, 4) if face.loop else 0,
        "identity": _describe_identity(face.identity),
        "latent_changes": [] if renewed else changes,
        "estimate_changes": changes if renewed else [],
        "warnings": [_describe_warning(warning) for warning in face.warnings],
    }


def _describe_warning(warning: FaceWarning) -> dict[str, str]:
    cause = {"cause": warning.cause} if warning.cause else {}
    return {"code": warning.code, "sentence": warning.sentence, **cause}


def _describe_identity(identity: Identity | None) -> dict[str, float | None] | None:
    """Return how far a face is from the photo's; None if that was not measured."""
    if identity is None:
        return None
    return {
        name: None if value is None else round(value, 4)
        for name, value in (
            ("distance", identity.distance),
            ("limit", identity.limit),
            ("share", identity.share),
        )
    }


def _drawn_by(face: FaceResult) -> str | None:
    """Return the source of a face's regions; None for a face that was left alone."""
    if face.aligned is None:
        return None
    if face.aligned.parsed:
        return "parsing"
    return "mesh" if face.aligned.mesh else "landmarks"
