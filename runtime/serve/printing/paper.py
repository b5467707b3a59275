"""Fit a result to a paper: turned if that wastes less, filled to the edges, in sRGB."""

import io
from pathlib import Path

from PIL import Image, ImageCms, ImageOps

from runtime.serve.kiosk_config import Paper
from runtime.serve.pictures import upright_of

DPI = 300
_QUALITY = 95


def on_paper(result: Path, paper: Paper, dpi: float = DPI) -> Image.Image:
    """Return the printed part of a result: its middle, in the paper's shape, as sRGB.

    A result that is not the paper's shape loses a part of its longer sides; nothing is stretched.
    """
    width, height = (round(side / 25.4 * dpi) for side in (paper.width_mm, paper.height_mm))
    with Image.open(result) as image:
        image.draft("RGB", (max(width, height), max(width, height)))
        picture = _srgb(upright_of(image), image.info.get("icc_profile"))
    if (picture.width > picture.height) != (width > height):
        width, height = height, width
    return ImageOps.fit(picture, (width, height), Image.Resampling.LANCZOS)


def encoded(picture: Image.Image) -> bytes:
    """Return a picture as JPEG for a printer, or for the screen."""
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=_QUALITY, dpi=(DPI, DPI))
    return file.getvalue()


def _srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Return a picture as RGB on white, in sRGB, which printers expect.

    profile  its ICC profile, if it has one
    """
    if image.mode not in ("RGB", "L"):
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")
    if profile:
        try:
            own = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            converted = ImageCms.profileToProfile(
                image, own, ImageCms.createProfile("sRGB"), outputMode="RGB"
            )
            return converted or image.convert("RGB")
        except (ImageCms.PyCMSError, OSError):  # a profile that does not fit its picture
            pass
    return image.convert("RGB")
