"""Receive an upload: bounded in size and time, and complete, or nothing is kept."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

from starlette.requests import ClientDisconnect, Request

from base.files import for_its_owner, vanishing
from runtime.serve.errors import KioskError, disk_error
from runtime.serve.visits.visit import Visit

SILENCE = 20.0
"""Seconds without data after which an upload is abandoned."""
SLOWEST = 20_000
"""Bytes per second that an upload must reach after its first seconds."""
GRACE = 30.0
"""Seconds that any upload may take, however slow."""
BODY_ENDED = "gpen_edge.body_ended"
"""Whether the body of a request has been read to its end, in its scope."""
DRAIN = 5.0
"""Seconds for which the rest of a refused upload is still read, so that its sender can read the response."""


async def receive(request: Request, draft: Path, max_megabytes: float, visit: Visit) -> None:
    """Write the body of a request to a new file, for as long as its visit lasts.

    Raises KioskError; then no file is left.
    """
    most = round(max_megabytes * 1e6)
    _check_announced(request, most)
    try:
        with vanishing(draft):
            with open(draft, "xb", opener=for_its_owner) as file:
                length = 0
                async for chunk in body_of(request):
                    visit.check_here()
                    length += len(chunk)
                    if length > most:
                        raise _too_large(max_megabytes)
                    file.write(chunk)
            announced = request.headers.get("content-length")
            if length == 0:
                raise KioskError("not-a-photo", "the file is empty: choose another one")
            if announced is not None and int(announced) != length:
                raise ClientDisconnect
    except ClientDisconnect:
        raise KioskError("bad-request", "the upload was cut off: send it again") from None
    except OSError as error:
        raise disk_error(error) from error


async def drain(request: Request) -> None:
    """Keep reading what a refused client sends for a while, unless it waits for permission to send."""
    if request.scope.get(BODY_ENDED) or request.headers.get("expect", "").lower() == "100-continue":
        return
    ends = time.monotonic() + DRAIN
    while (left := ends - time.monotonic()) > 0:
        try:
            message = await asyncio.wait_for(request.receive(), left)
        except (TimeoutError, asyncio.TimeoutError):
            return
        if message["type"] == "http.disconnect" or not message.get("more_body"):
            return


def _check_announced(request: Request, most: int) -> None:
    announced = request.headers.get("content-length")
    if announced is not None and int(announced) > most:
        raise _too_large(most / 1e6)


def _too_large(max_megabytes: float) -> KioskError:
    return KioskError(
        "too-large", f"the file has more than {max_megabytes:g} megabytes: send a smaller photo"
    )


async def body_of(request: Request) -> AsyncIterator[bytes]:
    """Yield the body of a request as it arrives.

    Raises KioskError if that is too slow, and ClientDisconnect.
    """
    began, length = time.monotonic(), 0
    stream = request.stream().__aiter__()
    while True:
        try:
            chunk = await asyncio.wait_for(stream.__anext__(), SILENCE)
        except StopAsyncIteration:
            return
        except (TimeoutError, asyncio.TimeoutError):
            raise _too_slow() from None
        length += len(chunk)
        if time.monotonic() - began > GRACE + length / SLOWEST:
            raise _too_slow()
        yield chunk


def _too_slow() -> KioskError:
    return KioskError("too-slow", "the upload came too slowly: move closer to the kiosk and send it again")
