"""The history in an XMP packet, which records how a photo was edited (XMP specification, part 2)."""

from dataclasses import dataclass
from xml.dom import minidom

from runtime.photo.xmp import document_of, packet_of

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_XML = "http://www.w3.org/2000/xmlns/"
_MM = "http://ns.adobe.com/xap/1.0/mm/"
_EVENT = "http://ns.adobe.com/xap/1.0/sType/ResourceEvent#"
_IPTC = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
ALTERED = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
"""IPTC's digital source type of a photo that was partly altered by a trained network."""

_EMPTY = f"""<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{RDF}"/></x:xmpmeta>
<?xpacket end="w"?>"""


@dataclass(frozen=True)
class Event:
    """What was done to a photo."""

    software: str
    """Name and version."""
    when: str
    """Date and time in ISO 8601, with its zone."""
    parameters: str
    """How it was done."""


def with_history(xmp: bytes | None, event: Event) -> bytes | None:
    """Return a packet with an event added to its history; None if the packet cannot be read.

    Everything else in the packet stays, except its digital source type, which becomes ALTERED.
    """
    document = document_of(xmp or _EMPTY.encode())
    found = document.getElementsByTagNameNS(RDF, "RDF") if document else []
    if document is None or not found:
        return None
    root = found[0]
    history = root.getElementsByTagNameNS(_MM, "History")
    lists = history[0].getElementsByTagNameNS(RDF, "Seq") if history else []
    description = _description(document, root)
    events = lists[0] if lists else _new_list(document, description)
    events.appendChild(_entry(document, event))
    _set_source_type(document, root, description)
    return packet_of(document)


def _description(document: minidom.Document, root: minidom.Element) -> minidom.Element:
    """Add an empty description of the photo, with the same subject as the others."""
    others = root.getElementsByTagNameNS(RDF, "Description")
    made = document.createElementNS(RDF, f"{root.prefix or 'rdf'}:Description")
    if not root.prefix:
        made.setAttributeNS(_XML, "xmlns:rdf", RDF)
    subject = others[0].getAttributeNS(RDF, "about") if others else ""
    made.setAttributeNS(RDF, f"{made.prefix}:about", subject)
    for prefix, namespace in (("xmpMM", _MM), ("stEvt", _EVENT), ("Iptc4xmpExt", _IPTC)):
        made.setAttributeNS(_XML, f"xmlns:{prefix}", namespace)
    root.appendChild(made)
    return made


def _new_list(document: minidom.Document, description: minidom.Element) -> minidom.Element:
    history = document.createElementNS(_MM, "xmpMM:History")
    events = document.createElementNS(RDF, f"{description.prefix}:Seq")
    description.appendChild(history).appendChild(events)
    return events


def _entry(document: minidom.Document, event: Event) -> minidom.Element:
    entry = document.createElementNS(RDF, "rdf:li")
    entry.setAttributeNS(_XML, "xmlns:rdf", RDF)
    entry.setAttributeNS(_XML, "xmlns:stEvt", _EVENT)
    entry.setAttributeNS(RDF, "rdf:parseType", "Resource")
    values = {
        "action": "edited",
        "softwareAgent": event.software,
        "when": event.when,
        "parameters": event.parameters,
        "changed": "/content",
    }
    for name, value in values.items():
        child = document.createElementNS(_EVENT, f"stEvt:{name}")
        child.appendChild(document.createTextNode(value))
        entry.appendChild(child)
    return entry


def _set_source_type(document: minidom.Document, root: minidom.Element, description: minidom.Element) -> None:
    """Set the digital source type where the packet has one, otherwise in the new description."""
    for other in root.getElementsByTagNameNS(RDF, "Description"):
        if other.hasAttributeNS(_IPTC, "DigitalSourceType"):
            other.setAttributeNS(_IPTC, "Iptc4xmpExt:DigitalSourceType", ALTERED)
            return
    elements = [*root.getElementsByTagNameNS(_IPTC, "DigitalSourceType")]
    if elements:
        element = elements[0]
    else:
        element = document.createElementNS(_IPTC, "Iptc4xmpExt:DigitalSourceType")
        description.appendChild(element)
    for child in [*element.childNodes]:
        element.removeChild(child)
    element.appendChild(document.createTextNode(ALTERED))
