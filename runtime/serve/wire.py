"""Messages between the page and the server, as JSON. `openapi.py` describes the API from these types."""

from typing import Annotated, Literal

import msgspec

from runtime.faces.no_information import Cause


class Body(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The JSON of a request; unknown keys are errors."""


class Answer(msgspec.Struct, frozen=True):
    """The JSON of an answer."""


Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Index = Annotated[int, msgspec.Meta(ge=0, le=10_000)]
Token = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]

VisitState = Literal["empty", "queued", "working", "ready", "failed"]
ResultState = Literal["queued", "working", "done", "failed"]
PrintState = Literal["waiting", "printing", "paper-out", "stopped", "done", "failed", "cancelled"]
PrinterState = Literal[
    "ready", "printing", "paper-out", "ink-out", "jam", "open", "stopped", "offline", "none"
]


class ErrorAbout(Answer, frozen=True):
    """What went wrong: a code for programs and one line for people."""

    code: str
    message: str


class ErrorAnswer(Answer, frozen=True):
    """The answer to a request that cannot be carried out."""

    error: ErrorAbout


class WarningAbout(Answer, frozen=True):
    """A warning about a face."""

    code: str
    sentence: str
    cause: Cause | None = None
    """Of `missing-information`: why."""


class RemarkAbout(Answer, frozen=True):
    """A remark about a photo or its file."""

    code: str
    """`no-face`, `pages`, `animation`, `damaged` or `file`."""
    sentence: str


class PhotoAbout(Answer, frozen=True):
    """A photo: its number within the visit, and its upright size in pixels."""

    number: int
    width: int
    height: int


class FaceAbout(Answer, frozen=True):
    """A face of the photo, in its pixels."""

    index: int
    box: tuple[float, float, float, float]
    """x0, y0, x1, y1."""
    circle: tuple[float, float, float]
    """x, y and radius."""
    left_alone: bool
    """It is too small to restore."""
    warnings: tuple[WarningAbout, ...]


class FaceWarnings(Answer, frozen=True):
    """The warnings about a face of a result."""

    index: int
    warnings: tuple[WarningAbout, ...]


class ResultAbout(Answer, frozen=True):
    """The result at full size."""

    number: int
    state: ResultState
    preset: str
    strength: float
    leave_out: tuple[int, ...]
    width: int = 0
    height: int = 0
    suffix: str = ""
    bytes: int = 0
    faces: tuple[FaceWarnings, ...] = ()
    error: ErrorAbout | None = None


class PrintAbout(Answer, frozen=True):
    """Copies on their way to the printer."""

    id: str
    paper: str
    copies: int
    state: PrintState
    message: str = ""


class LinkAbout(Answer, frozen=True):
    """A link for the customer's phone."""

    url: str
    seconds_left: int
    used: bool = False


class Status(Answer, frozen=True):
    """A visit."""

    state: VisitState
    number: int
    """Counts the photos of the visit; 0 before the first."""
    place: int | None
    stage: str | None
    done: int
    total: int
    error: ErrorAbout | None
    photo: PhotoAbout | None
    faces: tuple[FaceAbout, ...]
    remarks: tuple[RemarkAbout, ...]
    result: ResultAbout | None
    prints: tuple[PrintAbout, ...]
    take_home: LinkAbout | None
    phone: LinkAbout | None
    seconds_left: int


class Opened(Answer, frozen=True):
    """A new visit and its token."""

    visit: str
    status: Status


class Link(Answer, frozen=True):
    """A link with its QR code."""

    url: str
    seconds_left: int
    qr: str


class PresetAbout(Answer, frozen=True):
    """A preset that is offered."""

    name: str
    purpose: str


class PaperAbout(Answer, frozen=True):
    """A size of paper."""

    name: str
    label: str
    width_mm: float
    height_mm: float


class PrintingAbout(Answer, frozen=True):
    """What can be printed."""

    papers: tuple[PaperAbout, ...]
    copies: int


class KioskAbout(Answer, frozen=True):
    """What this kiosk offers."""

    version: str
    name: str
    languages: tuple[str, ...]
    language: str
    presets: tuple[PresetAbout, ...]
    minutes: float
    idle_seconds: float
    max_megabytes: float
    files: bool
    """Customers may open a file dialog on this machine."""
    suffixes: tuple[str, ...]
    """Of the photos that can be read, for that dialog."""
    phones: bool
    wifi: str | None
    """The network that phones must join first."""
    take_home: bool
    media: bool
    printing: PrintingAbout | None


class Health(Answer, frozen=True):
    """Whether the kiosk works."""

    state: Literal["ok", "stuck", "failed"]
    queue: int
    visits: int
    backend: str
    message: str = ""


class PrinterAbout(Answer, frozen=True):
    """The printer."""

    state: PrinterState
    message: str
    waiting: int


class MediumAbout(Answer, frozen=True):
    """A stick, a card or a folder of scans."""

    id: str
    kind: Literal["stick", "scans"]
    label: str
    photos: int
    unknown: bool = False
    """Whether scans came in of which nobody knows whether they are this customer's."""


class MediaAbout(Answer, frozen=True):
    """All of them."""

    media: tuple[MediumAbout, ...]


class FoundPhoto(Answer, frozen=True):
    """A photo on a medium."""

    id: str
    taken: str | None
    """When its file was last written, as local time in ISO 8601; null if the file has no valid time."""


class FoundPhotos(Answer, frozen=True):
    """A page of photos, the newest first."""

    photos: tuple[FoundPhoto, ...]
    pages: int


class PhoneAbout(Answer, frozen=True):
    """An upload page on a phone."""

    state: Literal["open", "used", "gone"]
    max_megabytes: float
    language: str


class PhoneDone(Answer, frozen=True):
    """A photo has arrived from a phone."""

    state: Literal["used"]


class TakeAbout(Answer, frozen=True):
    """A result that may be taken home."""

    state: Literal["open", "gone"]
    seconds_left: int
    width: int
    height: int
    bytes: int
    suffix: str
    language: str


class Choice(Body, frozen=True):
    """What a customer has chosen."""

    preset: str
    strength: Share = 1.0
    """The share of the way from the photo to the preset's result."""
    leave_out: tuple[Index, ...] = ()
    """Faces that keep the photo's pixels."""


class FromMedium(Body, frozen=True):
    """A photo of a stick, a card or a scan folder."""

    photo: Token


class PrintWanted(Body, frozen=True):
    """Copies to print."""

    paper: str
    copies: Annotated[int, msgspec.Meta(ge=1, le=100)] = 1
