"""Answers that are pictures or files."""

from pathlib import Path

from starlette.responses import FileResponse, Response

_TYPES = {".jpg": "image/jpeg", ".png": "image/png", ".webp": "image/webp"}


def jpeg_response(content: bytes) -> Response:
    """Return a JPEG."""
    return Response(content, media_type="image/jpeg")


def download(path: Path, suffix: str) -> Response:
    """Return a result as a file to keep; its name says nothing about the customer's file."""
    return FileResponse(path, media_type=_TYPES[suffix], filename=f"photo-restored{suffix}")
