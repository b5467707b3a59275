"""A table of routes, from which the application and the description of the API are made."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from runtime.serve.errors import Code, KioskError
from runtime.serve.http.uploads import body_of

Handler = Callable[[Request], Awaitable[Response]]
MOST_JSON = 16_384
"""Bytes of a request that is JSON."""

Wanted = TypeVar("Wanted")


@dataclass(frozen=True)
class Api:
    """A route of the API."""

    method: str
    path: str
    summary: str
    handler: Handler
    answer: type | str | None
    """The type of its JSON, or a media type; None for no content."""
    status: int = 200
    body: type | str | None = None
    query: tuple[str, ...] = ()
    errors: tuple[Code, ...] = ()


async def json_of(request: Request, kind: type[Wanted]) -> Wanted:
    """Return the JSON of a request. Raises KioskError."""
    body = b""
    async for chunk in body_of(request):
        body += chunk
        if len(body) > MOST_JSON:
            raise KioskError("too-large", f"the request has more than {MOST_JSON} bytes of JSON")
    try:
        return msgspec.json.decode(body or b"{}", type=kind)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise KioskError("bad-request", f"the request is invalid: {error}") from error


def number_in(request: Request, name: str, low: float, high: float, default: float) -> float:
    """Return a number of the query. Raises KioskError."""
    text = request.query_params.get(name)
    if text is None:
        return default
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not low <= value <= high:
        raise KioskError("bad-request", f"{name} must be a number from {low:g} to {high:g}")
    return value


def size_of(request: Request) -> int | None:
    """Return the requested longest side of a picture; None for its full size."""
    if "size" not in request.query_params:
        return None
    return int(number_in(request, "size", 64, 4096, 1280))
