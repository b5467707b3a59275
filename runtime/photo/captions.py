"""Captions beside EXIF and XMP: IPTC in Photoshop's image resources, JPEG and GIF comments, PNG texts."""

import struct
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from PIL import Image
from PIL.ExifTags import IFD, Base
from PIL.ImageFile import ImageFile

from runtime.photo.chunks import png_chunk, png_chunks
from runtime.photo.jpeg_segments import APP13, COMMENT, LONGEST_BODY, Data, segment, segments

IPTC_TAG, RESOURCES_TAG = 33723, 34377
"""Of TIFF directories: IPTC records, and Photoshop's image resources."""
COMMENT_KEYWORD = "Comment"
"""PNG keyword for what JPEG and GIF call a comment."""
_PROMPT = "parameters"
"""Keywords that image generators use for the prompt. Outside PNG it is stored as EXIF's UserComment."""

_PHOTOSHOP = b"Photoshop 3.0\0"
_IPTC, _COPYRIGHT_FLAG, _URL, _IPTC_DIGEST = 0x0404, 0x040A, 0x040B, 0x0425
_KEPT_RESOURCES = (_IPTC, _COPYRIGHT_FLAG, _URL, _IPTC_DIGEST)
"""Image resources that are captions; the others are thumbnails, copies of other blocks, or tied to the
pixels' layout.
"""
_TEXT_CHUNKS = (b"tEXt", b"zTXt", b"iTXt")
_KEPT_ELSEWHERE = ("XML:com.adobe.xmp", "Raw profile type exif", "Raw profile type APP1")
"""Keywords of texts that are read as XMP or EXIF, and written back as such."""
_RAW_IPTC = ("Raw profile type iptc", "Raw profile type 8bim")
_LONGEST_TEXT = 1 << 20
"""Most bytes of a decompressed text; longer ones are only copied from PNG to PNG."""


@dataclass(frozen=True)
class Text:
    """A comment or a text with a keyword."""

    keyword: str
    text: str | None
    """None for a text that is too long or too broken to read; a PNG still carries it along."""
    raw: bytes
    """The bytes as stored in the file: a JPEG's or GIF's comment, or a complete PNG chunk."""
    is_chunk: bool


# Reading


def jpeg_captions(data: Data) -> tuple[tuple[Text, ...], bytes]:
    """Return a JPEG's comments, and its image resources that are captions."""
    comments, resources = [], b""
    for each in segments(data):
        if each.marker == COMMENT and each.end > each.body:
            comments.append(comment(data[each.body : each.end]))
        elif each.marker == APP13 and data[each.body : each.body + len(_PHOTOSHOP)] == _PHOTOSHOP:
            resources += data[each.body + len(_PHOTOSHOP) : each.end]
    return tuple(comments), captions_in(resources)


def png_captions(data: Data) -> tuple[tuple[Text, ...], bytes]:
    """Return a PNG's texts, and the image resources that some programs store as a text."""
    texts, resources = [], b""
    for chunk in png_chunks(data):
        if chunk.name in _TEXT_CHUNKS:
            text = _text_of(
                chunk.name, data[chunk.body : chunk.body + chunk.size], data[chunk.start : chunk.end]
            )
            if text.keyword in _RAW_IPTC and text.text:
                resources = resources or _resources_of_raw_profile(text.text)
            elif text.keyword not in _KEPT_ELSEWHERE:
                texts.append(text)
    return tuple(texts), resources


def tagged_captions(tags: Any) -> bytes:
    """Return the captions among the image resources in the first directory of a TIFF or EXIF block."""
    resources = tags.get(RESOURCES_TAG)
    kept = captions_in(resources) if isinstance(resources, bytes) else b""
    # Most programs declare IPTC as four-byte numbers, of which Pillow returns only the first.
    iptc = getattr(tags, "_tagdata", {}).get(IPTC_TAG) or tags.get(IPTC_TAG)
    if isinstance(iptc, bytes) and iptc and not iptc_of(kept):
        kept = _resource(_IPTC, iptc) + kept
    return kept


def comment(raw: bytes) -> Text:
    """Decode the comment of a JPEG or GIF as UTF-8, otherwise as Latin-1."""
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    return Text(COMMENT_KEYWORD, text.rstrip("\0"), raw, is_chunk=False)


def gif_captions(image: ImageFile) -> tuple[Text, ...]:
    """Return a GIF's comment."""
    raw = image.info.get("comment")
    return (comment(raw),) if isinstance(raw, bytes) and raw else ()


def captions_in(resources: bytes) -> bytes:
    """Return the Photoshop image resources that are captions, unchanged."""
    return b"".join(whole for code, whole, _ in _each_resource(resources) if code in _KEPT_RESOURCES)


def iptc_of(resources: bytes) -> bytes:
    """Return the IPTC records among image resources; empty if there are none."""
    return next((data for code, _, data in _each_resource(resources) if code == _IPTC), b"")


# Writing


def jpeg_segments_of(texts: tuple[Text, ...], resources: bytes) -> bytes:
    """Return the JPEG segments that hold the captions; a text too long for one segment is left out."""
    room = LONGEST_BODY - len(_PHOTOSHOP)
    parts = [resources[at : at + room] for at in range(0, len(resources), room)]
    written = [segment(APP13, _PHOTOSHOP + part) for part in parts]
    return b"".join(
        written + [segment(COMMENT, raw) for text in texts if fits_jpeg(text) and (raw := _as_comment(text))]
    )


def png_chunks_of(texts: tuple[Text, ...], resources: bytes) -> bytes:
    """Return the PNG chunks that hold the captions."""
    written = [text.raw if text.is_chunk else _as_chunk(text.keyword, text.text or "") for text in texts]
    if resources:
        block = _PHOTOSHOP + resources  # as ImageMagick and ExifTool write and read it
        lines = "\n".join(block.hex()[at : at + 72] for at in range(0, 2 * len(block), 72))
        body = _RAW_IPTC[0].encode() + b"\0\0" + zlib.compress(f"\niptc\n{len(block):8}\n{lines}\n".encode())
        written.append(png_chunk(b"zTXt", body))
    return b"".join(written)


def exif_with(exif: bytes | None, texts: tuple[Text, ...], iptc: bytes = b"") -> tuple[bytes | None, bool]:
    """Return an EXIF block with texts and IPTC added, and whether the texts fitted.

    Texts are stored as EXIF's single user comment; an existing one is kept.
    """
    joined = "\n".join(_with_keyword(text) for text in texts if text.text)
    if not joined and not iptc:
        return exif, True
    block = Image.Exif()
    block.load(exif or b"")
    details, has_room = block.get_ifd(IFD.Exif), True
    if joined:
        has_room = not bytes(details.get(Base.UserComment) or b"")[8:].strip(b"\0 ")
        if has_room:
            # Big-endian: the order that readers expect.
            details[Base.UserComment] = b"UNICODE\0" + joined.encode("utf-16-be")
    if iptc:
        block[IPTC_TAG] = iptc
    return block.tobytes(), has_room


def apart(texts: tuple[Text, ...]) -> tuple[tuple[Text, ...], tuple[Text, ...]]:
    """Return a generator's prompt, which other programs look for in EXIF, and the other texts."""
    prompt = tuple(text for text in texts if text.keyword == _PROMPT and text.text)
    return prompt, tuple(text for text in texts if text not in prompt)


def fits_jpeg(text: Text) -> bool:
    """Return whether a text fits into a JPEG comment."""
    return text.text is not None and len(_as_comment(text)) <= LONGEST_BODY


def _as_comment(text: Text) -> bytes:
    return text.raw if not text.is_chunk else _with_keyword(text, prompt=True).encode()


def _with_keyword(text: Text, *, prompt: bool = False) -> str:
    bare = text.keyword == COMMENT_KEYWORD or (text.keyword == _PROMPT and not prompt)
    return (text.text or "") if bare else f"{text.keyword}: {text.text}"


def _as_chunk(keyword: str, text: str) -> bytes:
    try:
        return png_chunk(b"tEXt", keyword.encode("latin-1") + b"\0" + text.encode("latin-1"))
    except UnicodeEncodeError:
        return png_chunk(b"iTXt", keyword.encode("latin-1") + b"\0\0\0\0\0" + text.encode())


def _text_of(name: bytes, body: bytes, whole: bytes) -> Text:
    keyword, _, rest = body.partition(b"\0")
    text: str | None = None
    with suppress(ValueError, zlib.error, IndexError):
        if name == b"tEXt":
            text = rest.decode("latin-1")
        elif name == b"zTXt":
            text = _decompressed(rest[1:]).decode("latin-1")
        else:
            is_compressed, (_, _, content) = rest[0], rest[2:].split(b"\0", 2)
            text = (_decompressed(content) if is_compressed else content).decode()
    return Text(keyword.decode("latin-1"), text, whole, is_chunk=True)


def _decompressed(content: bytes) -> bytes:
    inflating = zlib.decompressobj()
    text = inflating.decompress(content, _LONGEST_TEXT)
    if not inflating.eof:
        raise ValueError("longer than the longest text that is read")
    return text


def _resources_of_raw_profile(text: str) -> bytes:
    with suppress(ValueError):
        block = bytes.fromhex("".join(text.split("\n", 3)[3].split()))
        if block.startswith(b"\x1c"):
            return _resource(_IPTC, block)
        return captions_in(block.removeprefix(_PHOTOSHOP))
    return b""


def _each_resource(block: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Yield the number, the full bytes and the data of each image resource (Adobe Photoshop File Formats)."""
    at = 0
    while block[at : at + 4] == b"8BIM" and at + 12 <= len(block):
        (code,) = struct.unpack_from(">H", block, at + 4)
        name = (2 + block[at + 6]) // 2 * 2  # its length, its letters, padding
        start = at + 6 + name + 4
        if start > len(block):
            return
        (size,) = struct.unpack_from(">I", block, start - 4)
        end = start + size + size % 2
        if start + size > len(block):
            return
        whole = block[at:end] + b"\0" * (end - len(block))
        yield code, whole, block[start : start + size]
        at = end


def _resource(code: int, data: bytes) -> bytes:
    return b"8BIM" + struct.pack(">HHI", code, 0, len(data)) + data + b"\0" * (len(data) % 2)
