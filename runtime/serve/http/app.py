"""The applications of the two listeners: the kiosk's own, and the one for phones."""

from collections.abc import Iterable

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from base.errors import GpenEdgeError
from runtime.serve.http.admin import ADMIN
from runtime.serve.http.box import BOX, first_page, health, page_file
from runtime.serve.http.guard import Guard, refuse
from runtime.serve.http.kiosk import Kiosk
from runtime.serve.http.openapi import api_page, openapi_json
from runtime.serve.http.phones import INVITING, PHONES, phone_page
from runtime.serve.http.prints import PRINTS
from runtime.serve.http.routes import Api
from runtime.serve.http.visits import VISITS

API: tuple[Api, ...] = (*BOX, *VISITS, *PRINTS, *INVITING, *PHONES)
"""Everything that the description of the API lists."""


def kiosk_app(kiosk: Kiosk) -> ASGIApp:
    """Return the application of the kiosk's own listener."""
    routes = [
        Route("/", first_page),
        Route("/api", api_page(API)),
        Route("/api/openapi.json", openapi_json(API)),
        *_page_routes(),
        *ADMIN,
        *_routes(API),
    ]
    return _guarded(kiosk, routes, kiosk.hosts)


def phone_app(kiosk: Kiosk) -> ASGIApp:
    """Return the application of the listener for phones, where only tokens open anything."""
    routes = [*_page_routes(), Route("/health", health), *_routes(PHONES)]
    return _guarded(kiosk, routes, None)


def _page_routes() -> list[Route]:
    return [
        Route("/page/{name:path}", page_file),
        Route("/p/{token}", phone_page),
        Route("/t/{token}", phone_page),
    ]


def _routes(rows: Iterable[Api]) -> list[Route]:
    return [Route(row.path, row.handler, methods=[row.method]) for row in rows]


def _guarded(kiosk: Kiosk, routes: list[Route], hosts: frozenset[str] | None) -> ASGIApp:
    async def failed(request: Request, error: Exception) -> Response:
        return await refuse(request, error, kiosk.log)

    handlers = dict.fromkeys((GpenEdgeError, 404, 405, 400, OSError, Exception), failed)
    app = Starlette(routes=routes, exception_handlers=handlers)
    app.state.kiosk = kiosk
    return Guard(app, hosts=hosts)
