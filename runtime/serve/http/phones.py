"""Routes for phones: upload a photo with a code, take a result home. Phones reach nothing else."""

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from runtime.serve.errors import KioskError
from runtime.serve.http.box import page_response
from runtime.serve.http.guard import json_response
from runtime.serve.http.kiosk import Kiosk, kiosk_of, visit_of
from runtime.serve.http.limits import PHONE, WRONG_TOKEN
from runtime.serve.http.pictures import download, jpeg_response
from runtime.serve.http.routes import Api, size_of
from runtime.serve.http.uploads import receive
from runtime.serve.pictures import jpeg_of_file
from runtime.serve.qr import qr_svg
from runtime.serve.visits.visit import Take
from runtime.serve.wire import Link, LinkAbout, PhoneAbout, PhoneDone, TakeAbout


async def invite(request: Request) -> Response:
    """Make a code with which a phone may upload."""
    desk, visit = kiosk_of(request).desk, visit_of(request)
    phone = desk.links.invite(visit)
    desk.stay(visit)
    qr = f"/api/visits/{request.path_params['visit']}/phone.svg"
    return json_response(Link(desk.links.url(phone), desk.links.seconds_left(phone), qr), 201)


async def offer(request: Request) -> Response:
    """Make a link under which the result can be taken home."""
    desk, visit = kiosk_of(request).desk, visit_of(request)
    take = await run_in_threadpool(desk.links.offer, visit, desk.result_file(visit))
    desk.stay(visit)
    qr = f"/api/visits/{request.path_params['visit']}/take-home.svg"
    return json_response(Link(desk.links.url(take), desk.links.seconds_left(take), qr), 201)


async def invite_code(request: Request) -> Response:
    """Return the QR code of the upload page."""
    link = kiosk_of(request).desk.status(visit_of(request)).phone
    return _qr(link)


async def offer_code(request: Request) -> Response:
    """Return the QR code of the link to take the result home."""
    link = kiosk_of(request).desk.status(visit_of(request)).take_home
    return _qr(link)


def _qr(link: LinkAbout | None) -> Response:
    if link is None:
        raise KioskError("not-found", "there is no such code, or it has expired: ask for a new one")
    return Response(qr_svg(link.url), media_type="image/svg+xml")


async def phone_page(request: Request) -> Response:
    """Return the page to upload a photo, or to take a result home."""
    return page_response(_asked(request), "phone.html")


async def phone_status(request: Request) -> Response:
    """Return whether a code is still valid."""
    kiosk = _asked(request)
    phone = kiosk.desk.links.phone(request.path_params["token"])
    if phone is None:
        _count_wrong(kiosk, request)
    state = "gone" if phone is None else "used" if phone.used else "open"
    return json_response(PhoneAbout(state, kiosk.config.max_megabytes, kiosk.config.language))  # type: ignore[arg-type]


async def phone_upload(request: Request) -> Response:
    """Take in the bytes of a photo from a phone."""
    kiosk = _asked(request)
    phone = kiosk.desk.links.phone(request.path_params["token"])
    if phone is None:
        _count_wrong(kiosk, request)
        raise KioskError("not-found", "this code has expired: ask for a new one at the kiosk")
    visit = kiosk.desk.links.claim(phone)
    try:
        draft = kiosk.desk.draft(visit)
        await receive(request, draft, kiosk.config.max_megabytes, visit)
        kiosk.desk.take_in(visit, draft)
    except BaseException:
        kiosk.desk.links.release(phone)
        raise
    return json_response(PhoneDone("used"), 201)


async def take_status(request: Request) -> Response:
    """Return what can be taken home."""
    kiosk = _asked(request)
    take = kiosk.desk.links.take(request.path_params["token"])
    language = kiosk.config.language
    if take is None:
        _count_wrong(kiosk, request)
        return json_response(TakeAbout("gone", 0, 0, 0, 0, "", language))
    about, left = take.about, kiosk.desk.links.seconds_left(take)
    return json_response(
        TakeAbout("open", left, about.width, about.height, about.bytes, about.suffix, language)
    )


async def take_picture(request: Request) -> Response:
    """Show a result that may be taken home."""
    kiosk, take = _take_of(request)
    file = kiosk.desk.folder.take(take.id, take.about.suffix)
    return jpeg_response(await run_in_threadpool(jpeg_of_file, file, size_of(request)))


async def take_file(request: Request) -> Response:
    """Download a result that may be taken home."""
    kiosk, take = _take_of(request)
    return download(kiosk.desk.folder.take(take.id, take.about.suffix), take.about.suffix)


def _asked(request: Request) -> Kiosk:
    """Return the server, unless the phone has sent too many requests."""
    kiosk = kiosk_of(request)
    kiosk.limits.spend(PHONE, _client(request))
    kiosk.limits.check(WRONG_TOKEN, _client(request))
    return kiosk


def _take_of(request: Request) -> tuple[Kiosk, Take]:
    kiosk = _asked(request)
    take = kiosk.desk.links.take(request.path_params["token"])
    if take is None:
        _count_wrong(kiosk, request)
        raise KioskError("not-found", "this link has expired: the photo has been deleted")
    return kiosk, take


def _count_wrong(kiosk: Kiosk, request: Request) -> None:
    kiosk.limits.spend(WRONG_TOKEN, _client(request))


def _client(request: Request) -> str:
    return request.client.host if request.client else ""


_V = "/api/visits/{visit}"

INVITING = (
    Api(
        *("POST", f"{_V}/phone", "Make a code with which a phone may upload", invite, Link, 201),
        errors=("wrong-state",),
    ),
    Api("GET", f"{_V}/phone.svg", "Its QR code", invite_code, "image/svg+xml", errors=("not-found",)),
    Api(
        *("POST", f"{_V}/take-home", "Make a link to take the result home", offer, Link, 201),
        errors=("wrong-state",),
    ),
    Api("GET", f"{_V}/take-home.svg", "Its QR code", offer_code, "image/svg+xml", errors=("not-found",)),
)

PHONES = (
    Api("GET", "/p/{token}/status", "Whether a code is still valid", phone_status, PhoneAbout),
    Api(
        *("POST", "/p/{token}/photo", "Upload a photo, as the bytes of its file", phone_upload),
        *(PhoneDone, 201, "application/octet-stream"),
        errors=("not-found", "wrong-state", "too-large", "too-slow", "too-many", "busy"),
    ),
    Api("GET", "/t/{token}/status", "What can be taken home", take_status, TakeAbout),
    Api(
        *("GET", "/t/{token}/picture", "It as a picture to look at", take_picture, "image/jpeg"),
        query=("size",),
        errors=("not-found",),
    ),
    Api("GET", "/t/{token}/file", "It as a file", take_file, "image/*", errors=("not-found",)),
)
