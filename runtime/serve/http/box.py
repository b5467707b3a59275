"""Routes of the box itself: what it offers, its media, its health, and the files of the page."""

from starlette.requests import Request
from starlette.responses import Response

from base.version import installed_version
from runtime.photo.suffixes import SUPPORTED_SUFFIXES
from runtime.serve.drive_calls import from_own_thread
from runtime.serve.errors import KioskError
from runtime.serve.http.guard import json_response
from runtime.serve.http.kiosk import Kiosk, kiosk_of
from runtime.serve.http.pictures import jpeg_response
from runtime.serve.http.routes import Api, number_in, size_of
from runtime.serve.kiosk_config import Printing
from runtime.serve.wire import (
    FoundPhotos,
    Health,
    KioskAbout,
    MediaAbout,
    PaperAbout,
    PresetAbout,
    PrintingAbout,
)
from runtime.settings.presets import PURPOSES

_NO_PAGE = b"""<!doctype html><html lang="en"><meta charset="utf-8"><title>gpen-edge</title>
<p>The server runs; its page is not installed. <a href="/api">The API</a>"""


async def about(request: Request) -> Response:
    """Return what the kiosk offers."""
    return json_response(_about(kiosk_of(request)))


async def health(request: Request) -> Response:
    """Return whether the kiosk works."""
    found = kiosk_of(request).health()
    return json_response(found, 200 if found.state == "ok" else 503)


async def media(request: Request) -> Response:
    """Return the available media."""
    kiosk = kiosk_of(request)
    return json_response(await from_own_thread(kiosk.media.about))


async def photos(request: Request) -> Response:
    """Return the photos of a medium."""
    kiosk, page = kiosk_of(request), int(number_in(request, "page", 0, 1000, 0))
    found = await from_own_thread(kiosk.media.photos, request.path_params["medium"], page)
    return json_response(found)


async def thumbnail(request: Request) -> Response:
    """Show a photo of a medium."""
    kiosk, size = kiosk_of(request), size_of(request) or 240
    return jpeg_response(await from_own_thread(kiosk.media.thumbnail, request.path_params["photo"], size))


async def first_page(request: Request) -> Response:
    """Return the kiosk's page."""
    return page_response(kiosk_of(request), "index.html")


async def page_file(request: Request) -> Response:
    """Return a file of the page."""
    return page_response(kiosk_of(request), request.path_params["name"])


def page_response(kiosk: Kiosk, name: str) -> Response:
    """Return a file of the page. Raises KioskError if it has no such file."""
    found = kiosk.pages.read(name)
    if found is None and name == "index.html":
        found = _NO_PAGE, "text/html; charset=utf-8"
    if found is None:
        raise KioskError("not-found", "the page has no such file")
    content, kind = found
    return Response(content, media_type=kind, headers={"cache-control": "no-cache"})


def _about(kiosk: Kiosk) -> KioskAbout:
    config, languages = kiosk.config, kiosk.pages.languages or ("en",)
    if config.languages:
        languages = tuple(each for each in config.languages if each in languages) or ("en",)
    return KioskAbout(
        version=installed_version(),
        name=config.name,
        languages=languages,
        language=config.language if config.language in languages else languages[0],
        presets=tuple(PresetAbout(name, PURPOSES.get(name, "")) for name in config.presets),
        minutes=config.minutes,
        idle_seconds=config.idle_seconds,
        max_megabytes=config.max_megabytes,
        files=config.files,
        suffixes=tuple(sorted(SUPPORTED_SUFFIXES)),
        phones=config.phones is not None,
        wifi=(config.phones.wifi or None) if config.phones else None,
        take_home=config.phones is not None,
        media=bool(config.media.sticks or config.media.scans),
        printing=_printing(config.printing),
    )


def _printing(printing: Printing | None) -> PrintingAbout | None:
    if printing is None:
        return None
    papers = (PaperAbout(p.name, p.label or p.name, p.width_mm, p.height_mm) for p in printing.papers)
    return PrintingAbout(tuple(papers), printing.copies)


BOX = (
    Api("GET", "/api/kiosk", "What this kiosk offers", about, KioskAbout),
    Api("GET", "/health", "Whether the kiosk works", health, Health),
    Api("GET", "/api/media", "Sticks, cards and scan folders", media, MediaAbout),
    Api(
        *("GET", "/api/media/{medium}", "Photos of one, the newest first", photos, FoundPhotos),
        query=("page",),
        errors=("not-found",),
    ),
    Api(
        *("GET", "/api/media/photos/{photo}/thumbnail", "A photo of one", thumbnail, "image/jpeg"),
        query=("size",),
        errors=("not-found", "not-a-photo"),
    ),
)
