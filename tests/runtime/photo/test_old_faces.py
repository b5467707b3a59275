"""Pictures in metadata show the face before it was restored, and go."""

import base64
import hashlib
import io
import struct
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
from PIL import Image

from runtime.photo.jpeg_segments import APP1, segments
from runtime.photo.reader import read_photo
from runtime.photo.writer import write_photo
from runtime.photo.xmp import VIDEO

RGB = np.random.default_rng(6).integers(0, 256, (12, 16, 3), np.uint8)
EXIF_IFD, MAKER_NOTE, MODEL = 0x8769, 0x927C, 0x0110
OPENED = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
)
GOOGLE = "http://ns.google.com/photos/1.0"
EXTENSION = b"http://ns.adobe.com/xmp/extension/\0"


def old_face() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(RGB[:4]).resize((200, 200)).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


OLD = old_face()
CODED = base64.b64encode(OLD).decode()


def xmp(inner: str) -> bytes:
    return f"{OPENED}{inner}</rdf:RDF></x:xmpmeta>".encode()


def segment(body: bytes) -> bytes:
    return b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body


def extension(packet: bytes, room: int = 60_000) -> tuple[bytes, str]:
    """Return the segments of a second part of XMP, the last piece first, and the part's digest."""
    digest = hashlib.md5(packet).hexdigest().upper()
    pieces = range(0, len(packet), room)
    bodies = [
        EXTENSION + digest.encode() + struct.pack(">II", len(packet), at) + packet[at : at + room]
        for at in pieces
    ]
    return b"".join(segment(body) for body in bodies[::-1]), digest


def jpeg(path: Path, main: bytes | None = None, parts: bytes = b"", **options: object) -> Path:
    Image.fromarray(RGB).save(path, xmp=main or b"", **options)
    whole = path.read_bytes()
    path.write_bytes(whole[:2] + parts + whole[2:])
    return path


IMAGE = f'<rdf:Description xmlns:GImage="{GOOGLE}/image/" GImage:Mime="image/jpeg" GImage:Data="{CODED}"/>'
UNKNOWN = (
    f'<rdf:Description xmlns:o="http://example.org/o/"><o:preview>\n{CODED}</o:preview></rdf:Description>'
)
THUMBNAIL = (
    '<rdf:Description xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:g="http://ns.adobe.com/xap/1.0/g/img/">'
    f'<xmp:Thumbnails><rdf:Alt><rdf:li rdf:parseType="Resource"><g:image>{CODED}</g:image></rdf:li>'
    "</rdf:Alt></xmp:Thumbnails></rdf:Description>"
)
TITLE = '<rdf:Description xmlns:dc="http://purl.org/dc/elements/1.1/" dc:format="kept"/>'


@pytest.mark.parametrize("holder", [IMAGE, UNKNOWN, THUMBNAIL])
@pytest.mark.parametrize("second", [False, True])
@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_a_picture_in_xmp_goes_and_the_rest_stays(
    tmp_path: Path, holder: str, second: bool, suffix: str
) -> None:
    packet = xmp(TITLE + holder)
    parts, digest = extension(packet, room=500)
    note = "http://ns.adobe.com/xmp/note/"
    main = xmp(f'<rdf:Description xmlns:xmpNote="{note}" xmpNote:HasExtendedXMP="{digest}"/>')
    path = jpeg(tmp_path / "in.jpg", *((main, parts) if second else (packet, b"")))
    write_photo(tmp_path / f"out{suffix}", read_photo(path))
    written = (tmp_path / f"out{suffix}").read_bytes()
    assert CODED[:60].encode() not in written
    assert b'"kept"' in written or (second and suffix == ".png")
    bodies = [written[each.body : each.end] for each in segments(written) if each.marker == APP1]
    continued = [body for body in bodies if body.startswith(EXTENSION)]
    if not (second and suffix == ".jpg"):
        assert b"HasExtendedXMP" not in written
        return
    (body,) = continued
    digest_written, content = body[len(EXTENSION) :][:32], body[len(EXTENSION) + 40 :]
    assert hashlib.md5(content).hexdigest().upper().encode() == digest_written
    assert b'HasExtendedXMP="' + digest_written + b'"' in written


def test_a_depth_map_stays(tmp_path: Path) -> None:
    depth = f'<rdf:Description xmlns:GDepth="{GOOGLE}/depthmap/" GDepth:Data="{CODED}" GDepth:Near="1"/>'
    read = read_photo(jpeg(tmp_path / "in.jpg", xmp(depth)))
    assert read.source.xmp == xmp(depth)


def test_a_picture_in_a_makers_note_goes_and_other_notes_stay(tmp_path: Path) -> None:
    for note, stays in ((b"Maker\0\2" + OLD, False), (b"Maker\0\2of settings", True)):
        exif = Image.Exif()
        exif[MODEL] = "Model"
        exif.get_ifd(EXIF_IFD)[MAKER_NOTE] = note
        path = jpeg(tmp_path / "in.jpg", exif=exif)
        write_photo(tmp_path / "out.jpg", read_photo(path), overwrite=True)
        with Image.open(tmp_path / "out.jpg") as written:
            assert written.getexif()[MODEL] == "Model"
            assert (written.getexif().get_ifd(EXIF_IFD).get(MAKER_NOTE) == note) == stays
        assert OLD[20:80] not in (tmp_path / "out.jpg").read_bytes()


def test_a_video_beside_a_heic_is_named(tmp_path: Path) -> None:
    path = tmp_path / "in.heic"
    pillow_heif.from_pillow(Image.fromarray(RGB).resize((64, 48))).save(path)
    assert read_photo(path).source.parts == ()
    path.write_bytes(path.read_bytes() + struct.pack(">I", 300) + b"mpvd" + bytes(292))
    assert read_photo(path).source.parts == (VIDEO,)
