"""QR codes for the screen."""

import io

import segno


def qr_svg(text: str) -> bytes:
    """Return a QR code as SVG, black on white with its quiet zone, that survives a scratched screen."""
    file = io.BytesIO()
    code = segno.make(text, error="m", micro=False)
    code.save(file, kind="svg", scale=8, border=4, dark="#000", light="#fff", xmldecl=False, unit="")
    return file.getvalue()
