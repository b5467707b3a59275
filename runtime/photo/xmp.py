"""XMP packets: kept unchanged except for entries that are untrue of a restored photo."""

import re
from typing import TypeAlias
from xml.dom import expatbuilder, minidom
from xml.parsers.expat import ExpatError

Parent: TypeAlias = minidom.Document | minidom.Element

_ORIENTATION = re.compile(rb"(tiff:Orientation\s*(?:=\s*[\"']|>)\s*)([0-9])")
_CAMERA = "http://ns.google.com/photos/1.0/camera/"
_XMP, _EXTENDED = "http://ns.adobe.com/xap/1.0/", "http://ns.adobe.com/xmp/note/"
_FURTHER = "further parts"
VIDEO = "a motion photo's video"
"""The part that a motion photo loses, in words for the user."""
# Namespaces for parts after or beside the main image, which a result does not have.
_PARTS = {
    "http://ns.google.com/photos/1.0/container/": _FURTHER,
    "http://ns.google.com/photos/1.0/container/item/": _FURTHER,
    "http://ns.google.com/photos/dd/1.0/container/": _FURTHER,
    "http://ns.google.com/photos/dd/1.0/item/": _FURTHER,
    "http://ns.google.com/photos/dd/1.0/device/": _FURTHER,
    "http://ns.google.com/photos/1.0/image/": "the picture before it was edited",
    "http://ns.adobe.com/hdr-gain-map/1.0/": "a gain map",
    "http://ns.apple.com/HDRGainMap/1.0/": "a gain map",
    "http://ns.apple.com/pixeldatainfo/1.0/": _FURTHER,
    "http://ns.oppo.com/photos/1.0/camera/": VIDEO,
}
_USUAL = {
    "Container": "http://ns.google.com/photos/1.0/container/",
    "GContainer": "http://ns.google.com/photos/1.0/container/",
    "GImage": "http://ns.google.com/photos/1.0/image/",
    "Item": "http://ns.google.com/photos/1.0/container/item/",
    "hdrgm": "http://ns.adobe.com/hdr-gain-map/1.0/",
    "HDRGainMap": "http://ns.apple.com/HDRGainMap/1.0/",
    "xmp": _XMP,
    "xmpNote": _EXTENDED,
}
"""Default prefixes for packets that do not declare theirs."""
_DECLARATIONS = "http://www.w3.org/2000/xmlns/"
_ABOUT_VIDEO = re.compile(r"(MotionPhoto|MicroVideo)")
_MENTIONED = re.compile(
    rb"MotionPhoto|MicroVideo|Container:|hdrgm:|photos/(?:dd/)?1\.0/|hdr-gain-map|HDRGainMap|pixeldatainfo|ns\.oppo\.com|Thumbnails|GImage:|/9j/"
)
_DEPTH = "http://ns.google.com/photos/1.0/depthmap/"
_JPEG = "/9j/"
"""How a JPEG begins in base64."""
_LONGEST = 1 << 24
"""Largest packet that is examined, in bytes."""
_DEEPEST = 100
"""Most elements within each other in a packet that is examined; usual packets have about ten."""


def orientation_in(xmp: bytes) -> int | None:
    """Return the orientation (0…9) in a packet; None if it has none."""
    found = _ORIENTATION.search(xmp)
    return int(found[2]) if found else None


def upright(xmp: bytes) -> bytes:
    """Return a packet with its orientation, if any, set to upright."""
    return _ORIENTATION.sub(rb"\g<1>1", xmp)


def without_parts(xmp: bytes, *, extended: bool = True) -> tuple[bytes | None, frozenset[str]]:
    """Return a packet without references to parts that a result lacks, and the names of these parts.

    Such parts are a motion photo's video, gain maps, containers of several images, and thumbnails, which show
    the unrestored face. A packet without such references stays byte for byte; one with them that is not valid
    XML is dropped.

    extended  whether the packet's second part is written too
    """
    if not _MENTIONED.search(xmp) and (extended or b"HasExtendedXMP" not in xmp):
        return xmp, frozenset()
    document = document_of(xmp, namespaces=(True, False))
    if document is None:
        return None, frozenset({_FURTHER})
    found: set[str] = set()
    _clean(document, found, extended=extended)
    if not found:
        return xmp, frozenset()
    _drop_declarations(document, _used_namespaces(document))
    return packet_of(document), frozenset(found - {""} - ({_FURTHER} if found - {_FURTHER, ""} else set()))


def packet_of(document: minidom.Document) -> bytes:
    """Return a document as a packet."""
    return "".join(node.toxml() for node in document.childNodes).encode()


def document_of(xmp: bytes, namespaces: tuple[bool, ...] = (True,)) -> minidom.Document | None:
    """Return a packet as a document; None if it is not XML, too long, too deep, or declares entities.

    namespaces  ways to read it, in order: some packets declare no namespaces
    """
    if len(xmp) > _LONGEST or b"<!DOCTYPE" in xmp or b"<!ENTITY" in xmp:
        return None
    for each in namespaces:
        try:
            document = expatbuilder.parseString(xmp.rstrip(b"\0 \r\n\t"), namespaces=each)
        except (ExpatError, ValueError, LookupError):
            continue
        return None if _is_too_deep(document) else document
    return None


def _is_too_deep(document: minidom.Document) -> bool:
    """Return whether functions that call themselves for each child would reach Python's limit."""
    level: list[minidom.Node] = [document]
    for _ in range(_DEEPEST):
        level = [child for node in level for child in node.childNodes]
    return bool(level)


def _clean(node: Parent, found: set[str], *, extended: bool) -> None:
    for child in [*node.childNodes]:
        if not isinstance(child, minidom.Element):
            continue
        if (part := _part(child, extended)) is not None:
            found.add(part)
            node.removeChild(child)
            continue
        for name in [*child.attributes.keys()]:
            if (part := _part(child.attributes[name], extended)) is not None:
                found.add(part)
                child.removeAttribute(name)
        _clean(child, found, extended=extended)


def _used_namespaces(node: Parent) -> set[str]:
    used: set[str] = set()
    for child in node.childNodes:
        if isinstance(child, minidom.Element):
            attributes = [child.attributes[name] for name in child.attributes.keys()]  # noqa: SIM118
            used |= {each.namespaceURI or "" for each in (child, *attributes)} | _used_namespaces(child)
    return used


def _drop_declarations(node: Parent, used: set[str]) -> None:
    """Remove namespace declarations that were used only by what was removed."""
    for child in node.childNodes:
        if not isinstance(child, minidom.Element):
            continue
        for name, value in [*child.attributes.items()]:
            removable = value in _PARTS or value == _CAMERA
            if child.attributes[name].namespaceURI == _DECLARATIONS and removable and value not in used:
                child.removeAttribute(name)
        _drop_declarations(child, used)


def _is_picture(node: minidom.Element | minidom.Attr) -> bool:
    """Return whether a value is a JPEG, whatever its name, that shows the unrestored face; no depth map."""
    if node.namespaceURI == _DEPTH:
        return False
    texts = [node] if isinstance(node, minidom.Attr) else node.childNodes
    return any((each.nodeValue or "").lstrip()[: len(_JPEG)] == _JPEG for each in texts)


def _part(node: minidom.Element | minidom.Attr, extended: bool) -> str | None:
    """Return the part that an element or attribute refers to: "" for a thumbnail, None for no part."""
    if _is_picture(node):
        return ""
    prefix, _, after = node.nodeName.partition(":")
    namespace, name = node.namespaceURI or _USUAL.get(prefix), node.localName or after
    if _ABOUT_VIDEO.match(name):
        return VIDEO
    if (namespace, name) == (_XMP, "Thumbnails") or (
        (namespace, name) == (_EXTENDED, "HasExtendedXMP") and not extended
    ):
        return ""
    return _PARTS.get(namespace or "")
