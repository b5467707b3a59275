"""Routes of a visit: bring a photo, look at it, choose, take the result, leave."""

import asyncio
from concurrent.futures import Future

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from runtime.serve.drive_calls import from_own_thread
from runtime.serve.errors import KioskError
from runtime.serve.http.events import events_of
from runtime.serve.http.guard import json_response
from runtime.serve.http.kiosk import kiosk_of, visit_of
from runtime.serve.http.limits import NEW_VISITS
from runtime.serve.http.pictures import download, jpeg_response
from runtime.serve.http.routes import Api, json_of, number_in, size_of
from runtime.serve.http.uploads import receive
from runtime.serve.pictures import jpeg_of_file
from runtime.serve.wire import Choice, FromMedium, Opened, Status


async def begin(request: Request) -> Response:
    """Begin a visit."""
    kiosk = kiosk_of(request)
    kiosk.limits.spend(NEW_VISITS)
    token, visit = kiosk.desk.open()
    try:
        await from_own_thread(kiosk.media.look)
    except BaseException:  # nobody would have its token
        kiosk.desk.end(visit)
        raise
    return json_response(Opened(token, kiosk.desk.status(visit)), 201)


async def status(request: Request) -> Response:
    """Return the status of a visit."""
    return json_response(kiosk_of(request).desk.status(visit_of(request)))


async def events(request: Request) -> Response:
    """Stream the status of a visit."""
    desk, visit = kiosk_of(request).desk, visit_of(request)
    return StreamingResponse(events_of(desk, visit), media_type="text/event-stream")


async def stay(request: Request) -> Response:
    """Prolong a visit."""
    desk, visit = kiosk_of(request).desk, visit_of(request)
    desk.stay(visit)
    return json_response(desk.status(visit))


async def leave(request: Request) -> Response:
    """End a visit."""
    desk, visit = kiosk_of(request).desk, visit_of(request)
    keep = request.query_params.get("keep")
    if keep not in (None, "take-home"):
        raise KioskError("bad-request", "keep can only be take-home")
    await run_in_threadpool(desk.end, visit, keep_take=keep is not None)
    return Response(status_code=204)


async def upload(request: Request) -> Response:
    """Take in the bytes of a photo."""
    kiosk, visit = kiosk_of(request), visit_of(request)
    draft = kiosk.desk.draft(visit)
    await receive(request, draft, kiosk.config.max_megabytes, visit)
    kiosk.desk.take_in(visit, draft)
    return json_response(kiosk.desk.status(visit), 202)


async def fetch_photo(request: Request) -> Response:
    """Take in a photo of a stick, a card or a scan folder."""
    kiosk, visit = kiosk_of(request), visit_of(request)
    wanted = await json_of(request, FromMedium)
    draft = kiosk.desk.draft(visit)
    await from_own_thread(kiosk.media.copy, wanted.photo, draft)
    kiosk.desk.take_in(visit, draft)
    return json_response(kiosk.desk.status(visit), 202)


async def photo(request: Request) -> Response:
    """Show the original photo."""
    desk, visit, size = kiosk_of(request).desk, visit_of(request), size_of(request)
    return jpeg_response(await run_in_threadpool(desk.photo, visit, size))


async def preview(request: Request) -> Response:
    """Show the result of a choice at a small size."""
    desk, visit = kiosk_of(request).desk, visit_of(request)
    shown = await run_in_threadpool(desk.preview, visit, _choice_in(request), size_of(request) or 1280)
    return await _drawn(shown)


async def face(request: Request) -> Response:
    """Show the square around a face, as it is or as a preset restores it."""
    desk, visit = kiosk_of(request).desk, visit_of(request)
    index, size = request.path_params["index"], size_of(request) or 160
    return await _drawn(
        await run_in_threadpool(desk.face, visit, index, size, request.query_params.get("preset"))
    )


async def choose(request: Request) -> Response:
    """Ask for the result at full size."""
    desk, visit = kiosk_of(request).desk, visit_of(request)
    desk.choose(visit, await json_of(request, Choice))
    return json_response(desk.status(visit), 202)


async def result(request: Request) -> Response:
    """Show the finished result."""
    file = kiosk_of(request).desk.result_file(visit_of(request))
    return jpeg_response(await run_in_threadpool(jpeg_of_file, file, size_of(request)))


async def result_file(request: Request) -> Response:
    """Download the finished result."""
    file = kiosk_of(request).desk.result_file(visit_of(request))
    return download(file, file.suffix)


async def _drawn(picture: bytes | Future[bytes]) -> Response:
    return jpeg_response(picture if isinstance(picture, bytes) else await asyncio.wrap_future(picture))


def _choice_in(request: Request) -> Choice:
    query = request.query_params
    try:
        left_out = tuple(int(index) for index in query.get("leave_out", "").split(",") if index)
    except ValueError:
        raise KioskError("bad-request", "leave_out must be numbers of faces, such as 0,2") from None
    if any(index < 0 for index in left_out):
        raise KioskError("bad-request", "leave_out must be numbers of faces, such as 0,2")
    if "preset" not in query:
        raise KioskError("bad-request", "name a preset, such as ?preset=standard")
    return Choice(query["preset"], number_in(request, "strength", 0, 1, 1), left_out)


_V = "/api/visits/{visit}"
_PICTURE = "image/jpeg"

VISITS = (
    Api("POST", "/api/visits", "Begin a visit", begin, Opened, 201, errors=("busy", "too-many")),
    Api("GET", _V, "What is known about a visit", status, Status, errors=("not-found",)),
    Api("GET", f"{_V}/events", "Its status as server-sent events", events, "text/event-stream"),
    Api("POST", f"{_V}/stay", "Prolong a visit", stay, Status, errors=("not-found",)),
    Api(
        *("DELETE", _V, "End a visit and delete everything of it", leave, None, 204),
        query=("keep",),
        errors=("not-found",),
    ),
    Api(
        *("POST", f"{_V}/photo", "Bring a photo, as the bytes of its file", upload, Status, 202),
        body="application/octet-stream",
        errors=("busy", "too-large", "too-slow", "disk-full"),
    ),
    Api(
        *("POST", f"{_V}/photo-from", "Bring a photo of a stick, a card or a scan folder", fetch_photo),
        *(Status, 202, FromMedium),
        errors=("busy", "not-found", "too-large"),
    ),
    Api("GET", f"{_V}/photo", "The photo as it came, upright", photo, _PICTURE, query=("size",)),
    Api(
        *("GET", f"{_V}/preview", "The result of a choice at a small size", preview, _PICTURE),
        query=("preset", "strength", "leave_out", "size"),
        errors=("wrong-state", "busy"),
    ),
    Api(
        *(
            "GET",
            f"{_V}/faces/{{index:int}}",
            "The square around a face, restored if a preset is named",
            face,
        ),
        _PICTURE,
        query=("size", "preset"),
        errors=("wrong-state", "busy", "not-found", "unavailable"),
    ),
    Api(
        *("POST", f"{_V}/result", "Ask for the result at full size", choose, Status, 202, Choice),
        errors=("wrong-state", "busy", "bad-request"),
    ),
    Api(
        *("GET", f"{_V}/result", "The finished result as JPEG", result, _PICTURE),
        query=("size",),
        errors=("wrong-state",),
    ),
    Api("GET", f"{_V}/result/file", "The finished result as a file", result_file, "image/*"),
)
