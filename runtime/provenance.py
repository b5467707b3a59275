"""Provenance: the photo records which program and package restored which of its faces, and how."""

import json
import re
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from functools import cached_property, partial
from typing import Any

from base.files import sha256
from base.version import installed_version
from engines.package import MANIFEST, Package
from runtime.content_credentials import MIME, SigningKey, manifest_of
from runtime.photo.history import Event, with_history
from runtime.photo.reader import Photo, Seal
from runtime.result import FaceResult, RestoreResult
from runtime.settings.resolved import ResolvedSettings
from runtime.settings.settings import RestoreSettings

SOFTWARE = "gpen-edge"


@dataclass(frozen=True)
class Provenance:
    """Records the processing in results."""

    package: Package
    key: SigningKey | None = None
    """Signs it too, as a C2PA manifest."""

    @cached_property
    def package_hash(self) -> str:
        """The SHA-256 of the package's manifest, which holds those of its graphs."""
        return sha256(self.package.folder / MANIFEST)

    def written(
        self, photo: Photo, original: Photo, result: RestoreResult, resolved: ResolvedSettings
    ) -> Photo:
        """Return a restored photo with its history; one in which nothing was changed stays as it is.

        photo     the photo to write, as `restored` returns it
        original  the photo as it was read
        """
        if photo.content is not None:
            return photo
        parameters = self.parameters(result, resolved)
        software, now = f"{SOFTWARE} {installed_version()}", datetime.now(timezone.utc)
        text = json.dumps(parameters, ensure_ascii=False, separators=(",", ":"))
        event = Event(software, now.isoformat(timespec="seconds"), text)
        xmp = with_history(photo.source.xmp, event)
        source = replace(photo.source, xmp=xmp) if xmp else photo.source
        return replace(photo, source=source, seal=self._seal(photo, original, parameters))

    def parameters(self, result: RestoreResult, resolved: ResolvedSettings) -> dict[str, Any]:
        """Return the processing in a machine-readable form: package, settings, and the restored faces."""
        manifest, faces = self.package.manifest, result.every_face
        return {
            "package": {"name": manifest.name, "manifest_sha256": self.package_hash},
            "settings": {"preset": resolved.preset, **_changes(resolved.settings)},
            "faces": [_described(face) for face in faces if face.loop],
            "faces_left_alone": sum(not face.loop for face in faces),
        }

    def _seal(self, photo: Photo, original: Photo, parameters: dict[str, Any]) -> Seal | None:
        """Return the function that signs the written file; its manifest refers to the original, unless that
        is stripped."""
        if self.key is None:
            return None
        source = original.source
        content = source.original.content() if source.original and not photo.source.stripped else None
        parent = (content, source.format) if content and source.format in MIME else None
        manifest = manifest_of(SOFTWARE, installed_version(), parameters, parent=parent is not None)
        return partial(self.key.sign, manifest=manifest, parent=parent)


def _changes(settings: RestoreSettings) -> dict[str, Any]:
    """Return the settings that differ from the defaults; paths on this machine are left out."""
    default = asdict(RestoreSettings())
    changed = {name: value for name, value in asdict(settings).items() if value != default[name]}
    if isinstance(changed.get("face"), str):
        changed["face"] = re.sub("person=.*", "person=…", changed["face"])
    return changed


def _described(face: FaceResult) -> dict[str, Any]:
    page = {"page": face.page} if face.page > 1 else {}
    drawn = face.loop.new_eyes if face.loop else 0
    eyes = {"new_eyes": round(drawn, 3)} if drawn else {}
    box = [round(float(side)) for side in face.box]
    return {**page, "box": box, "progress": round(face.progress, 3), **eyes}
