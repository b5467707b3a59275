"""Checks for every request: who may send it, which headers protect the response, and how errors are
reported."""

import ipaddress

import msgspec
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from base.errors import GpenEdgeError
from base.text import cause_of, one_line
from runtime.hotfolder.log import Log
from runtime.serve.errors import Code, KioskError
from runtime.serve.http.uploads import BODY_ENDED, drain
from runtime.serve.wire import ErrorAbout, ErrorAnswer

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; font-src 'self'; manifest-src 'self'; form-action 'none'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=(), usb=(), interest-cohort=()",
}
_LOCAL = frozenset({"localhost", "127.0.0.1", "[::1]"})
ANY_ADDRESS = "*"
"""Stands for any numeric address. A hostile site whose name points to this machine cannot use one."""
_READING = ("GET", "HEAD", "OPTIONS")
_CODES: dict[int, Code] = {404: "not-found", 405: "bad-request", 413: "too-large"}


class Guard:
    """Adds protective headers, and refuses requests that other sites make in the kiosk's browser."""

    def __init__(self, app: ASGIApp, *, hosts: frozenset[str] | None) -> None:
        """Create it.

        hosts  further names by which the server may be asked for, or ANY_ADDRESS; None: any name, where
               tokens decide
        """
        self._app, self._hosts = app, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def protected(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("cache-control", "no-store")
            await send(message)

        async def noted() -> Message:
            message = await receive()
            if message["type"] == "http.request" and not message.get("more_body"):
                scope[BODY_ENDED] = True
            return message

        refused = self._refusal(scope)
        app = self._app if refused is None else error_response(refused)
        await app(scope, noted, protected)

    def _refusal(self, scope: Scope) -> KioskError | None:
        headers = Headers(scope=scope)
        host, origin = headers.get("host", ""), headers.get("origin")
        if self._hosts is not None and not _is_known(_name(host), self._hosts):
            return KioskError("forbidden", "the kiosk's page is only for this machine: open it there")
        if scope["method"] in _READING:
            return None
        if headers.get("sec-fetch-site") not in (None, "same-origin", "none"):
            return KioskError("forbidden", "another site has made this request: open the kiosk's own page")
        if origin is not None and origin.partition("://")[2] != host:
            return KioskError("forbidden", "another site has made this request: open the kiosk's own page")
        return None


def _is_known(name: str, hosts: frozenset[str]) -> bool:
    return name in _LOCAL | hosts or (ANY_ADDRESS in hosts and _is_address(name))


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


def _name(host: str) -> str:
    """Return the name in a Host header, without the port."""
    if host.startswith("["):
        return host[: host.find("]") + 1].lower()
    return host.partition(":")[0].lower()


def is_loopback(client: tuple[str, int] | None) -> bool:
    """Return whether a request or a connection comes from this machine."""
    try:
        return ipaddress.ip_address(client[0] if client else "").is_loopback
    except ValueError:
        return False


def json_response(answer: object, status: int = 200) -> Response:
    """Return an answer as JSON."""
    return Response(msgspec.json.encode(answer), status, media_type="application/json")


def error_response(error: KioskError) -> Response:
    """Return an error as JSON: a code and one line."""
    message = one_line(" ".join(str(error).split()))
    response = json_response(ErrorAnswer(ErrorAbout(error.code, message)), error.status)
    if error.retry_after is not None:
        response.headers["retry-after"] = str(error.retry_after)
    return response


def as_kiosk_error(error: Exception, log: Log) -> KioskError:
    """Return any exception as the answer that a client gets."""
    if isinstance(error, KioskError):
        return error
    if isinstance(error, HTTPException):
        code = _CODES.get(error.status_code, "bad-request")
        detail = "there is nothing here: see /api" if code == "not-found" else error.detail
        return KioskError(code, detail)
    if isinstance(error, GpenEdgeError):
        return KioskError("not-a-photo", cause_of(error))
    log("unexpected", f"a request failed: {type(error).__name__}: {cause_of(error)}")
    return KioskError("internal", "something went wrong: try again, or ask the staff")


async def refuse(request: Request, error: Exception, log: Log) -> Response:
    """Answer a request that failed, after reading what is left of its body."""
    answer = as_kiosk_error(error, log)
    if request.method not in _READING:
        await drain(request)
    return error_response(answer)
