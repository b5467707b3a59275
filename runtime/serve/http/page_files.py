"""The files of the page. Only names that are listed here are served, so none is a path from outside."""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

FOLDER = Path(__file__).parent.parent / "page"

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".webmanifest": "application/manifest+json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".webp": "image/webp",
    ".ico": "image/x-icon",
    ".woff2": "font/woff2",
    ".txt": "text/plain; charset=utf-8",
}


class PageFiles:
    """The files of the page by name, such as `lang/de.json`."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self._folder = folder

    @cached_property
    def _files(self) -> Mapping[str, Path]:
        return {
            path.relative_to(self._folder).as_posix(): path
            for path in self._folder.rglob("*")
            if path.is_file() and path.suffix in TYPES
        }

    def read(self, name: str) -> tuple[bytes, str] | None:
        """Return a file and its type; None if the page has no such file."""
        path = self._files.get(name)
        return (path.read_bytes(), TYPES[path.suffix]) if path else None

    @property
    def languages(self) -> tuple[str, ...]:
        """The languages that the page speaks, English first."""
        names = sorted(Path(name).stem for name in self._files if name.startswith("lang/"))
        return tuple(sorted(names, key=lambda name: name != "en"))
